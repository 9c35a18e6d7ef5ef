"""How a trial's run is started, and whether it is still there: as local processes, or as a job of Slurm."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from hpc.again import can_spare
from hpc.launch import submit
from hpc.plan import make_plan
from hpc.record import append, attempts, since_submitted
from hpc.request import Request
from hpc.slurm_query import SlurmError
from hpc.snapshot import take_snapshot
from hpc.states import process_begun
from hpc.team import team_command
from hpc.team_job import present_jobs
from hpc.world import without_launcher
from sweeps.trial import run_in_job
from sweeps.trial_folder import (
    Handle,
    Outcome,
    forget_attempt,
    hold,
    is_held,
    process_here,
    read_outcome,
    read_task,
    write_handle,
    write_outcome,
)

_LOCK, _LOG = "process.lock", "output.log"


class Launcher(Protocol):
    """Starts the runs of trials."""

    poll_s: float

    def start(self, folder: Path, handle: Handle) -> None:
        """Start a trial's run, and say in its folder who runs it.

        Args:
            folder: of the trial.
            handle: its attempt and driver.
        """
        ...

    def stop(self, folders: Iterable[Path]) -> None:
        """When the driver is stopped: what becomes of the runs that it started."""
        ...


@dataclass
class LocalLauncher:
    """Processes of this machine; they outlive their driver.

    Attributes:
        ranks: of each run.
        threads: for each rank.
        poll_s: between two looks at the runs.
    """

    ranks: int = 1
    threads: int = 1
    poll_s: float = 0.2

    def __post_init__(self) -> None:
        self._children: dict[Path, subprocess.Popen[bytes]] = {}

    def start(self, folder: Path, handle: Handle) -> None:
        """A run that another process has, unknown to the study, is left to it."""
        self._children = living(self._children)
        lock = folder / _LOCK
        held = hold(lock)
        write_handle(folder, replace(handle, kind="process", name=str(lock)))
        if held is None:
            return
        try:
            forget_attempt(folder)
            command = team_command(self.ranks, "sweeps.trial", str(folder))
            child = self._children[folder] = start_process(command, folder / _LOG, held, self.threads)
        finally:
            os.close(held)
        here, begun = socket.gethostname(), process_begun(child.pid)
        append(folder, "submitted", where="local", host=here, pid=child.pid, begun=begun)

    def stop(self, folders: Iterable[Path]) -> None:
        """They end after a checkpoint; one that has not begun yet ends at once, and is to be continued."""
        for folder in folders:
            if not ask_to_end(folder, folder / _LOCK) and end_child(self._children.get(folder)):
                write_outcome(folder, Outcome("stopped", "asked to stop before it began"))


@dataclass
class SlurmLauncher:
    """Jobs of Slurm, by the door of `hpc.submit`: the cluster's profile, the checks, the record, and one copy of the code.

    Attributes:
        request: what is asked of each, beside its settings and its folder.
        poll_s: between two looks at the runs' folders.
    """

    request: Request
    poll_s: float = 0.5
    _code: Path | None = None

    def start(self, folder: Path, handle: Handle) -> None:
        """Submit a job, unless the trial has one: a driver that was killed could not write its number down. Who tries again is the
        study, not the job itself.

        Raises:
            hpc.slurm_query.SlurmError: Slurm refused it, or does not answer.
            hpc.job.JobError: the folder cannot be used.
        """
        task = read_task(folder)
        plan = make_plan(replace(self.request, settings=tuple(task.overrides), runs=folder.parent, name=folder.name))
        unfit = sorted({str(event["unfit"]) for event in attempts(folder) if event.get("unfit")})
        if unfit and can_spare(unfit, plan.spec.nodes, plan.spec.partition, plan.spec.exclude or ""):
            away = ",".join([*([plan.spec.exclude] if plan.spec.exclude else []), *unfit])
            plan = replace(plan, spec=replace(plan.spec, exclude=away))
        self._code = self._code or take_snapshot(folder.parent)
        if (before := read_outcome(folder)) is not None and before.state == "stopped":
            forget_attempt(folder)  # not what a job says that lives unknown to us
        if [event.get("where") for event in since_submitted(attempts(folder))[:1]] == ["local"]:
            append(folder, "stopped", why="its process is gone")  # maybe on another machine, where nobody else can know
        launched = submit(plan, run_in_job, self._code)
        write_handle(folder, replace(handle, kind="slurm", name=launched.job_id or ""))
        if launched.how == "finished":  # and was killed before it could say so
            numbers = {name: value for name, value in (launched.state.result or {}).items() if isinstance(value, float)}
            write_outcome(folder, Outcome("complete", metrics=numbers, step=numbers.get("step", 0.0)))

    def stop(self, folders: Iterable[Path]) -> None:
        """They go on: the next driver finds how they ended."""
        del folders


def start_process(command: Sequence[str], log: Path, held: int, threads: int) -> subprocess.Popen[bytes]:
    """A process that outlives this one.

    Args:
        command: program and arguments.
        log: takes its output.
        held: a lock's open file, which it inherits: it is held as long as the process lives.
        threads: for it, unless the environment says otherwise.
    """
    environment = {**without_launcher(os.environ), "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(threads))}
    with log.open("ab") as out:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env=environment, pass_fds=(held,),
            start_new_session=True,  # Ctrl-C is the driver's
        )  # fmt: skip


def living(children: Mapping[Path, subprocess.Popen[bytes]]) -> dict[Path, subprocess.Popen[bytes]]:
    """Those that have not ended; none of the others stays a zombie."""
    return {folder: child for folder, child in children.items() if child.poll() is None}


def ask_to_end(folder: Path, lock: Path) -> bool:
    """Have rank 0 of what runs here stop all ranks after a checkpoint; False when it is not on this machine, or has not begun."""
    process = process_here(folder)
    if process is None or not is_held(lock):
        return False
    with suppress(OSError):
        os.kill(process, signal.SIGTERM)
    return True


def end_child(child: subprocess.Popen[bytes] | None) -> bool:
    """End a child whose rank 0 has not begun; False when there is none."""
    if child is None or child.poll() is not None:
        return False
    child.terminate()
    return True


def present_here(folder: Path) -> bool:
    """Whether a local process trains in a trial's folder, whoever the folder says runs it."""
    return is_held(folder / _LOCK)


def present(handles: Sequence[Handle | None]) -> list[bool]:
    """Which of these runs are still there. Where Slurm does not answer, its jobs count as there: nothing is started twice."""
    jobs = [handle.name for handle in handles if handle is not None and handle.kind == "slurm"]
    there = set(jobs)
    if jobs and shutil.which("squeue"):
        with suppress(SlurmError):
            there = present_jobs(jobs)
    return [
        handle is not None and (handle.name in there if handle.kind == "slurm" else is_held(Path(handle.name)))
        for handle in handles
    ]
