"""A job's time: how much Slurm gave it, counted from its allocation, and when to stop so that the last checkpoint is inside."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from hpc.record import append, attempts, since_submitted
from hpc.slurm_query import SlurmError, requeue, seconds_left
from hpc.verdict import decide, restarts_of
from hpc.world import World

_MARGIN = 0.1  # of the time that is left when the ranks begin
_MOST_MARGIN_S = 300.0


class Budget:
    """Time until a job's limit; without a limit it is never spent.

    `is_spent` turns true a margin before the limit, and the training stops at its next step. A step, a validation or a beginning
    that takes longer than half of that margin is not waited for: `overdue` is called from a thread, and the run goes on from the
    checkpoint before it.

    Args:
        left_s: seconds until the limit; None for no limit.
        overdue: called at most once, while it is entered.
    """

    def __init__(self, left_s: float | None, overdue: Callable[[], None] = lambda: None) -> None:
        margin = min(_MOST_MARGIN_S, _MARGIN * (left_s or 0.0))
        self._ends = None if left_s is None else time.monotonic() + left_s - margin
        self._timer = None if left_s is None else threading.Timer(left_s - margin / 2, overdue)

    @classmethod
    def of(cls, world: World, run_dir: Path) -> Budget:
        """Of the Slurm job that rank 0 is in; the other ranks follow it, and elsewhere time is not limited."""
        if world.rank != 0 or world.source != "srun" or world.job_id is None:
            return cls(None)
        job_id = world.job_id
        try:
            left = seconds_left(job_id)
        except SlurmError:  # the warning signal is still to come
            return cls(None)
        return cls(left, lambda: _requeue_at_once(run_dir, job_id))

    def is_spent(self) -> bool:
        """Whether it is time to stop."""
        return self._ends is not None and time.monotonic() >= self._ends

    def __enter__(self) -> Budget:
        if self._timer is not None:
            self._timer.daemon = True
            self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()


def _requeue_at_once(run_dir: Path, job_id: str) -> None:
    """Slurm would end the job as timed out in a moment, and nothing would bring it back."""
    events = since_submitted(attempts(run_dir))
    late = {"event": "stopped", "why": "its time was up in the middle of a step", "step": None}
    if events and events[0]["event"] == "submitted" and decide([*events, late], restarts_of(run_dir)).goes_on:
        try:
            append(run_dir, "stopped", why=late["why"])
            requeue(job_id)
        except (OSError, SlurmError) as error:
            print(f"worker: the job could not be queued again: {error}", flush=True)
