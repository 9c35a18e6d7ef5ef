"""A video of any length as segments of the model's length that overlap; a few of them are in memory, however long it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from v2a.geometry import Geometry
from v2a.media.reading import Segment


@dataclass(frozen=True)
class Window:
    """A segment as the encoder takes it.

    Attributes:
        index: 0, 1, ….
        start: its first frame, counted from the video's.
        video: uint8 `[T, H, W, 3]`; after the video's end its last frame is repeated.
        last: the video ends with it.
    """

    index: int
    start: int
    video: npt.NDArray[np.uint8]
    last: bool


def overlap_frames(geometry: Geometry, overlap_s: float) -> int:
    """Frames that neighbouring windows share, 1 at least.

    Raises:
        ValueError: more than half a segment.
    """
    frames = max(1, round(overlap_s * geometry.fps))
    if 2 * frames > geometry.frames:
        raise ValueError(
            f"expected overlap_s of at most {geometry.segment_s / 2:g} s, half a segment of this model, but got {overlap_s:g}"
        )
    return frames


def windows(segments: Iterable[Segment], geometry: Geometry, overlap: int) -> Iterator[Window]:
    """Windows that begin every T - overlap frames; the last one is moved back so that it ends with the video.

    So nothing but a video that is shorter than a segment is ever filled up. The segments are all taken before the last window is
    given.

    Args:
        segments: of a video, one after another.
        geometry: of both.
        overlap: frames that neighbours share, 1 to T / 2.
    """
    whole, hop = geometry.frames, geometry.frames - overlap
    held: npt.NDArray[np.uint8] = np.empty((0, geometry.height, geometry.width, 3), np.uint8)
    begin = index = 0  # frame number of the first that is held; of the next window
    for segment in segments:
        held = np.concatenate([held, segment.video[: segment.frames]])
        # Not before a frame more is there: it might be the last.
        while begin + len(held) > index * hop + whole:
            start = index * hop - begin
            yield Window(index, index * hop, held[start : start + whole], False)
            held, begin = held[start:], index * hop  # the last window may begin anywhere after this one
            index += 1
    total = begin + len(held)
    if total == 0:
        return
    start = max(0, total - whole)
    video = held[start - begin :]
    if len(video) < whole:
        video = np.concatenate([video, np.repeat(video[-1:], whole - len(video), axis=0)])
    yield Window(index, start, video, True)
