"""The one value from which every length follows: frames of a segment, samples of a segment, the latent grid."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MAX_PIXELS = 4096 * 4096


@dataclass(frozen=True)
class Geometry:
    """Size and rates of a clip. The defaults are the paper's (section 3: 256x144 in colour, segments of 10 s).

    Attributes:
        width: pixels.
        height: pixels.
        fps: frames per second, at a constant rate.
        segment_s: seconds of one clip.
        sample_rate: of the mono sound, Hz.
    """

    width: int = 256
    height: int = 144
    fps: int = 10
    segment_s: float = 10.0
    sample_rate: int = 16000

    def __post_init__(self) -> None:
        """Refuse what has no whole number of frames and samples."""
        for name in ("width", "height", "fps", "sample_rate"):
            if getattr(self, name) < 1:
                raise ValueError(f"expected {name} of at least 1, but got {name}={getattr(self, name)}")
        if not self.width * self.height <= MAX_PIXELS:
            raise ValueError(f"expected at most {MAX_PIXELS} pixels, but got {self.width}x{self.height}")
        if not 0 < self.segment_s <= 3600:
            raise ValueError(f"expected segments of up to 3600 s, but got segment_s={self.segment_s:g}")
        for name, rate in (("frames", self.fps), ("samples", self.sample_rate)):
            count = self.segment_s * rate
            if count < 1 or abs(count - round(count)) > 1e-6:
                raise ValueError(
                    f"expected a whole number of {name} in a segment, but {self.segment_s:g} s at {rate}/s are {count:g}"
                )

    @property
    def frames(self) -> int:
        """Frames of a segment, T."""
        return round(self.segment_s * self.fps)

    @property
    def samples(self) -> int:
        """Sound samples of a segment, S."""
        return round(self.segment_s * self.sample_rate)

    @property
    def frame_bytes(self) -> int:
        """Bytes of one frame in RGB."""
        return self.width * self.height * 3

    def samples_until(self, frame: int) -> int:
        """Samples before the start of a frame, counted from the same moment."""
        return frame * self.sample_rate // self.fps

    def latent_grid(self, strides: Sequence[tuple[int, int, int]]) -> tuple[int, int, int]:
        """Latent steps in time, height and width after convolutions of these strides (time, height, width).

        Raises:
            ValueError: a length is not a multiple of its strides; names the nearest that is.
        """
        grid = []
        for axis, (name, length) in enumerate(
            (("frames", self.frames), ("height", self.height), ("width", self.width))
        ):
            stride = 1
            for step in strides:
                stride *= step[axis]
            if length % stride:
                near = max(stride, round(length / stride) * stride)
                raise ValueError(
                    f"expected {name} a multiple of {stride} (the product of its strides), but got {length}; {near} is"
                )
            grid.append(length // stride)
        return grid[0], grid[1], grid[2]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON and HDF5 attributes."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Geometry:
        """The inverse of `as_dict`.

        Raises:
            ValueError: a field is missing, unknown, or out of range.
        """
        kinds = {"width": int, "height": int, "fps": int, "segment_s": float, "sample_rate": int}
        if set(values) != set(kinds):
            raise ValueError(
                f"expected a geometry of {', '.join(kinds)}, but got {', '.join(sorted(values)) or 'nothing'}"
            )
        return cls(**{name: kind(values[name]) for name, kind in kinds.items()})

    def __str__(self) -> str:
        return f"{self.width}x{self.height}, {self.fps} frames/s, {self.segment_s:g} s, {self.sample_rate} Hz"
