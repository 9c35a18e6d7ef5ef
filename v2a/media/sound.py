"""Sound on the picture's time line: pieces are put where their time stamps say, and silence is where nothing was put."""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.int16]

# Time stamps of containers are rounded (to 1 ms in Matroska, to a frame in AVI): below this, pieces follow each other without a
# seam. Each piece is compared with its own time stamp, so an error under this never grows.
_JITTER_S = 0.02


class SoundLine:
    """Mono sound by sample number, counted in the container's own time until `begin` says which sample slot 0 starts with.

    Pieces that lie before slot 0 are cut off; a gap is silence; an overlap loses the later piece's beginning. Only what was
    decoded is held, so a time stamp that is years ahead costs nothing.

    Attributes:
        decoded: samples put in, whatever became of them.
        held: samples that wait.
        ended: there is no more.
    """

    def __init__(self, rate: int) -> None:
        self.decoded = 0
        self.held = 0
        self.ended = False
        self._tolerance = round(_JITTER_S * rate)
        self._pieces: deque[tuple[int, Samples]] = deque()
        self._next: int | None = None  # sample after the last one that was put in
        self._first: int | None = None  # where the first piece began
        self._origin: int | None = None
        self._taken = 0  # first sample that was not given out, in the container's time

    def begin(self, origin: int) -> None:
        """Sample number `origin` is the first of slot 0."""
        self._origin = self._taken = origin
        pieces, self._pieces, self.held = self._pieces, deque(), 0
        for start, samples in pieces:
            self._keep(start, samples)

    @property
    def begun(self) -> bool:
        """Whether it is known where slot 0 is."""
        return self._origin is not None

    @property
    def begins_late(self) -> bool:
        """Whether the first piece lies after slot 0, or the end was reached without any."""
        first = self._first
        return self._origin is not None and (self.ended if first is None else first > self._origin)

    def put(self, start: int | None, samples: Samples) -> None:
        """Add a piece.

        Args:
            start: its first sample's number; None: it follows the piece before it.
            samples: int16 `[n]`.
        """
        self.decoded += len(samples)
        follows = self._next
        if start is None:
            start = 0 if follows is None else follows
        if follows is not None:
            if abs(start - follows) <= self._tolerance:
                start = follows
            elif start < follows:
                samples, start = samples[follows - start :], follows
        self._next = start + len(samples)
        self._first = start if self._first is None else self._first
        self._keep(start, samples)

    def end(self) -> None:
        """There is no more."""
        self.ended = True

    def known_until(self, count: int) -> bool:
        """Whether the first `count` samples of the time line, and all before them, have been put in."""
        return self.ended or (
            self._origin is not None and self._next is not None and self._next >= self._origin + count
        )

    def take(self, count: int) -> Samples:
        """The next `count` samples, int16 `[count]`, a fresh array; zero where there is no sound."""
        out = np.zeros(count, np.int16)
        first, last = self._taken, self._taken + count
        while self._pieces and self._pieces[0][0] < last:
            start, samples = self._pieces.popleft()
            self.held -= len(samples)
            inside = samples[: last - start]
            out[start - first : start - first + len(inside)] = inside
            if len(inside) < len(samples):
                self._pieces.appendleft((last, samples[len(inside) :]))
                self.held += len(samples) - len(inside)
        self._taken = last
        return out

    def start_over(self) -> None:
        """Forget what waits: the sound will be put in again from its beginning, and what was given out is skipped."""
        self._pieces.clear()
        self.held = 0
        self._next = self._first = None
        self.ended = False

    def _keep(self, start: int, samples: Samples) -> None:
        if self._origin is not None and start < self._taken:
            samples, start = samples[self._taken - start :], self._taken
        if len(samples):
            self._pieces.append((start, samples))
            self.held += len(samples)
