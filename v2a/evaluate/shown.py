"""Which clips are on the sheet; imports nothing heavy."""

from __future__ import annotations

from collections.abc import Sequence


def spread(videos: Sequence[str], most: int) -> list[int]:
    """Places of `most` clips, evenly through them and of as many videos as there are places; nobody picks the good ones.

    Args:
        videos: of each measured clip, in their order, the name of what it is counted as one of.
        most: places on the sheet.
    """
    first: dict[str, int] = {}
    for place, video in enumerate(videos):
        first.setdefault(video, place)
    firsts = set(first.values())
    row = [*first.values(), *(place for place in range(len(videos)) if place not in firsts)]
    pool = list(first.values()) if len(first) >= most else row
    count = min(most, len(pool))
    return [pool[place * len(pool) // count] for place in range(count)]
