"""Settings of a synthetic corpus; imports nothing heavy."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from v2a.geometry import Geometry

KINDS = ("flyby", "impacts")
FORMAT_VERSION = 1


@dataclass
class Config:
    """What to render. Clip i depends on the kind, the seed, i, the sizes and crf, and on nothing else.

    Attributes:
        out: folder of the files; made when it is not there.
        n: clips, numbered from 0; a larger n later adds to them.
        seed: of all clips; different seeds share none.
        seconds: of each clip.
        width, height: of the picture, pixels, even.
        fps: frames per second.
        sample_rate: of the sound, Hz, as AAC can carry it.
        crf: x264's constant rate factor: 0 (no loss) to 51; lower is larger and better.
        workers: processes; 0 is one for each core that this process may use.
    """

    out: str = ""
    n: int = 200
    seed: int = 0
    seconds: float = 10.0
    width: int = 640
    height: int = 360
    fps: int = 25
    sample_rate: int = 48000
    crf: int = 23
    workers: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be rendered or encoded."""
        if not self.out:
            raise ValueError("expected a folder for the videos, but got none; give out=DIR")
        if "\0" in self.out:
            raise ValueError("expected out without a zero byte, but got one; choose another folder")
        _within("n", self.n, 1, 1_000_000)
        _within("seed", self.seed, 0, 2**32 - 1)
        _within("width", self.width, 64, 4096)
        _within("height", self.height, 36, 4096)
        _within("fps", self.fps, 1, 120)
        _within("crf", self.crf, 0, 51)
        _within("workers", self.workers, 0, 1024)
        if not 0.5 <= self.seconds <= 120:
            raise ValueError(f"expected seconds from 0.5 to 120, but got seconds={self.seconds:g}")
        for name, value in (("width", self.width), ("height", self.height)):
            if value % 2:
                raise ValueError(
                    f"expected an even {name} (yuv420p halves it), but got {name}={value}; try {name}={value + 1}"
                )
        if not 1 / 3 <= self.width / self.height <= 4:
            raise ValueError(
                f"expected a picture up to 4 times as wide and 3 times as high, but got {self.width}x{self.height}"
            )
        if self.sample_rate not in (16000, 22050, 24000, 32000, 44100, 48000):
            raise ValueError(
                f"expected sample_rate 16000, 22050, 24000, 32000, 44100 or 48000, but got sample_rate={self.sample_rate}"
            )
        self.geometry()  # whole numbers of frames and samples

    def geometry(self) -> Geometry:
        """Size and rates of a clip.

        Raises:
            ValueError: the seconds hold no whole number of frames or samples.
        """
        return Geometry(self.width, self.height, self.fps, self.seconds, self.sample_rate)

    def processes(self) -> int:
        """Processes to render with: as asked for, never more than clips."""
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return min(self.workers or cores, self.n)

    def identity(self, kind: str) -> dict[str, Any]:
        """The settings on which the content of a clip depends, besides its number; they stand in its truth."""
        return {
            "format_version": FORMAT_VERSION,
            "kind": kind,
            "seed": self.seed,
            "crf": self.crf,
            "geometry": self.geometry().as_dict(),
        }


def _within(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ValueError(f"expected {name} from {low} to {high}, but got {name}={value}")
