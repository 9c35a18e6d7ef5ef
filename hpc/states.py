"""How runs stand: what their folders say, and what Slurm says, asked once for all of them."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import dropwhile, takewhile
from pathlib import Path
from typing import Any

from hpc.after import first_broken, with_those_before
from hpc.job import mark_of
from hpc.record import (
    ATTEMPTS,
    CONFIG,
    RESULT,
    RUN,
    attempts,
    read_json,
    since_submitted,
    unreadable,
    was_taken_along,
)
from hpc.slurm_query import Job, SlurmError, accounted, my_jobs

ACTIVE = ("pending", "running")
ENDED = {
    "failed": "has failed",
    "stopped": "has stopped",
    "cancelled": "was cancelled",
    "lost": "was lost",
}  # and did not finish
_LAST = ("failed", "stopped", "gave up")


@dataclass(frozen=True)
class RunState:
    """How a run stands.

    Attributes:
        run_dir: its folder.
        stage: its stage; empty when the folder holds no run.
        state: "pending" (in the queue), "running", "finished", "failed", "stopped" (before its end; the same command goes on),
            "cancelled", "lost" (it ended, and nothing says how), "unknown" (Slurm does not answer, or another machine has it), or
            "none" (no such run).
        reason: why it waits, or what ended it.
        job_id: Slurm's; None for a local run.
        job: what Slurm says of it; None when it says nothing.
        restarts: how often it went on by itself since it was submitted.
        result: the final metrics of a finished run.
        error: the last error, whether or not the run went on after it.
    """

    run_dir: Path
    stage: str
    state: str
    reason: str = ""
    job_id: str | None = None
    job: Job | None = None
    restarts: int = 0
    result: Mapping[str, Any] | None = None
    error: str = ""

    @property
    def is_active(self) -> bool:
        """Whether it waits or runs."""
        return self.state in ACTIVE


def states(run_dirs: Iterable[Path]) -> dict[Path, RunState]:
    """How many runs stand, with one question to Slurm for all of them, and a second one to its accounting for jobs that the first
    does not know any more.

    Args:
        run_dirs: folders of runs.

    Returns:
        For each of them. Where Slurm does not answer, what their folders say; those that depend on it are "unknown".
    """
    asked = list(run_dirs)
    folders = with_those_before(asked)
    events = {folder: since_submitted(attempts(folder)) for folder in folders}
    ids = {folder: _job_id(found) for folder, found in events.items()}
    open_ones = [folder for folder in folders if not (folder / RESULT).exists()]
    nameless = [folder for folder in open_ones if (folder / RUN).exists() and not events[folder]]
    jobs, answered = _ask({job_id for folder in open_ones if (job_id := ids[folder])}, bool(nameless))
    by_mark = {job.mark: job_id for job_id, job in jobs.items() if job.mark and (job.waits or job.runs)}
    ids |= {
        folder: by_mark.get(mark_of(folder)) for folder in nameless
    }  # its submission was killed, or its record is lost
    found = {folder: _state(folder, events[folder], ids[folder], jobs, answered) for folder in folders}
    silent = {
        folder for folder in folders if found[folder].state in ("cancelled", "lost") and _is_silent(events[folder])
    }
    broken = {folder for folder in folders if found[folder].state in ENDED}
    return {folder: _explained(folder, found, silent, broken) for folder in asked}


def state_of(run_dir: Path) -> RunState:
    """How one run stands."""
    return states([run_dir])[run_dir]


def _is_silent(events: list[dict[str, Any]]) -> bool:
    """Whether a run ended before it began, and nobody is known to have wanted that."""
    return bool(events) and not any(event["event"] in ("started", "cancelled", *_LAST) for event in events)


def _explained(folder: Path, found: Mapping[Path, RunState], silent: set[Path], broken: set[Path]) -> RunState:
    """A run that never began because another one broke: Slurm cancelled it, or forgot it since. It names the first that broke."""
    state, first = found[folder], first_broken(folder, silent, broken)
    if first is None:
        return state
    end = found[first]
    why = f": {end.reason}" if end.reason else ""
    return replace(state, state="cancelled", reason=f"it waited for {first.name}, which {ENDED[end.state]}{why}")


def lives(pid: int, begun: str) -> bool:
    """Whether a process of this machine is there, and is the one that was begun then (`process_begun`)."""
    return process_begun(pid) == begun


def process_begun(pid: int) -> str:
    """The kernel's count at which a process began; empty when it is gone. Numbers of processes come again, these do not."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]


def _job_id(events: list[dict[str, Any]]) -> str | None:
    found = [event.get("job_id") for event in events if event["event"] == "submitted"]
    return str(found[-1]) if found and found[-1] else None


def _ask(wanted: set[str], others: bool) -> tuple[dict[str, Job], bool]:
    """Jobs of Slurm's, and whether it answered. Others: runs whose jobs have no number here yet may be among them."""
    if not wanted and not others:
        return {}, True
    try:
        jobs = my_jobs()
    except SlurmError:
        return {}, False
    return accounted(sorted(wanted - jobs.keys())) | jobs, True


def _state(
    run_dir: Path, events: list[dict[str, Any]], job_id: str | None, jobs: Mapping[str, Job], answered: bool
) -> RunState:
    run, result = read_json(run_dir / RUN), read_json(run_dir / RESULT)
    stage = str((run or read_json(run_dir / CONFIG) or {}).get("stage", ""))
    job = jobs.get(job_id) if job_id else None
    if job is not None and not _is_ours(job, run_dir, events):
        job = None
    waited = sum(event["event"] == "failed" and bool(event.get("busy")) and not event.get("rank") for event in events)
    restarts = max(0, sum(event["event"] == "started" for event in events) - 1 - waited)
    error = _error(events)
    state, reason = _word(run, result, events, job, answered or job_id is None)
    if state not in (*ACTIVE, "finished"):
        state, reason = _as_damaged(run_dir, run, state, reason)
    return RunState(run_dir, stage, state, reason, job_id, job, restarts, result, error)


def _error(events: list[dict[str, Any]]) -> str:
    """What failed last: of the ranks of one attempt, that which failed by itself."""
    back = dropwhile(lambda event: event["event"] != "failed", reversed(events))
    together = list(takewhile(lambda event: event["event"] == "failed", back))
    return next((str(event.get("error", "")) for event in sorted(together, key=was_taken_along)), "")


def _as_damaged(run_dir: Path, run: Mapping[str, Any] | None, state: str, reason: str) -> tuple[str, str]:
    """How a run that is not known to be active stands when its records are there and cannot be read; else as it stood."""
    hidden = unreadable(run_dir / ATTEMPTS)
    if hidden:
        return "unknown", f"{run_dir / ATTEMPTS} cannot be read ({hidden})"
    if run is not None or not (run_dir / RUN).exists() or state == "unknown":
        return state, reason
    damaged = f"{RUN} cannot be read; the command that submitted it writes it anew"
    return ("stopped", damaged) if state == "none" else (state, f"{reason}; {damaged}".removeprefix("; "))


def _is_ours(job: Job, run_dir: Path, events: list[dict[str, Any]]) -> bool:
    """Whether a job is this run's, and not one of the same number: a cluster that was set up anew counts from one again."""
    name = next((event["job_name"] for event in reversed(events) if event.get("job_name")), run_dir.name)
    marked = (job.mark or "").startswith("v2a:")
    return bool(job.name == name and (not marked or job.mark == mark_of(run_dir)))


def _word(
    run: Mapping[str, Any] | None, result: object, events: list[dict[str, Any]], job: Job | None, answered: bool
) -> tuple[str, str]:
    if result is not None:
        return "finished", ""
    if job is not None and job.waits:
        return "pending", job.reason
    if job is not None and job.runs:
        return "running", ""
    if not answered:
        return "unknown", "Slurm does not answer"
    ours = _local(events)
    if ours is not None:
        return ours
    if run is None and not events:
        return "none", "there is no such run"
    if any(event["event"] == "cancelled" for event in events) or (job is not None and job.state == "CANCELLED"):
        return "cancelled", ""
    last = next((event for event in reversed(events) if event["event"] in _LAST), None)
    if last is not None and not _started_after(events, last):
        word = "failed" if last["event"] == "gave up" else str(last["event"])
        return word, str(last.get("error") or last.get("why") or "")
    if job is not None:
        return "lost" if job.state == "COMPLETED" else "failed", f"Slurm says {job.state}"
    return ("lost", "it ended, and nothing says how") if events else ("stopped", "it was never submitted")


def _started_after(events: list[dict[str, Any]], last: dict[str, Any]) -> bool:
    return any(event["event"] == "started" for event in events[events.index(last) + 1 :])


def _local(events: list[dict[str, Any]]) -> tuple[str, str] | None:
    """Of a run by processes of a machine: "running" while its launcher is there, None when it is gone."""
    begun = next((event for event in events if event["event"] == "submitted" and event.get("where") == "local"), None)
    if begun is None:
        return None
    if begun.get("host") != socket.gethostname():
        last = events[-1]["event"]
        return (
            None
            if last in ("failed", "stopped", "cancelled", "gave up")
            else ("unknown", f"it runs on {begun.get('host')}")
        )
    pid = begun.get("pid")
    return (
        ("running", "") if isinstance(pid, int) and pid != os.getpid() and lives(pid, str(begun.get("begun"))) else None
    )
