"""Time stamps that start anew in the middle of a transport or program stream, corrected as ffmpeg's program corrects them."""

from __future__ import annotations

from typing import Any

_TS_DISCONT = 0x0200  # AVFMT_TS_DISCONT: formats whose time stamps may jump
_THRESHOLD_US = 10_000_000  # ffmpeg's -dts_delta_threshold
_BACKWARDS_US = 100_000  # ffmpeg_demux.c: a stream that steps back by a tenth of a second has started anew
_MICRO = 1_000_000


class Continuity:
    """Shifts the packets of all streams together, so that sound stays with its picture across a jump."""

    def __init__(self, format_flags: int) -> None:
        self._applies = bool(format_flags & _TS_DISCONT)
        self._shift_us = 0
        self._latest_us: int | None = None  # dts of the latest packet of any stream
        self._next_us: dict[int, int] = {}  # stream -> dts that its next packet should have
        self._dts_us: dict[int, int] = {}

    def correct(self, packet: Any) -> None:
        """Change a packet's time stamps in place."""
        if not self._applies or packet.time_base is None:
            return
        unit = packet.time_base * _MICRO
        stream = packet.stream.index
        if packet.dts is not None:
            dts = round(packet.dts * unit) + self._shift_us
            jump = self._jump(stream, dts)
            self._shift_us -= jump
            dts -= jump
            self._latest_us = self._dts_us[stream] = dts
            self._next_us[stream] = dts + round((packet.duration or 0) * unit)
        if self._shift_us:
            ticks = round(self._shift_us / unit)
            packet.pts = None if packet.pts is None else packet.pts + ticks
            packet.dts = None if packet.dts is None else packet.dts + ticks

    def _jump(self, stream: int, dts: int) -> int:
        """By how much this packet is off, µs; 0 when it follows."""
        expected = self._next_us.get(stream)
        if expected is None:
            delta = 0 if self._latest_us is None else dts - self._latest_us
            return delta if abs(delta) > _THRESHOLD_US else 0
        delta = dts - expected
        backwards = dts + _BACKWARDS_US < self._dts_us[stream]
        return delta if abs(delta) > _THRESHOLD_US or backwards else 0
