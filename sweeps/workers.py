"""Mode "workers": keep so many workers at work until the study has its trials."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from hpc.batch import sbatch
from hpc.job import JobSpec
from hpc.slurm_query import SlurmError, requeue
from hpc.snapshot import take_snapshot
from hpc.team import team_command
from hpc.team_job import find_team
from hpc.world import read_world
from sweeps.launch import ask_to_end, end_child, living, present, start_process
from sweeps.options import Options
from sweeps.place import StoppedWaiting
from sweeps.presence import Presence
from sweeps.reaper import find_lost, settle_ended
from sweeps.running import Running
from sweeps.study import Sweep
from sweeps.table import Table, say_shortfall
from sweeps.trial import TrialFailed
from sweeps.trial_folder import Handle, forget_attempt, hold, read_handle, write_handle
from sweeps.worker import work
from sweeps.worker_folder import Worker, wait_for_worker, write_worker

_LOCK, _LOG = "process.lock", "output.log"
_POLL_S = 0.5
_MOST_STARTS = 5  # of one worker, while no trial ends


class Places(Protocol):
    """Where workers run."""

    def start(self, folder: Path, worker: Worker) -> bool:
        """Start one unless it is there; whether it was started."""
        ...

    def stop(self, folder: Path) -> None:
        """Ask it to end after a checkpoint, when the driver is stopped."""
        ...


@dataclass
class LocalWorkers:
    """Processes of this machine.

    Attributes:
        ranks: of each.
        threads: for each rank.
    """

    ranks: int = 1
    threads: int = 1
    _children: dict[Path, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, folder: Path, worker: Worker) -> bool:
        """One that lives holds its lock."""
        self._children = living(self._children)
        held = hold(folder / _LOCK)
        if held is None:
            return False
        try:
            forget_attempt(folder)
            write_worker(folder, replace(worker, handle=Handle("process", str(folder / _LOCK))))
            command = team_command(self.ranks, "sweeps.worker", str(folder))
            self._children[folder] = start_process(command, folder / _LOG, held, self.threads)
        finally:
            os.close(held)
        return True

    def stop(self, folder: Path) -> None:
        """By a signal."""
        if not ask_to_end(folder, folder / _LOCK):
            end_child(self._children.get(folder))


@dataclass
class SlurmWorkers:
    """Jobs of Slurm, which share one copy of the code.

    Attributes:
        spec: nodes, ranks, partition and time of each.
    """

    spec: JobSpec
    _code: Path | None = None

    def start(self, folder: Path, worker: Worker) -> bool:
        """One that lives is in the queue.

        Raises:
            hpc.slurm_query.SlurmError: Slurm refused it, or does not answer.
        """
        if present([read_handle(folder)])[0]:
            return False
        write_worker(folder, replace(worker, handle=Handle("slurm", "")))
        spec = replace(self.spec, run_dir=folder)
        found = find_team(spec)  # of a supervisor that was killed before it wrote its number down
        if found is None:
            self._code = self._code or take_snapshot(Path(worker.folder))
            write_handle(folder, Handle("slurm", sbatch(spec, self._code, work, folder)))
            return True
        write_handle(folder, Handle("slurm", found))
        return False

    def stop(self, folder: Path) -> None:
        """They go on."""
        del folder


class WorkersFailed(RuntimeError):  # noqa: N818 - the name says what happened
    """Workers end again and again, and no trial does."""


class WorkerHere:
    """This process, inside a job of Slurm's, is the worker; with several ranks, each of them.

    Args:
        sweep: the study.
        folder: of its runs.
        options: how trials are chosen.
    """

    def __init__(self, sweep: Sweep, folder: Path, options: Options) -> None:
        job = os.environ["SLURM_JOB_ID"]
        self._sweep, self._folder = sweep, folder / "workers" / f"job-{job}"
        world = read_world()
        here = replace(options, nodes=world.size // world.local_size, ranks_per_node=world.local_size)
        self._worker = Worker(sweep.name, str(folder), here, Handle("slurm", job))

    def run(self, should_stop: Callable[[], bool]) -> bool:
        """Until there is nothing more to do in this job.

        Raises:
            sweeps.trial.TrialFailed: a trial failed, and nobody knows how the other ranks are; its outcome is written. A job of
                several ranks has been put back into the queue.
        """
        if should_stop():  # from here on `work` has signals of its own
            return False
        if read_world().rank == 0:
            Presence(self._sweep, self._folder.parent.parent, self._worker.handle).say()
            write_worker(self._folder, self._worker)
        wait_for_worker(self._folder)
        try:
            done = work(self._folder) == 0
        except TrialFailed:
            if read_world().size > 1:
                with suppress(SlurmError):  # another rank was quicker
                    requeue(self._worker.handle.name)
                    print("the job goes back into the queue, for the next trial", flush=True)
            raise
        if read_world().rank == 0:
            say_shortfall(self._sweep, self._worker.options)
        self._sweep.check_objectives()
        return done


class Supervisor:
    """Keeps workers at work, and tells the study of trials whose worker died after they ended.

    Args:
        sweep: the study.
        folder: of its runs.
        places: where workers run.
        options: how many, and how trials are chosen.
        look_s: between two looks for workers that are gone.
    """

    def __init__(self, sweep: Sweep, folder: Path, places: Places, options: Options, look_s: float = 1.0) -> None:
        self._sweep, self._folder, self._places, self._options, self._look_s = sweep, folder, places, options, look_s
        self._table, self._presence = Table(sweep), Presence(sweep, folder)
        self._looked = -1e9
        self._starts, self._ended = 0, -1

    def run(self, should_stop: Callable[[], bool]) -> bool:
        """Until the study has its trials and none of them runs; False when it was asked to stop.

        Raises:
            WorkersFailed: workers end again and again, and no trial does.
            sweeps.plan.StudyError: the objective is no metric of the runs.
            hpc.slurm_query.SlurmError: Slurm takes no job of ours.
        """
        try:
            with self._presence:
                return self._supervise(should_stop)
        except StoppedWaiting as error:
            print(error, flush=True)
            self._stop()
            return False
        except KeyboardInterrupt:
            self._stop()
            raise

    def _supervise(self, should_stop: Callable[[], bool]) -> bool:
        while not should_stop():
            self._presence.say()
            running = settle_ended(self._sweep, self._sweep.running())
            self._sweep.check_objectives()  # workers end by themselves
            if not running and self._enough() and self._sweep.is_over(self._options.trials, self._options.sampler):
                self._table.show(last=True)
                say_shortfall(self._sweep, self._options)
                return True
            if time.monotonic() - self._looked >= self._look_s:
                self._looked = time.monotonic()
                self._keep(running)
            self._table.show()
            time.sleep(_POLL_S)
        self._stop()
        self._table.show(last=True)
        return False

    def _stop(self) -> None:
        for slot in range(self._options.parallel):
            self._places.stop(self._slot(slot))

    def _slot(self, number: int) -> Path:
        return self._folder / "workers" / str(number)

    def _enough(self) -> bool:
        return self._sweep.is_full(self._options.trials, self._options.sampler)

    def _keep(self, running: list[Running]) -> None:
        if self._enough() and not find_lost(running):
            return  # those that run the last trials suffice
        worker = Worker(self._sweep.name, str(self._folder), self._options, Handle("process", ""))
        for slot in range(self._options.parallel):
            if self._places.start(self._slot(slot), worker):
                self._count_start()

    def _count_start(self) -> None:
        ended = sum(trial.state.is_finished() for trial in self._sweep.trials())
        self._starts = self._starts + 1 if ended == self._ended else 1
        self._ended = ended
        if self._starts > _MOST_STARTS * self._options.parallel:
            raise WorkersFailed(
                f"workers ended {self._starts - 1} times while no trial did; their output is in {self._folder / 'workers'}"
            )
