"""Ctrl-C reaches worker processes at any moment, also before they run any code of ours that could ignore it."""

import os
import signal

from v2a.processes import ProcessTasks
from v2a.tasks import Counts, Link


class _Interrupted:
    """A job that is interrupted while a worker unpickles it, as one whose imports take seconds is by Ctrl-C."""

    def __reduce__(self) -> tuple[object, tuple[()]]:
        return _unpickle, ()

    def plan(self) -> list[int]:
        return [1, 2, 3]

    def work(self, link: Link) -> None:
        for task in link.tasks():
            link.count({"sum": task})
        os.kill(os.getpid(), signal.SIGINT)

    def show(self, done: int, total: int, counts: Counts) -> None: ...

    def again(self, task: int) -> int:
        return task

    def lost(self, task: int, reason: str) -> None: ...

    def finish(self, counts: Counts, stopped: bool) -> Counts:
        return {**counts, "stopped": float(stopped)}

    def close(self) -> None: ...


def _unpickle() -> _Interrupted:
    os.kill(os.getpid(), signal.SIGINT)
    return _Interrupted()


def test_a_worker_that_is_interrupted_while_it_starts_works_on():
    assert ProcessTasks(1).run(_Interrupted(), lambda: False) == {"sum": 6, "stopped": 0}
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) & {signal.SIGINT} == set()
