"""What one video may cost, as the readers take it."""

from __future__ import annotations

from v2a.media.reading import Limits
from v2a.prepare.config import Limit


def limits_of(limit: Limit) -> Limits:
    """The same limits in the units of `v2a.media`."""
    return Limits(
        seconds=limit.minutes * 60,
        stall_s=limit.stall_s,
        file_bytes=int(limit.gigabytes * 1e9),
        pixels=int(limit.megapixels * 1e6),
        gap_s=limit.gap_s,
    )
