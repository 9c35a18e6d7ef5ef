"""What makes two clips the same one; nothing else in this project decides it."""

from __future__ import annotations

from v2a.shards.records import ClipRow, Moment


def moment_of(start_s: float, frames: int) -> Moment:
    """Where a clip lies in its video: begin in whole microseconds, and its real frames.

    Two clips may begin together and differ in length: a span that ends early leaves a short one, filled up with its last frame.
    """
    return round(start_s * 1_000_000), frames


def clip_key(row: ClipRow) -> tuple[str, int, int]:
    """Equal for clips of equal picture and sound: content of the video, begin in microseconds, real frames."""
    return row.content, *moment_of(row.start_s, row.frames)
