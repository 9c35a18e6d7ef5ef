"""How a launcher hears what a run reports, and asks it to stop; a sweep prunes its trials through this."""

from __future__ import annotations

from collections.abc import Callable, Mapping

# Called on rank 0 with each report's step and metrics, between two steps. True asks the run to stop: all ranks then stop together
# before their next step, with a checkpoint. What it raises ends the run.
Listen = Callable[[int, Mapping[str, float]], bool]


class Ears:
    """One rank's end of it: only rank 0 listens, for reports are the same on all ranks.

    Args:
        listen: None when nobody does.
        rank: this process's.
    """

    def __init__(self, listen: Listen | None, rank: int) -> None:
        self._listen = listen if rank == 0 else None
        self.asked = False  # on rank 0: it was asked to end the run

    def report(self, step: int, metrics: Mapping[str, float]) -> None:
        """`v2a.stages.Context.report`."""
        if self._listen is not None and self._listen(step, metrics):
            self.asked = True

    def or_asked(self, should_stop: Callable[[], bool]) -> Callable[[], bool]:
        """`v2a.stages.Context.should_stop`: the loop makes all ranks agree on it, so one rank's answer stops all."""
        return lambda: should_stop() or self.asked
