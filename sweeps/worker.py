"""Mode "workers": ranks that stay together and run one trial after the other. What every rank of a worker runs.

python -m sweeps.worker runs/vqvae-1a2b3c4d/workers/0
srun -N2 --ntasks-per-node=1 --mpi=pmix python -m sweeps.worker runs/vqvae-1a2b3c4d/workers/0
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hpc.listen import Listen
from hpc.outcome import PreflightFailed
from hpc.slurm_query import SlurmError, requeue
from hpc.stage_settings import ConfigError
from hpc.team import Team, stop_signals
from hpc.team_job import time_left
from hpc.world import read_world
from sweeps.next_trial import NothingFitsError
from sweeps.opening import open_sweep
from sweeps.place import StorageError, place_of
from sweeps.plan import StudyError
from sweeps.reaper import find_lost, next_attempt, prepare, settle_ended
from sweeps.running import Running
from sweeps.storage import PATIENCE_S, open_storage
from sweeps.study import Sweep
from sweeps.trial import FIT_S, TrialFailed, run_trial
from sweeps.trial_folder import Task, forget_attempt, write_place
from sweeps.worker_folder import Worker, read_worker

_TURN_S = 20.0  # how long rank 0 keeps the others waiting: Horovod takes a rank that is silent for minutes for dead
_MARGIN = 1.2  # of the longest trial so far, for the next one


class Chooser:
    """Rank 0's side: which trial comes next.

    Args:
        worker: who we are.
        should_stop: asked while the storage does not answer.
    """

    def __init__(self, worker: Worker, should_stop: Callable[[], bool]) -> None:
        self._worker, self._should_stop = worker, should_stop
        self._sweep: Sweep | None = None
        self._away_since: float | None = None
        self._found_none = False

    def next(self) -> dict[str, Any]:
        """A word to all ranks: "run" a task in a folder, "wait" and ask again, or "end".

        Raises:
            StorageError: the storage has been away for too long.
        """
        try:
            word = self._choose(self._open())
        except StorageError:
            now = time.monotonic()
            self._away_since = self._away_since or now
            if now - self._away_since > PATIENCE_S:
                raise
            return {"do": "wait"}
        self._away_since = None
        return word

    def _open(self) -> Sweep:
        if self._sweep is None:
            import optuna

            optuna.logging.set_verbosity(optuna.logging.WARNING)
            place = place_of(self._worker.options.storage)
            storage = open_storage(place, patience_s=_TURN_S, first_s=_TURN_S, should_stop=self._should_stop)
            self._sweep = open_sweep(storage, self._worker.study, None).seen_from(Path(self._worker.folder))
        return self._sweep

    def _choose(self, sweep: Sweep) -> dict[str, Any]:
        options = self._worker.options
        running = settle_ended(sweep, sweep.running())
        try:
            sweep.check_objectives()
        except StudyError as error:
            print(f"worker: {error}", flush=True)
            return {"do": "end"}
        for trial, before in find_lost(running, free=self._worker.handle):
            handle = next_attempt(sweep, trial, before, self._worker.handle, options.retries)
            if handle is not None:
                return self._run(sweep, trial)
        if self._found_none and running:
            return {"do": "wait"}
        return self._claim(sweep)

    def _claim(self, sweep: Sweep) -> dict[str, Any]:
        options = self._worker.options
        try:
            claimed = sweep.claim(
                Path(self._worker.folder), self._worker.handle, sampler=options.sampler, trials=options.trials,
                seed=options.seed,
            )  # fmt: skip
        except NothingFitsError as error:
            print(f"worker: {error}", flush=True)
            sweep.say_gave_up(str(error))
            return {"do": "end"}
        self._found_none = False
        if claimed is not None:
            return self._run(sweep, claimed)
        # Not while others run and may make room: who keeps workers at work would start this one again and again.
        self._found_none = not sweep.is_full(options.trials, options.sampler)
        return {"do": "wait" if self._found_none else "end"}

    def _run(self, sweep: Sweep, trial: Running) -> dict[str, Any]:
        forget_attempt(trial.folder)
        task = prepare(sweep, trial, self._worker.options)
        return {"do": "run", "folder": str(trial.folder), "task": asdict(task)}


def work(folder: Path) -> int:
    """Run trials until the study has enough, the time is nearly over, or a signal comes.

    Args:
        folder: the worker's.

    Returns:
        0; a worker of Slurm has put itself back into the queue when there is more to do.

    Raises:
        TrialFailed: an error that only some ranks have; the trial's outcome is written.
        StorageError: the storage was away for too long.
    """
    worker = read_worker(folder)
    with stop_signals() as signals:
        deadline = time.monotonic() + time_left()
        if read_world().rank == 0:
            write_place(folder)
        team = Team(Path(worker.folder), worker.options.controller, FIT_S)
        more = _run_trials(team, worker, signals.requested, deadline)
        team.close()
        job = os.environ.get("SLURM_JOB_ID")
        if more and team.rank == 0 and job and worker.handle.kind == "slurm":
            print("there is more to do: back into the queue", flush=True)
            requeue(job)
            time.sleep(_TURN_S)  # Slurm ends us meanwhile
    return 0


def _run_trials(team: Team, worker: Worker, should_stop: Callable[[], bool], deadline: float) -> bool:
    """Whether there is more to do."""
    chooser = Chooser(worker, should_stop)
    longest = 0.0
    while not team.any(should_stop()):
        late = time.monotonic() + _MARGIN * longest > deadline
        word = team.share({"do": "late"} if late else chooser.next() if team.rank == 0 else None)
        if word["do"] != "run":
            if word["do"] != "wait":
                return bool(word["do"] == "late")
            time.sleep(1)
            continue
        begun = time.monotonic()
        _run_one(team, Path(word["folder"]), Task(**word["task"]), should_stop)
        longest = max(longest, time.monotonic() - begun)
    return True


def _run_one(team: Team, folder: Path, task: Task, should_stop: Callable[[], bool]) -> None:
    if team.rank == 0:
        write_place(folder)

    def train(listen: Listen | None, joined: Callable[[], None]) -> Mapping[str, float]:
        joined()
        return team.run(task.stage, task.overrides, folder, listen, should_stop)

    run_trial(team.rank, folder, task, train)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        prog="python -m sweeps.worker",
        description="Run trials of a study, one after the other; `sweeps.optuna_run --mode workers` starts it.",
        epilog="examples:\n" + (__doc__ or "").strip().split("\n\n")[1],
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    top.add_argument("folder", type=Path, metavar="FOLDER", help="the worker's folder, which names the study")
    return top


def main(arguments: list[str] | None = None) -> int:
    """Work; 0 when there is nothing more to do here, 1 when this rank failed."""
    try:
        return work(parser().parse_args(arguments).folder)
    except (TrialFailed, PreflightFailed, ConfigError, StorageError, SlurmError, ValueError, OSError) as error:
        print(f"worker: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
