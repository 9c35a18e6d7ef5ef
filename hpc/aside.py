"""The result of a run that is to run once more: put aside until its new submission is accepted, and back when it is refused.

The new job must not find it, as it would pass for its own. It is kept under the number of submissions so far, in one step: when
the submission is killed, the next one sees by that number whether there was another since.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hpc.record import RESULT, RUN, attempts
from v2a.whole import write_whole


@contextmanager
def put_aside(run_dir: Path) -> Iterator[None]:
    """While a run is submitted: what `result.json` and `run.json` say of the time before is out of the way, and comes back when an
    error says that the run was not taken.

    Raises:
        OSError: it cannot be put aside; all is as it was.
    """
    _forget(run_dir)
    number = _submissions(run_dir)
    if (run_dir / RESULT).exists():
        with suppress(FileNotFoundError):
            write_whole(_aside(run_dir, RUN, number), (run_dir / RUN).read_bytes())
        os.replace(run_dir / RESULT, _aside(run_dir, RESULT, number))
    try:
        yield
    except Exception:
        _put_back(run_dir, number)
        raise
    _forget(run_dir)


def put_back(run_dir: Path) -> bool:
    """Undo a submission that was killed before the run was taken; whether there was one.

    The run neither waits nor runs, and nobody submits it.
    """
    return _put_back(run_dir, _submissions(run_dir))


def _put_back(run_dir: Path, number: int) -> bool:
    result = _aside(run_dir, RESULT, number)
    if not result.exists() or (run_dir / RESULT).exists():
        return False
    with suppress(FileNotFoundError):
        os.replace(_aside(run_dir, RUN, number), run_dir / RUN)
    os.replace(result, run_dir / RESULT)
    return True


def _forget(run_dir: Path) -> None:
    for name in (RESULT, RUN):
        for path in run_dir.glob(f".before-*-{name}"):
            path.unlink(missing_ok=True)


def _submissions(run_dir: Path) -> int:
    return sum(event["event"] == "submitted" for event in attempts(run_dir))


def _aside(run_dir: Path, name: str, number: int) -> Path:
    return run_dir / f".before-{number}-{name}"
