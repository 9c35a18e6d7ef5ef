"""Encoding whole clips so that the same clip has the same codes wherever it is encoded: here, in stage 2's data, in inference.

One clip at a time, in fp32, and on a CPU in one thread. Measured (docs/LOG.md): the convolutions split their sums by the number of
threads and, with more than one, by the batch; the last bit differs then, and with it sometimes a code. One clip in one thread is
also the fastest way: N processes make N clips at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import torch

from v2a.loading.dataset import as_float
from v2a.models.vqvae import VQVAE


def encode_clip(model: VQVAE, video: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint16]:
    """Codes of a whole clip: uint16 `[t, h, w]`.

    The clip is all that the encoder sees: beyond its first and last frame, and beyond its edges, it fills up by itself. So codes at
    a clip's borders differ from those of a longer video at that moment, and codes of a crop from the crop of the codes.

    Args:
        model: in evaluation mode (`v2a.vqvae.load`).
        video: uint8 `[T, H, W, 3]`, lengths that are multiples of the model's strides.

    Raises:
        ValueError: see `VQVAE.encode`; or the model is in training mode, in which its codebook would learn.
    """
    device = _device_of(model)
    with _same_arithmetic(device):
        codes = model.codes(as_float(torch.from_numpy(video)[None].to(device)))
    found: npt.NDArray[np.uint16] = codes[0].cpu().numpy().astype(np.uint16)
    return found


@torch.no_grad()
def encode_latents(model: VQVAE, video: npt.NDArray[np.uint8]) -> torch.Tensor:
    """What the encoder says of a whole clip before it is quantised: float32 `[1, D, t, h, w]`, on the model's device.

    Where codes of several steps describe their frames together, these steps have the same vector.

    Args:
        model: as of `encode_clip`.
        video: as of `encode_clip`.

    Raises:
        ValueError: see `encode_clip`.
    """
    device = _device_of(model)
    with _same_arithmetic(device):
        return model.encode(as_float(torch.from_numpy(video)[None].to(device)))


def _device_of(model: VQVAE) -> torch.device:
    if model.training:
        raise ValueError("expected the model in evaluation mode, but it is in training; call .eval()")
    return next(model.parameters()).device


@contextmanager
def _same_arithmetic(device: torch.device) -> Iterator[None]:
    if device.type == "cuda":
        with (
            torch.autocast("cuda", enabled=False),
            torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False),
        ):
            yield
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
