"""What a rendered clip is, and the random draws that it is made from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from v2a.synthetic.config import KINDS

Floats = npt.NDArray[np.float64]
Frame = npt.NDArray[np.uint8]
SOUND_SPEED = 343.0  # m/s, dry air at 20 degrees


@dataclass(frozen=True)
class Clip:
    """One clip before it is encoded.

    Attributes:
        frames: gives each frame once, uint8 `[H, W, 3]` RGB; frame k shows the moment k / fps.
        sound: int16 `[S]`, mono; sample j is heard at j / sample_rate.
        truth: what is known of it, as JSON takes it.
    """

    frames: Iterator[Frame]
    sound: npt.NDArray[np.int16]
    truth: dict[str, Any]


def generator(kind: str, seed: int, index: int, part: str) -> np.random.Generator:
    """Independent draws for one part ("sky", "scene", …) of one clip: a change of one part leaves the others as they were."""
    return np.random.default_rng([KINDS.index(kind), seed, index, *part.encode()])


def to_pcm(sound: Floats) -> tuple[npt.NDArray[np.int16], int]:
    """Sound in -1..1 as int16, and how many samples had to be clipped (levels are chosen so that it is none)."""
    scaled = np.round(sound * 32767)
    return np.clip(scaled, -32767, 32767).astype(np.int16), int(np.count_nonzero(np.abs(scaled) > 32767))


def rounded(values: npt.ArrayLike, digits: int) -> Any:
    """Nested lists of numbers that JSON writes short: metres to the millimetre, not to the atom."""
    array = np.round(np.asarray(values, dtype=np.float64), digits) + 0.0  # + 0.0 turns -0.0 into 0.0
    return array.tolist()


def dump(truth: dict[str, Any]) -> bytes:
    """A truth as JSON, the same bytes for the same values; refuses infinities, which JSON has not."""
    return (json.dumps(truth, separators=(",", ":"), allow_nan=False) + "\n").encode()
