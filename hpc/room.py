"""A full disk: how a run knows it, and how long it waits for somebody to make room."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

_FULL = (errno.ENOSPC, errno.EDQUOT)
_FIRST_S = 60.0  # people look soon after a full disk was noticed, or much later
_LONGEST_S = 3600.0


def is_full(error: BaseException | None) -> bool:
    """Whether an error, or one that it came from, says that a disk or a quota is full.

    By its number, or in words: HDF5's errors, and those of tasks that failed in another process, have no number.
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, OSError) and error.errno in _FULL:
            return True
        if any(os.strerror(number) in str(error) for number in _FULL):
            return True
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return False


def has_room(folder: Path) -> bool:
    """Whether a small file can be written there now; true as well when something else than room is missing."""
    from hpc.preflight.disk import write_error

    return write_error(folder) not in _FULL


def wait_s(ends: Sequence[Mapping[str, Any]]) -> float:
    """Seconds until it is worth another try: twice as long after each of the last attempts that met a full disk.

    Args:
        ends: outcomes of the attempts; the last one met a full disk (`full`).
    """
    before = 0
    for end in reversed(ends[:-1]):
        if not end.get("full"):
            break
        before += 1
    return min(_LONGEST_S, _FIRST_S * float(1 << min(before, 10)))


def say(text: str, *, wrong: bool = False) -> None:
    """Print a line; output that goes to a file on the full disk is lost, and stops nothing.

    Args:
        text: the line.
        wrong: print it to standard error.
    """
    with suppress(OSError):
        print(text, file=sys.stderr if wrong else sys.stdout, flush=True)
