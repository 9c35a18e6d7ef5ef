"""Run one trial: what every rank of its job runs.

python -m sweeps.trial runs/vqvae-1a2b3c4d/trial-0003
mpirun -np 2 python -m sweeps.trial runs/vqvae-1a2b3c4d/trial-0003
"""

from __future__ import annotations

import argparse
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from hpc.outcome import PreflightFailed, Stopped
from hpc.stage_settings import ConfigError
from hpc.team import Team, stop_signals
from hpc.world import read_world
from sweeps.listener import Listener
from sweeps.trial_folder import Outcome, Task, forget_attempt, read_task, write_outcome, write_place


class TrialFailed(RuntimeError):  # noqa: N818 - the name says what happened
    """A run ended with an error on this rank, and the others may not know; its outcome is written."""


def run_trial(team: Team, folder: Path, task: Task, should_stop: Callable[[], bool]) -> Outcome:
    """Run it on all ranks of a team, and leave its outcome in the folder.

    Args:
        team: the ranks; all call this together.
        folder: the trial's.
        task: what to run; the same on all ranks.
        should_stop: whether this rank was asked to stop.

    Returns:
        How it ended; on rank 0 with all that is known.

    Raises:
        TrialFailed: an error that other ranks may not have: the team is of no further use.
    """
    listener, begun = Listener(task), time.monotonic()
    if team.rank == 0:
        write_place(folder)
    try:
        metrics = team.run(task.stage, task.overrides, folder, listener if task.metric else None, should_stop)
    except Stopped as error:
        outcome = _stopped(listener, str(error))
    except (FloatingPointError, ConfigError) as error:  # all ranks raise these together
        outcome = Outcome("failed", str(error))
    except Exception as error:
        reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        write_outcome(folder, Outcome("failed", f"rank {team.rank} on {socket.gethostname()}: {reason}"))
        raise TrialFailed(reason) from error
    else:
        outcome = Outcome("complete", metrics=metrics, step=metrics.get("step", 0.0))
    if team.rank == 0:
        outcome = replace(outcome, seconds=time.monotonic() - begun)
        listener.finish()
        write_outcome(folder, outcome)
    return outcome


def _stopped(listener: Listener, why: str) -> Outcome:
    if listener.pruned_at is None:
        return Outcome("stopped", why)
    return Outcome("pruned", f"pruned at step {listener.pruned_at}", step=listener.pruned_at)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        prog="python -m sweeps.trial",
        description="Run one trial of a study; `sweeps.optuna_run` starts it, on every rank of the trial's job.",
        epilog="examples:\n" + (__doc__ or "").strip().split("\n\n")[1],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("folder", type=Path, metavar="FOLDER", help="the trial's folder, which says what to run")
    return top


def main(arguments: list[str] | None = None) -> int:
    """Run it; 0 when its outcome is written, whatever it is, 1 when this rank failed."""
    folder: Path = parser().parse_args(arguments).folder
    try:
        return run_alone(folder)
    except (TrialFailed, ValueError) as error:
        print(f"trial: {error}", file=sys.stderr)
        return 1


def run_alone(folder: Path) -> int:
    """One trial by the ranks of this job.

    Raises:
        TrialFailed, ValueError: see `run_trial`; the folder is no trial's.
    """
    with stop_signals() as signals:
        task = read_task(folder)
        if read_world().rank == 0:
            forget_attempt(folder)  # of this job before Slurm put it back into the queue
            write_place(folder)  # before torch is loaded and the node is looked at: the driver may be stopped meanwhile
        try:
            team = Team(folder.parent)
        except PreflightFailed as error:
            write_outcome(folder, Outcome("failed", str(error)))
            raise TrialFailed(str(error)) from error
        outcome = run_trial(team, folder, task, signals.requested)
        team.close()
    if team.rank == 0:
        print(f"trial {task.number}: {outcome.state} {outcome.reason}".rstrip(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
