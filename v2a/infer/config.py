"""Config of the stage `infer`; imports nothing heavy."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar

from v2a.config import choose
from v2a.prepare.config import FITS, Limit


@dataclass
class Config:
    """What to make sound for, and how.

    Attributes:
        videos: a folder (with all below it), a video, a text file with one path a line, or a CSV with a column `path`.
        model: a model's folder from `python -m v2a.export` of an `audio` run, or the run's folder, whose last checkpoint is taken.
        out: folder of the videos with sound; made when missing.
        seed: of the noise that is drawn; the same seed makes the same bytes.
        overlap_s: seconds that neighbouring segments share; their sounds are faded into each other in the middle of it. At most
            half a segment.
        fit: how another shape becomes the model's: "stretch", "crop" or "pad", as the model's training data was prepared.
        device: "auto" (a GPU for each process in turn, the CPU where there is none), "cpu", "cuda", "cuda:1", ….
        beam: sums of vectors that are kept while a group's codes are looked for, at most the model's own number (`model.beam` of
            stage 1): fewer are faster and give codes that are a little farther from the picture.
        threads: segments of a video that a process works on at once, on a CPU, each in one thread; the bytes are the same. 0 is
            one; or one a core, 8 at most, when the command's only input is a video.
        lease_s: seconds after which another process may take over a video whose process gives no sign of life any more.
        retry_failures: try again what failed before.
        limit: what one video may cost.
    """

    SAME_RESULT: ClassVar[tuple[str, ...]] = ("device", "threads", "lease_s")

    videos: str = "videos"
    model: str = "models/audio"
    out: str = "sounds"
    seed: int = 0
    overlap_s: float = 1.0
    fit: str = "stretch"
    beam: int = 2
    device: str = "auto"
    threads: int = 0
    lease_s: float = 120.0
    retry_failures: bool = False
    limit: Limit = field(default_factory=Limit)

    def __post_init__(self) -> None:
        """Refuse what cannot be done."""
        choose("fit", self.fit, FITS)
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"expected a seed from 0 to 2**63 - 1, but got seed={self.seed}")
        if not (self.overlap_s > 0 and math.isfinite(self.overlap_s)):
            raise ValueError(f"expected overlap_s above 0, but got {self.overlap_s:g}")
        if not 1 <= self.beam <= 256:
            raise ValueError(f"expected beam from 1 to 256, but got {self.beam}")
        if not 0 <= self.threads <= 256:
            raise ValueError(f"expected threads from 0 to 256, but got {self.threads}")
        if not 1 <= self.lease_s <= 86400:
            raise ValueError(f"expected lease_s from 1 to 86400, but got {self.lease_s:g}")
        for name, example in (("out", "sounds"), ("model", "models/audio")):
            if not getattr(self, name):
                raise ValueError(f"expected {name} to name a folder, but got {name}=; try {name}={example}")
