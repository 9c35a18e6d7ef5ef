"""Runs that were submitted to wait for others (`--after`), and which of those broke."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path

from hpc.find import is_run
from hpc.record import RESULT, RUN, read_json


def with_those_before(folders: list[Path]) -> list[Path]:
    """Runs, and those that the unfinished ones were submitted to wait for, and those before these."""
    found = dict.fromkeys(folders)
    left = list(folders)
    while left:
        new = [path for path in runs_before(left.pop()) if path not in found]
        found |= dict.fromkeys(new)
        left += new
    return list(found)


def runs_before(run_dir: Path) -> list[Path]:
    """Those that a run was submitted to wait for and whose folders are there; none when it has finished."""
    after = None if (run_dir / RESULT).exists() else (read_json(run_dir / RUN) or {}).get("after")
    named = [Path(path) for path in after if isinstance(path, str)] if isinstance(after, list) else []
    return [path for path in named if is_run(path)]


def first_broken(run_dir: Path, silent: Container[Path], broken: Container[Path]) -> Path | None:
    """The run that keeps one from beginning: it broke, and the runs between them never began.

    Args:
        run_dir: folder of the run that waited.
        silent: those that ended before they began, and nobody is known to have wanted that.
        broken: those that ended and did not finish.

    Returns:
        Its folder; None when nothing before the run broke.
    """
    at, found = run_dir, None
    seen: set[Path] = set()
    while at in silent and at not in seen:
        seen.add(at)
        before = [path for path in runs_before(at) if path in broken]
        if not before:
            break
        at = found = before[0]
    return found
