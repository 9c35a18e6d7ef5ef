"""Frames in slots and sound on a line become segments; the same for every reader."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from v2a.geometry import Geometry
from v2a.media.reading import Segment
from v2a.media.sound import SoundLine

# More picture than this waiting for its sound, or this much sound waiting for its picture: the file is badly interleaved.
MAX_WAITING_SEGMENTS = 8
_MAX_WAITING_SAMPLES = 32 << 20  # 64 MB, 35 minutes at 16 kHz


class Assembler:
    """Collects slots in order and gives segments out as soon as their sound is there, too.

    Every segment's arrays are new ones: whoever takes a segment may keep it. At most `MAX_WAITING_SEGMENTS` wait here.
    """

    def __init__(self, geometry: Geometry, start_s: float, limit: int | None) -> None:
        """Start at slot 0.

        Args:
            geometry: of the segments.
            start_s: of slot 0, seconds after the video's first frame.
            limit: slots that are wanted; None for all.
        """
        self.geometry = geometry
        self.sound = SoundLine(geometry.sample_rate)
        self.slots = 0  # filled
        self.start_s = start_s
        self._limit = limit
        self._full: deque[npt.NDArray[np.uint8]] = deque()
        self._open: npt.NDArray[np.uint8] | None = None
        self._carried: npt.NDArray[np.uint8] | None = None  # copy of the last picture of the latest whole segment
        self._given = 0

    @property
    def wants_picture(self) -> bool:
        """Whether any slot that is wanted is still empty."""
        return self._limit is None or self.slots < self._limit

    @property
    def complete(self) -> bool:
        """Whether picture and sound of all slots that are wanted are there."""
        return not self.wants_picture and self.sound.known_until(self.geometry.samples_until(self.slots))

    @property
    def skewed(self) -> bool:
        """Whether picture and sound lie so far apart in the file that they must be read separately."""
        return len(self._full) >= MAX_WAITING_SEGMENTS or self.sound.held > _MAX_WAITING_SAMPLES

    @property
    def lacks_sound(self) -> bool:
        """Whether picture waits for sound."""
        return not self.sound.known_until(self.geometry.samples_until(self.slots))

    def slot(self) -> npt.NDArray[np.uint8]:
        """The next slot's picture, uint8 `[H, W, 3]`, to be written to; `filled` takes it in."""
        if self._open is None:
            size = self.geometry
            self._open = np.empty((size.frames, size.height, size.width, 3), np.uint8)
        picture: npt.NDArray[np.uint8] = self._open[self.slots % self.geometry.frames]
        return picture

    def filled(self) -> None:
        """The slot's picture is written."""
        self.slots += 1
        if self.slots % self.geometry.frames == 0:
            assert self._open is not None
            self._carried = self._open[-1].copy()
            self._full.append(self._open)
            self._open = None

    def hold(self, count: int) -> None:
        """Show the picture of the slot before in `count` more slots, as far as they are wanted."""
        before = self._before()
        for _ in range(count):
            if not self.wants_picture:
                return
            self.slot()[:] = before
            self.filled()

    def ready(self) -> Iterator[Segment]:
        """Whole segments whose sound is known."""
        while self._full and self.sound.known_until((self._given + 1) * self.geometry.samples):
            yield self._segment(self._full.popleft(), self.geometry.frames)

    def rest(self) -> Iterator[Segment]:
        """All that is left, the last segment filled up with its last picture and silence; there is no more to come."""
        self.sound.end()
        yield from self.ready()
        real = self.slots % self.geometry.frames
        if self._open is not None and real:
            self._open[real:] = self._open[real - 1]
            yield self._segment(self._open, real)
            self._open = None

    def _segment(self, video: npt.NDArray[np.uint8], frames: int) -> Segment:
        index = self._given
        self._given += 1
        audio = self.sound.take(self.geometry.samples)
        audio[self.geometry.samples_until(frames) :] = 0
        return Segment(index, self.start_s + index * self.geometry.segment_s, video, audio, frames)

    def _before(self) -> npt.NDArray[np.uint8]:
        if self._open is not None and self.slots % self.geometry.frames:
            picture: npt.NDArray[np.uint8] = self._open[self.slots % self.geometry.frames - 1]
            return picture
        assert self._carried is not None
        return self._carried
