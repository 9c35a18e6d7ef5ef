"""Run one trial: what every rank of its job runs.

python -m sweeps.trial runs/vqvae-1a2b3c4d/trial-0003
mpirun -np 2 python -m sweeps.trial runs/vqvae-1a2b3c4d/trial-0003
"""

from __future__ import annotations

import argparse
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from hpc import worker
from hpc.fit import forget_fit
from hpc.listen import Listen
from hpc.outcome import PreflightFailed, Stopped
from hpc.room import is_full
from hpc.stage_settings import ConfigError
from hpc.team import stop_signals
from hpc.world import read_world
from sweeps.listener import Listener
from sweeps.trial_folder import Outcome, Task, forget_attempt, read_task, write_outcome, write_place

Train = Callable[[Listen | None, Callable[[], None]], Mapping[str, float]]
FIT_S = 900.0  # for so long a node that passed the preflight is only asked what may change: trials are short and many


class TrialFailed(RuntimeError):  # noqa: N818 - the name says what happened
    """A run ended with an error on this rank, and the others may not know; its outcome is written."""


def run_trial(rank: int, folder: Path, task: Task, train: Train) -> Outcome:
    """Run it on this rank, and leave its outcome in the folder.

    Args:
        rank: this process's; all ranks call this together.
        folder: the trial's.
        task: what it is; the same on all ranks.
        train: runs it, by `hpc.worker.run` or by a team of ranks that stays together; takes who listens, and what to call when the
            ranks have found each other.

    Returns:
        How it ended; on rank 0 with all that is known.

    Raises:
        TrialFailed: an error that other ranks may not have: these ranks are of no further use.
    """
    listener, begun, busy = Listener(task), time.monotonic(), time.process_time()

    def joined() -> None:
        nonlocal begun, busy
        begun, busy = time.monotonic(), time.process_time()

    try:
        metrics = dict(train(listener if task.metric else None, joined))
    except Exception as error:
        outcome = _ended_by(error, listener)
        if outcome is None:
            raise _failed(error, rank, folder) from error
    else:
        outcome = Outcome("complete", metrics=metrics, step=metrics.get("step", 0.0))
    if rank == 0:
        outcome = replace(outcome, seconds=time.monotonic() - begun, processor_s=time.process_time() - busy)
        write_outcome(folder, replace(outcome, unsaid=listener.finish()))
        print(f"trial {task.number}: {outcome.state} {outcome.reason}".rstrip(), flush=True)
    return outcome


def _ended_by(error: Exception, listener: Listener) -> Outcome | None:
    """How a run ended that all ranks left together; None when only some did."""
    if isinstance(error, Stopped):
        if listener.pruned_at is None:
            return Outcome("stopped", str(error))
        return Outcome("pruned", f"pruned at step {listener.pruned_at}", step=listener.pruned_at)
    if type(error).__name__ == "RunBusy":  # of v2a's training: not the run's fault, and over some time
        return Outcome("stopped", str(error))
    if isinstance(error, (FloatingPointError, ConfigError)):
        return Outcome("failed", str(error))
    return None


def _failed(error: Exception, rank: int, folder: Path) -> TrialFailed:
    """Write down why this rank failed. A node that is not fit, and another rank's death (`HorovodInternalError`, which is not
    imported: there may be no Horovod here), are not the trial's fault: without an outcome it is lost, and goes on elsewhere. A full
    disk is not either: it goes on when there is room."""
    reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    host = socket.gethostname()
    if is_full(error) or getattr(error, "full", False):  # somebody makes room: not the trial's fault
        with suppress(OSError):
            write_outcome(folder, Outcome("stopped", f"rank {rank} on {host}: {reason}"))
    elif type(error).__name__ != "HorovodInternalError":
        forget_fit(folder.parent, host)
        if not isinstance(error, PreflightFailed):
            write_outcome(folder, Outcome("failed", f"rank {rank} on {host}: {reason}"))
    return TrialFailed(reason)


def run_in_job(stage: str, overrides: Sequence[str], run_dir: Path, means: worker.Means) -> None:
    """One trial by the ranks of this job: `hpc.worker.run`, heard by its study. `hpc.launch.submit` takes it as a program.

    Args:
        stage: as of `hpc.worker.run`.
        overrides: as of `hpc.worker.run`.
        run_dir: as of `hpc.worker.run`; it holds the trial's task.
        means: as of `hpc.worker.run`.

    Raises:
        TrialFailed, ValueError: see `run_trial`; the folder is no trial's.
    """
    with stop_signals() as signals:
        task, rank = read_task(run_dir), read_world().rank
        if rank == 0:
            forget_attempt(run_dir)  # of this job before Slurm put it back into the queue
            # Before torch is loaded and the node is looked at: the driver may be stopped meanwhile.
            write_place(run_dir)

        def train(listen: Listen | None, joined: Callable[[], None]) -> Mapping[str, float]:
            heard = replace(means, fit_s=FIT_S, listen=listen, should_stop=signals.requested, joined=joined)
            return worker.run(stage, overrides, run_dir, heard)

        run_trial(rank, run_dir, task, train)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        prog="python -m sweeps.trial",
        description="Run one trial of a study; `sweeps.optuna_run` starts it, on every rank of the trial's job.",
        epilog="examples:\n" + (__doc__ or "").strip().split("\n\n")[1],
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    top.add_argument("folder", type=Path, metavar="FOLDER", help="the trial's folder, which says what to run")
    return top


def main(arguments: list[str] | None = None) -> int:
    """Run it; 0 when its outcome is written, whatever it is, 1 when this rank failed."""
    folder: Path = parser().parse_args(arguments).folder
    try:
        task = read_task(folder)
        run_in_job(task.stage, task.overrides, folder, worker.Means())
    except (TrialFailed, ValueError) as error:
        print(f"trial: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
