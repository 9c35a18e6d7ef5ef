"""How an attempt of a run begins and ends, written into the run's record by its ranks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hpc.record import last_metrics, note, note_job, result_mark
from hpc.room import is_full
from hpc.world import World

_LONGEST = 2000  # characters of an error


class PreflightFailed(RuntimeError):  # noqa: N818 - the name says what happened
    """A node cannot take part; its preflight said why.

    Args:
        text: a sentence.
        full: there is no room for the run, which no other node would change.
    """

    def __init__(self, text: str, full: bool = False) -> None:
        super().__init__(text)
        self.full = full


class Stopped(RuntimeError):  # noqa: N818 - not an error of anybody's
    """Something asked the run to stop, and all ranks did, between two steps.

    Args:
        why: a sentence.
        final: it is not to go on by itself.
    """

    def __init__(self, why: str, *, final: bool = False) -> None:
        super().__init__(why)
        self.final = final


@contextmanager
def noting(run_dir: Path, world: World) -> Iterator[None]:
    """While a rank runs: "started" and "finished" or "stopped" by rank 0, "failed" by each rank that fails.

    Whatever happens passes through. A record that cannot be written, because the disk is full for example, stops nothing.
    """
    if world.rank == 0:
        job_id = _own_job(world)
        if job_id is not None:
            note_job(run_dir, job_id)
        nodes, restarts = os.environ.get("SLURM_JOB_NODELIST"), _restarts()
        where = {"job_id": job_id, "nodes": nodes, "slurm_restarts": restarts} if job_id else {}
        old = result_mark(run_dir)  # of a run that has finished before: not this attempt's
        note(run_dir, "started", host=world.host, ranks=world.size, pid=os.getpid(), **where, old_result=old)
    try:
        yield
    except Stopped as stopped:
        if world.rank == 0:
            note(run_dir, "stopped", why=str(stopped), step=_step(run_dir), final=stopped.final or None)
        raise
    except PreflightFailed as error:
        where = {"rank": world.rank, "unfit": None if error.full else _node(world)}
        note(run_dir, "failed", error=_text(error), step=_step(run_dir), **where, full=error.full or None)
        raise
    except Exception as error:
        # The same settings and data would fail in the same way; a folder that another process still holds will be free.
        busy, full = type(error).__name__ == "RunBusy", is_full(error)
        final = isinstance(error, ValueError) and not busy and not full
        why = {"final": final, "busy": busy or None, "full": full or None}
        which = {"rank": world.rank, "host": world.host, **why}
        note(run_dir, "failed", error=_text(error), step=_step(run_dir), **which)
        raise
    if world.rank == 0:
        note(run_dir, "finished", step=_step(run_dir))


def _own_job(world: World) -> str | None:
    """The job that is there for the run: that of ranks which srun started. Ranks of another launcher may be inside of any job, a
    person's whole session for example, that is not the run's to show or to cancel."""
    return world.job_id if world.source == "srun" else None


def _node(world: World) -> str:
    """As Slurm calls it, which is to keep away from it; a host may call itself otherwise."""
    return os.environ.get("SLURMD_NODENAME") or world.host


def _text(error: Exception) -> str:
    name = type(error).__name__
    text = str(error) if isinstance(error, (ValueError, OSError, PreflightFailed)) else f"{name}: {error}"
    return text[:_LONGEST]


def _step(run_dir: Path) -> object:
    return last_metrics(run_dir).get("step", 0)


def _restarts() -> int | None:
    text = os.environ.get("SLURM_RESTART_COUNT", "")
    return int(text) if text.isdecimal() else None
