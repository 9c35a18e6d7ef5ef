"""Spectrograms as small PNGs: a pixel is a mel band and 10 ms; their axes are drawn by the page."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.io import wavfile

from v2a.metrics.correlation import Array
from v2a.metrics.heard import Heard, listen, make_bands
from v2a.report.encode import EncodeError

QUIET_DB = -70.0
_MARKS_HZ = (200, 500, 1000, 2000, 4000, 8000, 16000)
_APART = 12.0  # percent of the height, between two marks at least


@dataclass(frozen=True)
class Axis:
    """Attributes: `marks` are (percent from the top, label) of frequencies; `times` are (percent from the left, label) in s."""

    marks: tuple[tuple[float, str], ...]
    times: tuple[tuple[float, str], ...]


def hear(path: Path, seconds: float) -> Heard:
    """The beginning of a WAV file.

    Raises:
        EncodeError: it cannot be read, or is too short.
    """
    try:
        rate, samples = wavfile.read(path)
        wave = (
            samples.astype(np.float32) / np.float32(32767) if samples.dtype == np.int16 else samples.astype(np.float32)
        )
        mono = wave if wave.ndim == 1 else wave.mean(1)
        return listen(mono[: round(seconds * rate)], make_bands(int(rate)))
    except (OSError, ValueError) as error:
        raise EncodeError(f"the sound {path.name!a} cannot be read ({error})") from None


def silent(like: Heard) -> Heard:
    """As long, and nothing."""
    return listen(np.zeros_like(like.wave), make_bands(like.sample_rate))


def loudest_db(heard: Heard) -> float:
    """What is white; the same for all sounds of a clip."""
    return max(float(heard.mel_db.max()), -60.0)


def draw(heard: Heard, top_db: float) -> bytes:
    """A PNG of the bands, low ones below; black is -70 dB, white is `top_db`."""
    from matplotlib import colormaps
    from PIL import Image

    share = np.clip((heard.mel_db[::-1] - QUIET_DB) / (top_db - QUIET_DB), 0, 1)
    picture = Image.fromarray(np.ascontiguousarray((share * 255).astype(np.uint8)), mode="P")
    picture.putpalette((colormaps["magma"](np.arange(256))[:, :3] * 255).astype(np.uint8).tobytes())
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return file.getvalue()


def axis_of(heard: Heard, seconds: float) -> Axis:
    """Where the marks of the picture are."""
    return Axis(_frequencies(heard.centres), _times(seconds))


def _frequencies(centres: Array) -> tuple[tuple[float, str], ...]:
    marks: list[tuple[float, str]] = []
    for hertz in _MARKS_HZ:
        if not centres[0] <= hertz <= centres[-1]:
            continue
        band = float(np.interp(hertz, centres, np.arange(len(centres))))
        percent = 100 - (band + 0.5) / len(centres) * 100
        if not marks or marks[-1][0] - percent >= _APART:
            marks.append((percent, f"{hertz // 1000} kHz" if hertz >= 1000 else f"{hertz} Hz"))
    return tuple(marks)


def _times(seconds: float) -> tuple[tuple[float, str], ...]:
    every = next((size for size in (0.2, 0.5, 1, 2, 5, 10) if seconds / size <= 6), 60)
    return tuple((k * every / seconds * 100, f"{k * every:g} s") for k in range(int(seconds / every + 1e-6) + 1))
