"""Independent work shared out to processes as each becomes free: one description of the job, several ways to run it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

Task = Any  # picklable
Counts = dict[str, float]


class Job(Protocol):
    """A job of many independent tasks. Picklable: it travels to the processes that work."""

    def plan(self) -> Sequence[Task]:
        """Called once, before any work, by the process that leads: the tasks, the costly ones first."""
        ...

    def work(self, tasks: Iterator[Task], count: Callable[[Counts], None], should_stop: Callable[[], bool]) -> None:
        """Called once in every worker: do the tasks as they come.

        Args:
            tasks: gives this worker's next task when it is asked for it; ends when no task is left or the job must stop.
            count: adds to the job's totals; call it often, it is cheap.
            should_stop: asked within long tasks; when true, keep what is whole and return.
        """
        ...

    def show(self, done: int, total: int, counts: Counts, finished: bool) -> None:
        """Called by the process that leads when something changed: tasks done of how many, and the totals so far."""
        ...

    def lost(self, task: Task, reason: str) -> None:
        """Called by the process that leads: the task ended the process that did it, twice; it will not be tried again."""
        ...

    def finish(self, counts: Counts, stopped: bool) -> Counts:
        """Called once after all work, by the process that leads: the final metrics."""
        ...


class Tasks(Protocol):
    """A way to run a job. Every task is given to exactly one worker, the next as soon as it asks."""

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
