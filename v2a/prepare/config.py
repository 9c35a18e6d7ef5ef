"""Config of the prepare stage; imports nothing heavy."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import ClassVar

from v2a.config import choose
from v2a.geometry import Geometry
from v2a.shards.compression import COMPRESSIONS
from v2a.shards.splits import SPLITS

READERS = ("auto", "ffmpeg", "pyav")
FITS = ("stretch", "crop", "pad")
_HIGHEST = 1_000_000  # of any limit: two years, a petabyte


@dataclass
class Keep:
    """Which clips are kept.

    Attributes:
        short: a video shorter than one segment: "pad" repeats its last frame, with silence, and counts its real frames;
            "drop" lists it as a failure.
        min_fill: the remainder after the last whole segment is kept, padded likewise, when at least this part of a segment
            is real; 1 keeps whole segments only.
        silent: videos without any sound stream: "keep" (stage 1 needs no sound) or "drop".
        min_level_db: clips whose sound is quieter are left out, dB of full scale (RMS); -inf keeps all.
        min_motion: clips whose picture moves less are left out: mean absolute difference of neighbouring frames, 0 to 255.
    """

    short: str = "pad"
    min_fill: float = 0.9
    silent: str = "keep"
    min_level_db: float = float("-inf")
    min_motion: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what keeps nothing."""
        choose("keep.short", self.short, ("pad", "drop"))
        choose("keep.silent", self.silent, ("keep", "drop"))
        if not 0 <= self.min_fill <= 1:
            raise ValueError(f"expected keep.min_fill from 0 to 1, but got {self.min_fill:g}")
        if not self.min_level_db <= 0:
            raise ValueError(f"expected keep.min_level_db of 0 dB of full scale or less, but got {self.min_level_db:g}")
        if not 0 <= self.min_motion <= 255:
            raise ValueError(f"expected keep.min_motion from 0 to 255, but got {self.min_motion:g}")


@dataclass
class Split:
    """Parts of the videos, not of the clips, that are held out.

    Attributes:
        validation: part for validation, 0 to 1.
        test: part for the final test, 0 to 1.
        group: a regular expression searched in the file's name: videos whose match is the same stay in one split
            ("cuts of one recording"); its first group counts when it has one. Empty: by content.
        required: names of splits, with commas, that must have clips with sound: an error once the clips are counted, where an empty
            split is otherwise a note.
    """

    SAME_RESULT: ClassVar[tuple[str, ...]] = ("required",)

    validation: float = 0.1
    test: float = 0.1
    group: str = ""
    required: str = ""

    def __post_init__(self) -> None:
        """Refuse parts that leave nothing to train on."""
        if not (self.validation >= 0 and self.test >= 0 and self.validation + self.test < 1):  # not a number neither
            raise ValueError(
                "expected split.validation and split.test of at least 0 and under 1 together, "
                f"but got {self.validation:g} and {self.test:g}"
            )
        try:
            re.compile(self.group)
        except re.error as error:
            raise ValueError(f"expected a regular expression in split.group, but got {self.group!r}: {error}") from None
        for name in self.required_splits:
            choose("split.required", name, SPLITS)
            if getattr(self, name, 1) == 0:
                raise ValueError(f"expected split.{name} above 0, for split {name} is needed, but got split.{name}=0")

    @property
    def required_splits(self) -> list[str]:
        """Names of the splits that must have clips with sound."""
        return [name.strip() for name in self.required.split(",") if name.strip()]


@dataclass
class Limit:
    """What one video may cost.

    Attributes:
        minutes: minutes that reading one video may take; what was read until then is kept.
        stall_s: seconds that may pass without a new frame.
        gigabytes: largest size of a video's file, 10^9 bytes.
        megapixels: largest size of a frame, width times height in 10^6 pixels.
        gap_s: seconds; a longer jump of its time stamps ends a video there.
    """

    minutes: float = 240.0
    stall_s: float = 60.0
    gigabytes: float = 64.0
    megapixels: float = 67.2  # 8192 x 8192
    gap_s: float = 60.0

    def __post_init__(self) -> None:
        """Refuse limits that let nothing through."""
        for name in ("minutes", "stall_s", "gigabytes", "megapixels", "gap_s"):
            if not 0 < getattr(self, name) <= _HIGHEST:
                raise ValueError(
                    f"expected limit.{name} above 0 and at most {_HIGHEST}, but got {getattr(self, name):g}"
                )


@dataclass
class Config:
    """What to prepare, and as what.

    Attributes:
        videos: a folder (with all below it), a text file with one path a line, or a CSV with path,start_s,end_s,label.
        out: folder of the shards.
        preset: "paper" (256x144, 10 frames/s, 10 s, 16 kHz) or "tiny" (64x36, 2 s, 8 kHz: trains on a CPU in under a minute).
        geometry: size and rates of a clip.
        reader: "ffmpeg", "pyav", or "auto" for the faster one.
        fit: how another shape becomes the clip's: "stretch" (the paper), "crop" or "pad".
        threads: of each decoder.
        clips_per_shard: clips in one file.
        compression: of the frames: "none", "lz4" or "zstd"; smaller files, slower loading (docs/shards.md).
        retry_failures: try again what failed before.
    """

    PRESETS: ClassVar[dict[str, tuple[str, ...]]] = {
        "paper": (),
        "tiny": (
            "geometry.width=64",
            "geometry.height=36",
            "geometry.segment_s=2",
            "geometry.sample_rate=8000",
        ),
    }

    SAME_RESULT: ClassVar[tuple[str, ...]] = ("preset", "threads")

    videos: str = ""
    out: str = "data/clips"
    preset: str = "paper"
    geometry: Geometry = field(default_factory=Geometry)
    reader: str = "auto"
    fit: str = "stretch"
    threads: int = 1
    clips_per_shard: int = 100
    compression: str = "none"
    retry_failures: bool = False
    keep: Keep = field(default_factory=Keep)
    split: Split = field(default_factory=Split)
    limit: Limit = field(default_factory=Limit)

    def __post_init__(self) -> None:
        """Refuse what cannot be prepared."""
        choose("preset", self.preset, self.PRESETS)
        choose("reader", self.reader, READERS)
        choose("fit", self.fit, FITS)
        choose("compression", self.compression, COMPRESSIONS)
        for name in ("threads", "clips_per_shard"):
            if getattr(self, name) < 1:
                raise ValueError(f"expected {name} of at least 1, but got {name}={getattr(self, name)}")
        if not self.out:
            raise ValueError("expected a folder for the shards, but got out=; try out=data/clips")

    def identity(self) -> dict[str, object]:
        """What every clip of one dataset folder must have in common, as plain values."""
        return {
            "geometry": self.geometry.as_dict(),
            "fit": self.fit,
            "keep": {name: value if value != float("-inf") else "-inf" for name, value in vars(self.keep).items()},
            "group": self.split.group,
        }
