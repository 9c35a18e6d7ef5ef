"""Independent work shared out to processes as each becomes free: one description of the job, several ways to run it.

In this process (`SerialTasks`), in local processes (`v2a.processes.ProcessTasks`), over MPI (the launcher's).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

Task = Any  # picklable
Counts = dict[str, float]


class Link(Protocol):
    """What connects a worker to the process that leads."""

    def tasks(self) -> Iterator[Task]:
        """This worker's next task when it is asked for it; ends when no task is left or the job must stop."""
        ...

    def count(self, counts: Counts) -> None:
        """Add to the job's totals; some thousand times a second do no harm."""
        ...

    def durable(self) -> None:
        """Say that all tasks before the present one are safe on disk: should this worker die, they are not done again."""
        ...

    def should_stop(self) -> bool:
        """Asked within long tasks; when true, keep what is whole and return."""
        ...


class Job(Protocol):
    """A job of many independent tasks. Picklable: it travels to the processes that work.

    One process leads: it plans, shows progress and finishes. A worker that returns from `work` has made everything durable.
    """

    def plan(self) -> Sequence[Task]:
        """Called once, before any work, by the process that leads: the tasks, the costly ones first."""
        ...

    def work(self, link: Link) -> None:
        """Called once in every worker: do the tasks as they come."""
        ...

    def show(self, done: int, total: int, counts: Counts) -> None:
        """Called by the process that leads when something changed: tasks done of how many, and the totals so far."""
        ...

    def again(self, task: Task) -> Task:
        """Called by the process that leads: a worker died before this task was durable; the task as another is given it."""
        ...

    def lost(self, task: Task, reason: str) -> None:
        """Called by the process that leads: the task ended its process twice, and will not be tried again."""
        ...

    def finish(self, counts: Counts, stopped: bool) -> Counts:
        """Called once, after all work, by the process that leads: the final metrics.

        Args:
            counts: the totals.
            stopped: the job was asked to stop; tasks may be left.
        """
        ...

    def close(self) -> None:
        """Called once at the very end by the process that leads, whatever happened."""
        ...


class Tasks(Protocol):
    """A way to run a job. Every task is given to one worker, the next as soon as it asks."""

    def run(self, job: Job, should_stop: Callable[[], bool]) -> Counts:
        """Plan, work, finish.

        Args:
            job: what to do; the same on all ranks.
            should_stop: asked often by every worker; when true anywhere, all workers keep what is whole and return.

        Returns:
            What the job's `finish` returned, on all ranks.

        Raises:
            Exception: what `plan`, `work` or `finish` raised first, on all ranks; the others are stopped as by `should_stop`.
        """
        ...


class SerialTasks:
    """All tasks one after another in this process."""

    def run(self, job: Job, should_stop: Callable[[], bool]) -> Counts:
        """Plan, work, finish."""
        try:
            link = _SerialLink(job, list(job.plan()), should_stop)
            link.announce()
            job.work(link)
            return job.finish(link.counts, stopped=should_stop())
        finally:
            job.close()


class _SerialLink:
    def __init__(self, job: Job, tasks: Sequence[Task], should_stop: Callable[[], bool]) -> None:
        self.counts: Counts = {}
        self.left = len(tasks)
        self._job, self._tasks, self.should_stop = job, tasks, should_stop

    def tasks(self) -> Iterator[Task]:
        """The next, until told to stop."""
        for task in self._tasks:
            if self.should_stop():
                return
            yield task
            self.left -= 1
            self.announce()

    def count(self, counts: Counts) -> None:
        """Add up."""
        add_counts(self.counts, counts)
        self.announce()

    def durable(self) -> None:
        """No other process would do it again."""

    def announce(self) -> None:
        """Show the progress."""
        self._job.show(len(self._tasks) - self.left, len(self._tasks), self.counts)


def local_tasks(workers: int) -> Tasks:
    """Tasks in `workers` processes of this machine; 0: in this process."""
    if workers == 0:
        return SerialTasks()
    from v2a.processes import ProcessTasks

    return ProcessTasks(workers)


def fitting_workers(device: str) -> int:
    """Processes that fit this machine: one for each GPU that is used, else for each core.

    Args:
        device: "auto", "cpu", "cuda", "cuda:1", …; one that is named is one process's.
    """
    if device.startswith("cuda"):
        return 1
    cores = len(os.sched_getaffinity(0))
    if device == "cpu":
        return cores
    import torch  # takes a second: not for a login node

    return torch.cuda.device_count() or cores


def add_counts(totals: Counts, more: Counts) -> None:
    """Add to totals, name by name."""
    for name, amount in more.items():
        totals[name] = totals.get(name, 0.0) + amount
