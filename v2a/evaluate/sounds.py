"""The sounds of the clips on the sheet, as WAV: to listen to, and for the pictures."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from scipy.io import wavfile

from v2a.metrics.correlation import Array
from v2a.whole import write_whole

FOLDER = "wav"


def wave_path(out: Path, place: int, name: str) -> Path:
    """Of a candidate's sound of the clip at this place of the sheet."""
    return out / FOLDER / f"{place:02d}-{name}.wav"


def write_wave(out: Path, place: int, name: str, wave: Array, sample_rate: int) -> None:
    """Samples of full scale 1 as 16-bit mono; louder ones are cut."""
    file = io.BytesIO()
    wavfile.write(file, sample_rate, np.clip(np.round(wave * 32767), -32768, 32767).astype(np.int16))
    write_whole(wave_path(out, place, name), file.getvalue())


def read_wave(out: Path, place: int, name: str) -> Array | None:
    """What `write_wave` wrote, full scale 1; None when there is none."""
    try:
        _, samples = wavfile.read(wave_path(out, place, name))
    except (FileNotFoundError, ValueError):
        return None
    wave: Array = samples.astype(np.float32) / np.float32(32767)
    return wave
