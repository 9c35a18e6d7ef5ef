"""A video's windows to one continuous sound, by a trained model."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import torch

from v2a.audio.given import given_of
from v2a.audio.load import LoadedAudio
from v2a.audio.normalise import as_samples
from v2a.infer.ahead import side_by_side
from v2a.infer.joins import Joiner
from v2a.infer.windows import Window
from v2a.media.reading import Facts, MediaError

Samples = npt.NDArray[np.int16]


def sounds(  # noqa: PLR0913 - what a sound depends on, and how fast it comes
    windows: Iterable[Window], facts: Facts, loaded: LoadedAudio, overlap: int, key: str, *, threads: int = 1
) -> Iterator[Samples]:
    """The sound of a video, window by window as it is settled: int16 `[n]`, all together as long as the picture, to the sample.

    Args:
        windows: of the video.
        facts: of its reading; complete when the last window is there.
        loaded: the model.
        overlap: frames that neighbouring windows share.
        key: names the draws: the same key, model and video give the same bytes.
        threads: windows that are worked on at once, on a CPU.

    Raises:
        MediaError: the model makes numbers that are none.
    """
    rate = loaded.geometry.sample_rate
    joiner = Joiner(loaded.geometry.samples_until(overlap))
    device = next(loaded.encoder.model.parameters()).device

    def make(window: Window) -> torch.Tensor:
        return window_sound(loaded, window.video, f"{key} {window.index}")

    with _one_thread(device):
        for window, sound in side_by_side(make, windows, threads if device.type == "cpu" else 1):
            start = loaded.geometry.samples_until(window.start)
            if window.last:
                yield _as_numpy(joiner.last(start, sound, max(1, round(facts.length_s * rate))))
            else:
                yield _as_numpy(joiner.add(start, sound))


def window_sound(loaded: LoadedAudio, video: npt.NDArray[np.uint8], key: str) -> torch.Tensor:
    """The sound of one segment: float32 [S] on the CPU, -1 to 1. On a CPU its last bits depend on the number of torch's threads.

    Args:
        loaded: the model.
        video: uint8 `[T, H, W, 3]`.
        key: names the draws.
    """
    given = given_of(loaded.decoder.input, loaded.encoder.model, video)
    with torch.no_grad():
        sound = loaded.decoder.sound(given, generator_of(key))[0].float().cpu()
    if not bool(torch.isfinite(sound).all()):
        raise MediaError(
            "not-finite", "the model makes no sound of it, but numbers that are not finite; was it trained?"
        )
    return sound


def generator_of(key: str) -> torch.Generator:
    """Of the draws of this name, the same everywhere."""
    digest = hashlib.sha256(key.encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def _as_numpy(sound: torch.Tensor) -> Samples:
    samples: Samples = as_samples(sound).numpy()
    return samples


@contextmanager
def _one_thread(device: torch.device) -> Iterator[None]:
    """On a CPU, sums depend on the number of threads, and with them the last bit of samples."""
    if device.type != "cpu":
        yield
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
