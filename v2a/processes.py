"""A job's tasks in processes of this machine, watched over: one that dies is replaced, and what it had not saved is done again."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import pickle
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any

from v2a.tasks import Counts, Job, Task, add_counts

_POLL_S = 0.2
_PR_SET_PDEATHSIG = 1
_TRIES = 2  # a task that ends its process twice is given up


class WorkerDied(RuntimeError):  # noqa: N818 - the name says what happened
    """Worker processes end as soon as they start."""


class ProcessTasks:
    """Tasks in `workers` processes of this machine; this process leads and does none itself.

    Each is a new interpreter, so no thread, lock or open file of this one is carried over. All end with this process,
    even when it is killed.
    """

    def __init__(self, workers: int) -> None:
        if workers < 1:
            raise ValueError(f"expected at least 1 worker, but got {workers}")
        self.workers = workers

    def run(self, job: Job, should_stop: Callable[[], bool]) -> Counts:
        """Plan here, work there, finish here."""
        try:
            tasks = list(job.plan())
            crew = _Crew(job, tasks, self.workers)
            counts = crew.work(should_stop) if tasks else {}
            return job.finish(counts, stopped=crew.stopping)
        finally:
            job.close()


@dataclass
class _Worker:
    process: Any
    link: Connection
    unsaved: list[int] = field(default_factory=list)  # tasks taken; the last one is at work unless `idle`
    served: bool = False  # it asked for a task at least once
    ended: bool = False  # it returned, or raised


class _Crew:
    def __init__(self, job: Job, tasks: Sequence[Task], workers: int) -> None:
        self._job, self._tasks = job, list(tasks)
        self._context = multiprocessing.get_context("spawn")
        self._stop = self._context.Event()
        self._waiting = deque(range(len(tasks)))
        self._deaths: dict[int, int] = {}
        self._counts: Counts = {}
        self._error: BaseException | None = None
        self._crew: list[_Worker] = []
        self._size = min(workers, len(tasks))

    @property
    def stopping(self) -> bool:
        """Whether somebody asked to stop."""
        return bool(self._stop.is_set())

    def work(self, should_stop: Callable[[], bool]) -> Counts:
        """Until all is done or stopped; the totals."""
        try:
            self._crew = [self._start() for _ in range(self._size)]
            while self._crew:
                if should_stop():
                    self._stop.set()
                self._serve()
                self._job.show(len(self._tasks) - self._unfinished(), len(self._tasks), self._counts)
        except BaseException:
            self._end_all()
            raise
        if self._error is not None:
            raise self._error
        return self._counts

    def _start(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_worker_main, args=(theirs, self._stop, self._job, os.getpid()))
        start_shielded(process)
        theirs.close()
        return _Worker(process, ours)

    def _unfinished(self) -> int:
        at_work = sum(1 for worker in self._crew if worker.unsaved and not worker.ended)
        return len(self._waiting) + at_work

    def _serve(self) -> None:
        """Answer whoever has something to say, and see who died."""
        links = {worker.link: worker for worker in self._crew}
        for ready in wait(list(links), timeout=_POLL_S):
            worker = links[ready]  # type: ignore[index]
            try:
                self._answer(worker, *worker.link.recv())
            except (EOFError, ConnectionError, pickle.UnpicklingError):
                self._gone(worker)

    def _answer(self, worker: _Worker, kind: str, content: Any) -> None:
        if kind == "next":
            worker.served = True
            index = self._waiting.popleft() if self._waiting and not self._stop.is_set() else None
            if index is not None:
                worker.unsaved.append(index)
            worker.link.send(None if index is None else (self._tasks[index],))
        elif kind == "count":
            add_counts(self._counts, content)
        elif kind == "durable":
            del worker.unsaved[:-1]
        elif kind == "end":
            worker.unsaved, worker.ended = [], True
        else:  # it raised
            worker.ended, self._error = True, self._error or content
            self._stop.set()

    def _gone(self, worker: _Worker) -> None:
        self._crew.remove(worker)
        worker.link.close()
        worker.process.join()
        if worker.ended:
            return
        how = ended_how(worker.process.exitcode)
        if not worker.served:
            self._error = self._error or WorkerDied(f"a worker process ended before its first task: {how}")
            self._stop.set()
            return
        for index in worker.unsaved:
            self._tasks[index] = self._job.again(self._tasks[index])
        if worker.unsaved:
            self._blame(worker.unsaved.pop(), how)
            self._waiting.extendleft(reversed(worker.unsaved))
        if self._waiting and not self._stop.is_set():
            self._crew.append(self._start())

    def _blame(self, index: int, how: str) -> None:
        """It may be the task that ended its process: try once more, last of all, and then give it up."""
        self._deaths[index] = self._deaths.get(index, 0) + 1
        if self._deaths[index] < _TRIES:
            self._waiting.append(index)
        else:
            self._job.lost(self._tasks[index], f"it ended the process that read it {_TRIES} times: {how}")

    def _end_all(self) -> None:
        for worker in self._crew:
            worker.process.kill()
            worker.process.join()


def start_shielded(process: Any) -> None:
    """Start a process of `multiprocessing` that calls `take_shelter`: a Ctrl-C while it still imports does not end it.

    It inherits the mask of signals; it would else be ended before it can say that it ignores this one.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def take_shelter(parent: int) -> bool:
    """In a process that was begun so: end with its parent, and leave Ctrl-C, which reaches the whole terminal, to it.

    Returns:
        False when the parent is gone already.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        return False
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # what came meanwhile is ignored, too
    return True


def ended_how(exit_code: int | None) -> str:
    """Of a process, in words: its exit code, or the signal that ended it."""
    if exit_code is not None and exit_code < 0:
        name = signal.Signals(-exit_code).name
        return f"signal {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
    return f"exit code {exit_code}"


def _worker_main(link: Connection, stop: Any, job: Job, parent: int) -> None:
    if not take_shelter(parent):
        return
    try:
        job.work(_ProcessLink(link, stop))
        link.send(("end", None))
    except BaseException as error:
        link.send(("error", portable(error)))
        if not isinstance(error, Exception):
            raise
    sys.stdout.flush()


def portable(error: BaseException) -> BaseException:
    """The error itself when it survives the journey to another process, else its text."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


class _ProcessLink:
    def __init__(self, link: Connection, stop: Any) -> None:
        self._link, self.should_stop = link, stop.is_set

    def tasks(self) -> Iterator[Task]:
        """Ask for the next one."""
        while True:
            self._link.send(("next", None))
            answer = self._link.recv()
            if answer is None:
                return
            yield answer[0]

    def count(self, counts: Counts) -> None:
        """Tell the process that leads."""
        self._link.send(("count", counts))

    def durable(self) -> None:
        """All tasks but the last that was taken."""
        self._link.send(("durable", None))
