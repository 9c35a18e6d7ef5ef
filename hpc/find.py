"""Runs by the names that people give them."""

from __future__ import annotations

import difflib
import os
import shlex
from pathlib import Path

from hpc.job import JobError
from hpc.record import ATTEMPTS, RUN

RUNS = Path("runs")  # where they are unless it is said
_MOST_NAMED = 5


def all_runs(runs: Path) -> list[Path]:
    """Folders of all runs, oldest first."""
    try:
        found = [path for path in runs.iterdir() if is_run(path)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(found, key=lambda path: (_written(path), path.name))


def find_run(runs: Path, name: str) -> Path:
    """The folder of a run.

    Args:
        runs: folder of all runs.
        name: the run's folder, its name in `runs`, or a beginning of it that no other has.

    Raises:
        JobError: there is none, or several begin so; names the nearest.
    """
    for path in (runs / name, Path(name)):
        if name and is_run(path):
            return path.resolve()
    known = [path.name for path in all_runs(runs)]
    fitting = [one for one in known if name and one.startswith(name)]
    if len(fitting) == 1:
        return (runs / fitting[0]).resolve()
    if fitting:
        raise JobError(f"several runs begin with {name!r}: {', '.join(fitting[:_MOST_NAMED])}; give more of the name")
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.4) or known[-_MOST_NAMED:]
    none = "there are none; python -m hpc.submit makes one, --runs names another folder"
    hint = f"there are: {', '.join(near)}" if near else none
    raise JobError(f"there is no run {name!r} in {runs}; {hint}")


def name_for_commands(run_dir: Path) -> str:
    """Words that name a run to `hpc.logs` and `hpc.cancel`, typed in this folder, quoted for a shell."""
    name, runs = shlex.quote(run_dir.name), os.path.realpath(run_dir.parent)
    return name if runs == os.path.realpath(RUNS) else f"{name} --runs {shlex.quote(runs)}"


def is_run(path: Path) -> bool:
    """Whether a folder holds a run, also one that no submission made."""
    try:
        return path.is_dir() and ((path / RUN).exists() or (path / ATTEMPTS).exists())
    except (OSError, ValueError):  # a name that is too long, or holds a null byte; a folder of somebody else's
        return False


def _written(path: Path) -> float:
    """When a run was submitted last; of one that a batch script started, when its record was written."""
    try:
        return (path / RUN if (path / RUN).exists() else path / ATTEMPTS).stat().st_mtime
    except OSError:
        return 0.0
