"""Reading a whole video in a test, and finding flashes and clicks in what came out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from v2a.geometry import Geometry
from v2a.media.readers import get_reader
from v2a.media.reading import Facts, MediaError, Request, Segment

SMALL = Geometry(width=64, height=36, fps=10, segment_s=2.0, sample_rate=16000)


@dataclass(frozen=True)
class Read:
    """All that a reader gave."""

    segments: list[Segment]
    facts: Facts | None
    error: MediaError | None

    @property
    def video(self) -> npt.NDArray[np.uint8]:
        """Real frames, uint8 `[n, H, W, 3]`."""
        return np.concatenate([segment.video[: segment.frames] for segment in self.segments])

    @property
    def audio(self) -> npt.NDArray[np.int16]:
        """int16 `[n]`, the padding of the last segment included."""
        return np.concatenate([segment.audio for segment in self.segments])


def read(reader: str, path: str | Path, geometry: Geometry = SMALL, **request: Any) -> Read:
    """Read to the end; a `MediaError` is part of the answer."""
    segments: list[Segment] = []
    facts = None
    try:
        with get_reader(reader).open(Request(str(path), geometry, **request)) as reading:
            facts = reading.facts
            segments.extend(reading)
    except MediaError as error:
        return Read(segments, facts, error)
    return Read(segments, facts, None)


def flashes(found: Read, fps: int = SMALL.fps) -> list[float]:
    """Seconds at which the picture becomes white."""
    bright = found.video.mean(axis=(1, 2, 3)) > 150
    return [float(k / fps) for k in np.flatnonzero(bright & ~np.concatenate([[False], bright[:-1]]))]


def clicks(found: Read, rate: int = SMALL.sample_rate) -> list[float]:
    """Seconds at which the sound becomes loud."""
    loud = np.flatnonzero(np.abs(found.audio.astype(int)) > 4000)
    return [float(n / rate) for i, n in enumerate(loud) if i == 0 or n - loud[i - 1] > rate // 10]
