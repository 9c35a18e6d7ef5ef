"""How codes and samples lie in time: a value from which the decoders' lengths follow."""

from __future__ import annotations

from dataclasses import dataclass

from v2a.geometry import Geometry

_HOP_S = 0.01


@dataclass(frozen=True)
class Grid:
    """Sizes of a segment's codes and of their sound.

    Attributes:
        steps: latent steps of a segment, t.
        rows, columns: codes of a step.
        samples: of sound that a latent step stands for.
        hop: samples from one control frame to the next, about 10 ms; a divisor of `samples`.
        frames: video frames of a latent step.
        sample_rate: Hz.
    """

    steps: int
    rows: int
    columns: int
    samples: int
    hop: int
    frames: int
    sample_rate: int

    @property
    def controls(self) -> int:
        """Control frames of a latent step."""
        return self.samples // self.hop


def make_grid(geometry: Geometry, strides: tuple[int, int, int]) -> Grid:
    """The grid of clips of this geometry, coded with these strides.

    Raises:
        ValueError: a latent step has no whole number of samples, or of samples for each of its frames; or these
            have no divisor near 10 ms.
    """
    steps, rows, columns = geometry.latent_grid([strides])
    frames = strides[0]
    samples, rest = divmod(frames * geometry.sample_rate, geometry.fps)
    if rest or samples % frames:
        near = geometry.fps * round(geometry.sample_rate / geometry.fps)
        raise ValueError(
            f"expected a sample rate that is a multiple of {geometry.fps}, the frames of a second, but got "
            f"{geometry.sample_rate} Hz; {near} is"
        )
    wanted = geometry.sample_rate * _HOP_S
    per_frame = samples // frames  # a whole number of hops fills each video frame
    hop = min((h for h in range(1, per_frame + 1) if per_frame % h == 0), key=lambda h: abs(h - wanted))
    if not wanted / 2 <= hop <= 2 * wanted:
        raise ValueError(
            f"expected {per_frame} samples of a frame to have a divisor between {wanted / 2:.0f} and {2 * wanted:.0f}, the length "
            f"of a control frame, but got none at {geometry.sample_rate} Hz and {geometry.fps} frames a second; 16000 Hz have "
            "one at 10"
        )
    return Grid(steps, rows, columns, samples, hop, frames, geometry.sample_rate)
