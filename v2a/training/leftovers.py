"""What killed runs leave among the checkpoints, removed before it piles up."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

_DAMAGED_KEPT = 2  # for a person to look at


def remove_leftovers(folder: Path, found: bool) -> list[str]:
    """Remove files that were never finished, states without their note, and `.damaged` ones but the newest two.

    For whoever holds the run's lock: what another training writes looks alike. A checkpoint's note is written after its state and
    removed before it, so a state without a note is one that a kill left, or what a person took the note from; only when a
    checkpoint with both was found is it certain that nobody needs it. Names that the training does not give are left alone.

    Args:
        folder: of the checkpoints; may be missing.
        found: whether there is a sound checkpoint.

    Returns:
        The names of the removed, sorted.
    """
    names = {path.name for path in folder.glob("step-*")}
    unfinished = {name for name in names if re.fullmatch(r"step-[0-9]{8,}\.(pt|json)\.tmp", name)}
    states = {name for name in names if re.fullmatch(r"step-[0-9]{8,}\.pt", name)}
    alone = {name for name in states if name.removesuffix(".pt") + ".json" not in names} if found else set()
    damaged = [folder / name for name in names if re.fullmatch(r"step-[0-9]{8,}\.damaged", name)]
    old = {path.name for path in sorted(damaged, key=_age)[:-_DAMAGED_KEPT]}
    removed = []
    for name in sorted(unfinished | alone | old):
        with suppress(OSError):  # a file that stays costs room, and must not cost the run
            (folder / name).unlink()
            removed.append(name)
    return removed


def _age(path: Path) -> tuple[int, str]:
    return path.stat().st_mtime_ns, path.name
