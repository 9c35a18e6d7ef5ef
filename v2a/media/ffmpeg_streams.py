"""What comes out of ffmpeg's pipes: raw frames into slots, samples onto the sound's line."""

from __future__ import annotations

from collections import deque

import numpy as np

from v2a.media.assemble import Assembler
from v2a.media.ffmpeg_process import FfmpegProcess, Pipe
from v2a.media.fit import Placement
from v2a.media.sound import SoundLine
from v2a.media.timeline import PictureClock

_READ_BYTES = 1 << 18


class PictureFeed:
    """Frames come one per slot, without a gap.

    The log says up to which slot they are settled: what comes after that is the last picture, held for its own time.

    Attributes:
        tail: slots beyond the settled ones that ffmpeg filled with the last picture.
    """

    def __init__(self, assembler: Assembler, clock: PictureClock, placement: Placement) -> None:
        self.tail = 0
        self._assembler = assembler
        self._clock = clock
        self._placement = placement
        shape = (placement.scaled_height, placement.scaled_width, 3)
        self._scaled = np.empty(
            shape, np.uint8
        )  # a frame that still must be turned, cut or padded, or that is not wanted
        self._got = 0  # bytes of the frame that is coming

    @property
    def held_too_long(self) -> bool:
        """The last picture is held for longer than a gap may be."""
        return self.tail > self._clock.gap_s * self._clock.fps

    def read(self, process: FfmpegProcess, pipe: Pipe) -> bool:
        """Take what the pipe has; whether any frame became complete."""
        came = False
        while not self._assembler.skewed:
            target = self._target()
            count = pipe.read_into(target[self._got :])
            if count == 0:
                break
            self._got += count
            if self._got == len(target):
                self._got = 0
                self._complete(process)
                came = True
        return came

    def hold_last(self, slots: int) -> None:
        """The picture has ended: the last one fills the slots before this number, as far as it came."""
        missing = slots - self._assembler.slots
        if self.tail and missing > 0 and self._assembler.wants_picture:
            self._assembler.filled()
            self._assembler.hold(missing - 1)

    def _direct(self) -> bool:
        return self._placement.plain and self._assembler.wants_picture and self.tail == 0

    def _target(self) -> memoryview:
        frame = self._assembler.slot() if self._direct() else self._scaled
        return memoryview(frame.reshape(-1))  # type: ignore[arg-type]

    def _complete(self, process: FfmpegProcess) -> None:
        if not self._assembler.wants_picture:
            return
        if self._assembler.slots >= self._clock.known_slots():
            process.hear()  # what ffmpeg said of a frame it said before it wrote it
            self._clock.note(process.log.frames)
        settled = self._assembler.slots < self._clock.known_slots()
        if not self._direct() and self.tail == 0:
            self._placement.put(self._scaled, self._assembler.slot())
        if settled:
            self._assembler.filled()
        else:
            self.tail += 1


class SoundFeed:
    """Samples come without time stamps; those of the pieces are in the log."""

    def __init__(self, line: SoundLine) -> None:
        self._line = line
        self._pcm = bytearray()

    def read(self, pipe: Pipe) -> None:
        """Take what the pipe has."""
        while len(self._pcm) < _READ_BYTES and (found := pipe.read()):
            self._pcm += found

    def sort(self, pieces: deque[tuple[int | None, int]]) -> None:
        """Put the pieces that have come whole where they belong."""
        used = 0
        while pieces and used + pieces[0][1] * 2 <= len(self._pcm):
            start, count = pieces.popleft()
            self._line.put(start, np.frombuffer(bytes(self._pcm[used : used + count * 2]), np.int16))
            used += count * 2
        del self._pcm[:used]

    @staticmethod
    def drain(pipe: Pipe) -> None:
        """Throw away what a pipe has: the sound is read elsewhere."""
        while not pipe.ended and pipe.read():
            pass
