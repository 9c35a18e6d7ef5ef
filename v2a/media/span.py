"""Which part of a video is read: slots of the request, and from where decoding must start for it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from v2a.media.allowed import SEEKABLE_FORMATS
from v2a.media.reading import MediaError, Request

# Decoding starts at a key frame this long before the first slot: pictures just before a key frame in display order may be
# broken, Opus wants 80 ms and MP3 some frames to settle, and containers search by decoding time, which runs ahead.
_RUN_UP_S = 2
# After the last slot that is wanted, sound may still come this much later in the file before it is searched for separately.
SOUND_LAG_S = 10
_WORTH_S = 4.0  # below, reading from the beginning costs no more than the jump


@dataclass(frozen=True)
class Span:
    """The part of a video that a request names.

    Attributes:
        start_s: of slot 0, seconds after the video's first frame.
        limit: slots that are wanted; None up to the end.
    """

    start_s: float
    limit: int | None

    @classmethod
    def of(cls, request: Request) -> Span:
        """Check a request's times.

        Raises:
            MediaError: they are not numbers, negative, or in the wrong order.
        """
        start, end = request.start_s, request.end_s
        if not (math.isfinite(start) and start >= 0):
            raise MediaError("bad-span", f"expected a start of 0 s or later, but got {start:g}")
        if end is None:
            return cls(start, None)
        if not (math.isfinite(end) and end > start):
            raise MediaError("bad-span", f"expected an end after the start at {start:g} s, but got {end:g}")
        wanted = Fraction(end).limit_denominator(10**6) - Fraction(start).limit_denominator(10**6)
        return cls(start, max(1, math.ceil(wanted * request.geometry.fps)))

    def seek_to(self, format_name: str, first: int | None, tick: Fraction) -> int | None:
        """Time stamp in ticks to jump to; None when reading from the beginning is better or safer.

        Args:
            format_name: of the demuxer.
            first: the first frame's time stamp.
            tick: seconds of one unit.
        """
        if first is None or self.start_s < _WORTH_S or format_name not in SEEKABLE_FORMATS:
            return None
        return first + math.floor((Fraction(self.start_s) - _RUN_UP_S) / tick)
