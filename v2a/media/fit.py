"""How a picture of any shape becomes width x height: sizes to scale to, and what is then turned, cut off or added."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from v2a.media.reading import Fit

# A strip of 10000x16 pixels would be scaled to 90,000 pixels of width before "crop" takes 256 of them.
_MAX_STRETCH = 8


@dataclass(frozen=True)
class Placement:
    """From a stored picture to `[height, width]` of a clip: scale, turn, then cut off or put on black.

    Attributes:
        scaled_width, scaled_height: what a decoder scales the stored picture to, before it is turned, pixels.
        quarter_turns: counter-clockwise turns by 90 degrees.
        left, top: where the turned picture starts in the clip's, pixels; negative when that much is cut off.
        width, height: of the clip.
        enlarged: the picture grows in some direction.
    """

    scaled_width: int
    scaled_height: int
    quarter_turns: int
    left: int
    top: int
    width: int
    height: int
    enlarged: bool

    @property
    def plain(self) -> bool:
        """The scaled picture is the clip's picture as it stands."""
        return (self.scaled_width, self.scaled_height, self.quarter_turns) == (self.width, self.height, 0)

    @property
    def filter_name(self) -> str:
        """swscale's algorithm: "area" averages what becomes one pixel; it would show as blocks when a picture grows."""
        return "bicubic" if self.enlarged else "area"

    def put(self, scaled: npt.NDArray[np.uint8], clip: npt.NDArray[np.uint8]) -> None:
        """Write a scaled picture `[scaled_height, scaled_width, 3]` into a clip's frame `[height, width, 3]`, all of it."""
        turned = np.rot90(scaled, self.quarter_turns) if self.quarter_turns else scaled
        height, width = turned.shape[:2]
        top, left = max(self.top, 0), max(self.left, 0)
        bottom, right = min(self.top + height, self.height), min(self.left + width, self.width)
        if bottom - top < self.height or right - left < self.width:
            clip[:] = 0
        clip[top:bottom, left:right] = turned[top - self.top : bottom - self.top, left - self.left : right - self.left]


def place(
    fit: Fit, stored: tuple[int, int], pixel_aspect: Fraction | None, rotation: int, clip: tuple[int, int]
) -> Placement:
    """Where a picture goes.

    Args:
        fit: "stretch" ignores the shape, "crop" keeps the centre, "pad" adds black.
        stored: width and height before it is turned, pixels.
        pixel_aspect: width of a pixel ÷ its height; None or 0 when nothing says it.
        rotation: degrees counter-clockwise that a player turns it; the nearest quarter turn is taken.
        clip: width and height to come to, pixels.
    """
    turns = round(rotation / 90) % 4
    aside = turns % 2 == 1
    aspect = Fraction(stored[0], stored[1]) * (pixel_aspect or 1)  # as a player shows it, before it turns
    shape = 1 / aspect if aside else aspect
    width, height = _turned_size(fit, shape, clip)
    scaled = (height, width) if aside else (width, height)
    return Placement(
        scaled[0],
        scaled[1],
        turns,
        (clip[0] - width) // 2,
        (clip[1] - height) // 2,
        clip[0],
        clip[1],
        enlarged=scaled[0] > stored[0] or scaled[1] > stored[1],
    )


def _turned_size(fit: Fit, shape: Fraction, clip: tuple[int, int]) -> tuple[int, int]:
    """Width and height in the clip's pixels of a picture with this width ÷ height, before anything is cut off."""
    if fit == "stretch":
        return clip
    wider = shape > Fraction(clip[0], clip[1])
    if wider == (fit == "crop"):  # all of its height, whatever its width becomes
        width = round(clip[1] * shape)
        return (min(width, clip[0] * _MAX_STRETCH), clip[1]) if fit == "crop" else (max(1, width), clip[1])
    height = round(clip[0] / shape)
    return (clip[0], min(height, clip[1] * _MAX_STRETCH)) if fit == "crop" else (clip[0], max(1, height))
