"""Mode "workers": keep so many workers at work until the study has its trials."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from hpc.batch import sbatch
from hpc.job import JobSpec
from hpc.slurm_query import SlurmError
from hpc.snapshot import take_snapshot
from hpc.team import team_command
from hpc.team_job import find_team
from sweeps.launch import ask_to_end, end_child, living, present, start_process
from sweeps.options import Options
from sweeps.patience import or_stopped
from sweeps.presence import Presence
from sweeps.reaper import find_lost, settle_ended
from sweeps.running import Running
from sweeps.study import Sweep
from sweeps.table import Table, say_shortfall
from sweeps.trial_folder import Handle, forget_attempt, hold, is_held, read_handle, write_handle
from sweeps.unseen import Unseen
from sweeps.worker import work
from sweeps.worker_folder import Worker, write_worker

_LOCK, _LOG = "process.lock", "output.log"
_POLL_S = 0.5
_MOST_STARTS = 5  # of one worker, while no trial ends
_QUIET_S = 60.0  # between two sentences about the same trouble


class Places(Protocol):
    """Where workers run."""

    def name(self, number: int) -> str:
        """Of a worker's folder; places of the same name are one place, whoever supervises it."""
        ...

    def start(self, folder: Path, worker: Worker) -> bool:
        """Start one unless it is there; whether it was started."""
        ...

    def is_there(self, folder: Path) -> bool:
        """Whether it waits or works."""
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
        host: this machine's name: another machine's workers have places of their own.
    """

    ranks: int = 1
    threads: int = 1
    host: str = field(default_factory=socket.gethostname)
    _children: dict[Path, subprocess.Popen[bytes]] = field(default_factory=dict)

    def name(self, number: int) -> str:
        """Host and number."""
        return f"{self.host}-{number}"

    def is_there(self, folder: Path) -> bool:
        """By its lock."""
        return is_held(folder / _LOCK)

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

    def name(self, number: int) -> str:
        """All hosts share a cluster's jobs."""
        return str(number)

    def is_there(self, folder: Path) -> bool:
        """In the queue, or nobody knows."""
        return present([read_handle(folder)])[0]

    def start(self, folder: Path, worker: Worker) -> bool:
        """One that lives is in the queue.

        Raises:
            hpc.slurm_query.SlurmError: Slurm refused it, or does not answer.
        """
        if self.is_there(folder):
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
        self._sweep, self._folder, self._places = sweep.seen_from(folder), folder, places
        self._options, self._look_s = options, look_s
        self._table, self._presence, self._unseen = Table(self._sweep), Presence(sweep, folder), Unseen(self._sweep)
        self._looked = self._said = -1e9
        self._starts, self._ended = 0, -1
        self._begun = False

    def run(self, should_stop: Callable[[], bool]) -> bool:
        """Until the study has its trials and none of them runs; False when it was asked to stop.

        Raises:
            WorkersFailed: workers end again and again, and no trial does.
            sweeps.plan.StudyError: the objective is no metric of the runs, or trials are left in a folder that is not seen here.
            hpc.slurm_query.SlurmError: Slurm takes no job of ours, and has none.
        """

        def supervise() -> bool:
            with self._presence:
                return self._supervise(should_stop)

        return or_stopped(supervise, self._stop)

    def _supervise(self, should_stop: Callable[[], bool]) -> bool:
        while not should_stop():
            self._presence.say()
            running = settle_ended(self._sweep, self._sweep.running())
            self._unseen.say()
            self._sweep.check_objectives()  # workers end by themselves
            if not running and self._enough() and self._sweep.is_over(self._options.trials, self._options.sampler):
                self._table.show(last=True)
                say_shortfall(self._sweep, self._options)
                self._unseen.check()
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
        return self._folder / "workers" / self._places.name(number)

    def _enough(self) -> bool:
        return self._sweep.is_full(self._options.trials, self._options.sampler)

    def _keep(self, running: list[Running]) -> None:
        if self._enough() and not find_lost(running):
            return  # those that run the last trials suffice
        worker = Worker(self._sweep.name, str(self._folder), self._options, Handle("process", ""))
        started = 0
        for number in range(self._options.parallel):
            try:
                here = self._places.start(self._slot(number), worker)
            except SlurmError as error:  # as at the limit of jobs that wait: others are refused, too
                self._wait(number, error)
                break
            if here:
                started += 1
                self._count_start()
        if not self._begun and not started:
            print(
                f"{self._options.parallel} workers are at work already, of an earlier command or of one beside this, and none is "
                "started: --parallel says how many there are in all",
                flush=True,
            )
        self._begun = True

    def _wait(self, number: int, error: SlurmError) -> None:
        if not any(self._places.is_there(self._slot(other)) for other in range(self._options.parallel)):
            raise error
        if time.monotonic() - self._said > _QUIET_S:
            self._said = time.monotonic()
            print(f"worker {number} waits: {error}", flush=True)

    def _count_start(self) -> None:
        ended = sum(trial.state.is_finished() for trial in self._sweep.trials())
        self._starts = self._starts + 1 if ended == self._ended else 1
        self._ended = ended
        if self._starts > _MOST_STARTS * self._options.parallel:
            raise WorkersFailed(
                f"workers ended {self._starts - 1} times while no trial did; their output is in {self._folder / 'workers'}"
            )
