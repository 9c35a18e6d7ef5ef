"""When frames are shown: slots of a constant rate, filled from frames that come at any time."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from fractions import Fraction


def begin_ticks(start_s: float, tick: Fraction) -> int:
    """Where a request begins, in ticks of the video after its first frame.

    Rounded down to a whole tick, so that every reader compares the same whole numbers.
    """
    return math.floor(Fraction(start_s).limit_denominator(10**6) / tick)


def slots_before(seconds: Fraction, fps: int) -> int:
    """Number of slots k = 0, 1, … with k / fps < seconds; never negative."""
    return max(0, math.ceil(seconds * fps))


class BestStamp:
    """libavcodec's "best effort" time stamp, which PyAV does not show: decoding times where presentation times prove wrong."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}
        self._faults = {"pts": 0, "dts": 0}

    def best(self, pts: int | None, dts: int | None) -> int | None:
        """The stamp to believe of a frame's two; None when it has neither (avcodec/decode.c, guess_correct_pts)."""
        for name, stamp, other in (("dts", dts, pts), ("pts", pts, dts)):
            if stamp is not None:
                self._faults[name] += stamp <= self._last.get(name, stamp - 1)
            if stamp is not None or other is not None:
                self._last[name] = stamp if stamp is not None else other  # type: ignore[assignment]
        believe_pts = self._faults["pts"] <= self._faults["dts"] or dts is None
        return pts if pts is not None and believe_pts else dts


@dataclass
class PictureClock:
    """Which slots a frame is shown in, from the frames' time stamps alone.

    Frame i with time t_i is shown in the slots k with t_i <= k / fps < t_(i+1): what a viewer sees at that moment. When time
    stamps go backwards, the later frame replaces the one before it, as ffmpeg's fps filter has it.

    Attributes:
        fps: slots per second.
        tick: seconds per unit of the time stamps.
        gap_s: a jump by more than this ends the picture.
        begin: ticks after the first frame at which slot 0 begins.
        frames: frames taken note of.
        unseen: frames that were left out because no slot shows them.
        known_first: the first frame's time stamp when frames before it, or after a jump to a key frame, are seen.
    """

    fps: int
    tick: Fraction
    gap_s: float
    begin: int = 0
    known_first: int | None = None
    frames: int = field(default=0, init=False)
    unseen: int = field(default=0, init=False)
    ended_by_gap: bool = field(default=False, init=False)
    gap_note: str = field(default="", init=False)
    ends_s: Fraction | None = field(default=None, init=False)  # after slot 0, by `end`
    _zero: int = field(default=0, init=False)  # time stamp of slot 0
    _first: int = field(default=0, init=False)  # time stamp of the first frame seen
    _last: int = field(default=0, init=False)  # time stamp of the latest frame
    _step: int = field(default=0, init=False)  # ticks between the latest two frames
    _next_slot: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        """Slots per tick as a fraction of whole numbers: this is done for every frame, and `Fraction` is slow."""
        self._up, self._down = (self.fps * self.tick).as_integer_ratio()
        self._gap = math.floor(Fraction(self.gap_s) / self.tick)

    @property
    def zero_s(self) -> Fraction:
        """Time stamp of slot 0, seconds in the container's own time."""
        return self._zero * self.tick

    @property
    def last_s(self) -> float:
        """Seconds of the latest frame after slot 0; negative before it."""
        return (self._last - self._zero) * self._up / (self._down * self.fps)

    @property
    def slots(self) -> int:
        """Slots whose picture is settled by the frames taken note of, and by `end`."""
        return self._next_slot

    @property
    def landed_late(self) -> bool:
        """After a jump: the first frame seen comes after slot 0, so another one should be shown there."""
        return self.frames > 0 and self._first > self._zero

    def note(self, stamps: deque[int]) -> None:
        """Take note of all these frames, up to a gap, and empty the queue."""
        while stamps:
            stamp = stamps.popleft()
            if not self.ended_by_gap:
                self.frame(stamp)

    def frame(self, stamp: int) -> int:
        """Take note of the next frame.

        Args:
            stamp: its time stamp, ticks in the container's own time.

        Returns:
            In how many slots the frame before it is shown. When `ended_by_gap` is set, this frame is not to be shown.
        """
        if self.frames == 0:
            self._first = stamp
            self._zero = (stamp if self.known_first is None else self.known_first) + self.begin
        elif stamp - self._last > self._gap:
            self.ended_by_gap = True
            self.gap_note = (
                f"its time stamps jump by {float((stamp - self._last) * self.tick):.0f} s at {max(0.0, self.last_s):.1f} s; "
                "what comes after that was left out"
            )
            return 0
        else:
            self._step = stamp - self._last if stamp > self._last else self._step
        self.frames += 1
        self._last = stamp
        return self._take(-(-(stamp - self._zero) * self._up // self._down)) if self.frames > 1 else 0

    def follows(self, own: int | None, usual_s: Fraction) -> int:
        """A time stamp for a frame that has none: after the one before it."""
        return self._last + (own or self._step or max(1, round(usual_s / self.tick))) if self.frames else 0

    def shows(self, stamp: int, following: int) -> bool:
        """Whether any slot shows a frame with this time stamp when the next frame has the other one."""
        first = -(-(stamp - self._zero) * self._up // self._down)
        return max(0, first) < -(-(following - self._zero) * self._up // self._down)

    def known_slots(self) -> int:
        """Slots whose frame cannot change any more, the latest frame's own first slot included."""
        return max(0, (self._last - self._zero) * self._up // self._down + 1) if self.frames else 0

    def end(self, own: int | None, usual_s: Fraction) -> int:
        """The picture has ended: in how many slots the last frame is shown.

        Args:
            own: the last frame's duration in ticks as the file says; None or 0 when it says nothing.
            usual_s: a frame's usual duration, s, for a video of a single frame.
        """
        if self.frames == 0:
            return 0
        hold = (own or 0) * self.tick
        if not 0 < hold <= self.gap_s or self.ended_by_gap:
            hold = self._step * self.tick if self._step else usual_s
        self.ends_s = (self._last - self._zero) * self.tick + hold
        return self._take(slots_before(self.ends_s, self.fps))

    def _take(self, until: int) -> int:
        count = max(0, until - self._next_slot)
        self._next_slot += count
        return count
