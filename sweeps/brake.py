"""Mode "job": jobs that Slurm ends before their trials begin say nothing of the trials, and the next would end alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from hpc.slurm_query import Job, accounted
from sweeps.running import Running
from sweeps.study import Sweep
from sweeps.trial_folder import HANDLE, PLACE, Handle

_MOST = 3  # one after another
_OUTSIDE = ("CANCELLED", "PREEMPTED", "NODE_FAIL", "BOOT_FAIL", "REVOKED")  # somebody's will, or one node's fault

Lost = Sequence[tuple[Running, Handle | None]]


class JobsDoNotBegin(RuntimeError):  # noqa: N818 - the name says what happened
    """Jobs end again and again before their trials begin."""


class Brake:
    """Counts such jobs, and stops the driver before it uses up all trials on them."""

    def __init__(self) -> None:
        self._unborn: dict[str, Job | None] = {}  # by number, with Slurm's word
        self._begun: set[tuple[int, int]] = set()  # trial and attempt

    def look(self, sweep: Sweep, running: Iterable[Running], lost: Lost) -> None:
        """To be called after each look for lost trials, before they are begun again.

        Args:
            sweep: the study.
            running: trials of it.
            lost: those of them that nobody runs, with who did.

        Raises:
            JobsDoNotBegin: too many jobs ended one after another before their trial began. None of them counts as an attempt.
        """
        begun = {(trial.number, handle.attempt) for trial in running if _has_begun(trial) and (handle := trial.handle)}
        if begun - self._begun:
            self._unborn.clear()
            self._begun |= begun
        unborn = [(trial, who) for trial, who in lost if who and who.kind == "slurm" and not _has_begun(trial)]
        new = [who.name for _, who in unborn if who.name not in self._unborn]
        told = accounted(new)
        self._unborn |= {job: told.get(job) for job in new if job not in told or told[job].state not in _OUTSIDE}
        if len(self._unborn) < _MOST:
            return
        for trial, who in unborn:
            sweep.take_over(trial, who, replace(who, attempt=0))  # unless another driver was quicker
        job, last = list(self._unborn.items())[-1]
        said = f" ({last.state}, {last.reason})" if last else ""
        runs = unborn[-1][0].folder.parent if unborn else "the folder of runs"
        raise JobsDoNotBegin(
            f"{len(self._unborn)} jobs of Slurm ended one after another before their trials began, the last of them {job}{said}. "
            f"Does every node see {runs} and this Python? No trial failed by it: the same command goes on when that is mended"
        )


def _has_begun(trial: Running) -> bool:
    """Whether the job that the trial has now began it: an earlier one's word may still be there."""
    try:
        return (trial.folder / PLACE).stat().st_mtime_ns >= (trial.folder / HANDLE).stat().st_mtime_ns
    except OSError:
        return False


def slurms_word(handle: Handle | None) -> str:
    """What Slurm says of a job that is gone, as "; Slurm calls it OUT_OF_MEMORY, exit 0:125"; "" when it says nothing."""
    if handle is None or handle.kind != "slurm" or handle.name not in (told := accounted([handle.name])):
        return ""
    return f"; Slurm calls it {told[handle.name].state}, {told[handle.name].reason}"
