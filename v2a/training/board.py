"""TensorBoard: curves, pictures and short videos of a run."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image


class Board:
    """Writes a run's events; points of an earlier run after `step` are taken back.

    Args:
        folder: of the events.
        step: the last one that counts.

    Raises:
        ImportError: TensorBoard is not installed.
    """

    def __init__(self, folder: Path, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(str(folder), purge_step=step + 1)

    def add_scalar(self, name: str, value: float, step: int) -> None:
        """One point of a curve."""
        self._writer.add_scalar(name, value, step)

    def add_encoded(self, name: str, encoded: bytes, size: Sequence[int], step: int) -> None:
        """A PNG or GIF of this height and width. SummaryWriter's own videos need another package to make the same GIF."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        image = Summary.Image(height=size[0], width=size[1], colorspace=3, encoded_image_string=encoded)
        value = Summary.Value(tag=name, image=image)
        self._writer.file_writer.add_summary(Summary(value=[value]), step)

    def add_sound(self, name: str, sound: torch.Tensor, sample_rate: int, step: int) -> None:
        """Float [S], -1 to 1."""
        self._writer.add_audio(name, sound[None].clamp(-1, 1), step, sample_rate)

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()


def encode_png(picture: torch.Tensor) -> bytes:
    """A uint8 picture [H, W, 3]."""
    data = io.BytesIO()
    Image.fromarray(picture.numpy()).save(data, "PNG")
    return data.getvalue()


def encode_gif(video: torch.Tensor, fps: int) -> bytes:
    """A uint8 video [T, H, W, 3], played without end."""
    frames = [Image.fromarray(frame.numpy()).quantize(256, dither=Image.Dither.NONE) for frame in video]
    data = io.BytesIO()
    frames[0].save(data, "GIF", save_all=True, append_images=frames[1:], duration=round(1000 / fps), loop=0)
    return data.getvalue()
