"""Which packets' pictures no slot shows, known before they are decoded: those that nothing refers to need not be decoded at all."""

from __future__ import annotations

import bisect
from collections import deque
from collections.abc import Iterator
from typing import Any

from v2a.media.timeline import PictureClock

# Decoders that leave a picture out exactly when asked to and no other picture refers to it, and containers whose packets carry one
# picture each with both its time stamps (checked packet by packet, too).
_CODECS = ("h264", "hevc")
_FORMATS = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "flv")
_REMEMBERED = 64  # time stamps; pictures are reordered by at most 16


class Foresight:
    """Holds video packets back until the time of the next picture is known for certain.

    A packet's picture is shown from its own time to that of the next picture in order of presentation. That one is known as soon as
    decoding times have passed it, because no picture is presented before it is decoded. If no slot begins in between, the picture
    is never seen. Anything irregular (a time stamp that is missing or goes backwards, an error) ends the skipping for good.
    """

    def __init__(self, codec: str, format_name: str, clock: PictureClock) -> None:
        self.active = codec in _CODECS and format_name in _FORMATS
        self._clock = clock
        self._waiting: deque[Any] = deque()
        self._times: list[int] = []  # of packets read so far, sorted; the latest ones
        self._reached: int | None = None  # decoding time

    def give(self, packet: Any) -> Iterator[tuple[Any, bool]]:
        """The next packet of the file: packets that can be decoded now, each with whether its picture is never seen."""
        self._waiting.append(packet)
        if self.active:
            self._learn(packet)
        while self._waiting:
            hidden = self._hidden(self._waiting[0])
            if hidden is None:
                return
            yield self._waiting.popleft(), hidden

    def rest(self) -> Iterator[tuple[Any, bool]]:
        """Packets that are still held back at the end."""
        while self._waiting:
            yield self._waiting.popleft(), False

    def _learn(self, packet: Any) -> None:
        pts, dts = packet.pts, packet.dts
        regular = pts is not None and dts is not None and pts >= dts and (self._reached is None or dts > self._reached)
        if not regular:
            self.active = False
            return
        self._reached = dts
        bisect.insort(self._times, pts)
        if len(self._times) > _REMEMBERED:
            del self._times[0]

    def _hidden(self, packet: Any) -> bool | None:
        """Whether no slot shows it; None when that cannot be known yet."""
        if not self.active or not self._clock.frames:
            return False
        after = bisect.bisect_right(self._times, packet.pts)
        if after == len(self._times):
            return None
        following = self._times[after]
        assert self._reached is not None
        if following > self._reached:
            return None
        return not self._clock.shows(packet.pts, following)
