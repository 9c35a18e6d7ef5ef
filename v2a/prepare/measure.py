"""What a clip is measured by, for the filters and the table: how loud it is, how much it moves."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

_FULL_SCALE = 32768.0
_STEP = 4  # every fourth pixel each way tells motion as well, in a sixteenth of the time


def level_db(audio: npt.NDArray[np.int16]) -> float:
    """RMS of sound, dB of full scale; -inf for digital silence, and for none at all."""
    if not audio.size:
        return -math.inf
    values = audio.astype(np.float32)
    mean_square = float(np.dot(values, values)) / values.size
    return 10 * math.log10(mean_square / _FULL_SCALE**2) if mean_square else -math.inf


def motion(video: npt.NDArray[np.uint8]) -> float:
    """Mean absolute difference of neighbouring frames `[T, H, W, 3]`, 0 to 255; 0 for a single frame."""
    if len(video) < 2:
        return 0.0
    small = video[:, ::_STEP, ::_STEP].astype(np.int16)
    return float(np.abs(np.diff(small, axis=0)).mean())
