"""A job's tasks over MPI: rank 0 hands them out and works itself; every other rank asks when it is free.

No rank waits inside MPI, where Open MPI would keep a core busy: they look for messages and sleep in between.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from hpc.mpi_messages import LONGEST_S, SHORTEST_S, TO_LEADER, TO_RANK, look, packed, wait_for
from v2a.tasks import Counts, Job, Task, add_counts


class MpiTasks:
    """Tasks over the ranks of `MPI.COMM_WORLD`. A rank that dies takes the job with it, as MPI does.

    Raises:
        ImportError: mpi4py finds no MPI library.
        RuntimeError: the MPI library does not let a second thread speak.
    """

    def __init__(self) -> None:
        from mpi4py import MPI

        if MPI.Query_thread() < MPI.THREAD_SERIALIZED:
            raise RuntimeError("this MPI library was started without thread support; unset MPI4PY_RC_THREADS and such")
        self._comm = MPI.COMM_WORLD.Dup()
        self.rank: int = self._comm.Get_rank()
        self.size: int = self._comm.Get_size()

    def run(self, job: Job, should_stop: Callable[[], bool]) -> Counts:
        """Plan and finish on rank 0, work on all."""
        answer = self._lead(job, should_stop) if self.rank == 0 else self._follow(job, should_stop)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def _lead(self, job: Job, should_stop: Callable[[], bool]) -> Counts | BaseException:
        answer: Counts | BaseException
        try:
            answer = self._plan_work_finish(job, should_stop)
        except Exception as error:
            answer = error
        finally:
            job.close()
        for rank in range(1, self.size):
            self._comm.send(packed("result", answer), dest=rank, tag=TO_RANK)
        return answer

    def _plan_work_finish(self, job: Job, should_stop: Callable[[], bool]) -> Counts:
        desk: _Desk | None = None
        try:
            desk = _Desk(job, list(job.plan()), self.size)
        finally:
            if desk is None:  # the plan failed: nobody must wait for a task
                self._dismiss_all()
        server = threading.Thread(target=_serve, args=(desk, self._comm), name="hand-out", daemon=True)
        server.start()
        desk.answer(0, "begin", None)
        try:
            job.work(_LeaderLink(desk, should_stop))
            desk.answer(0, "end", None)
        except Exception as error:
            desk.answer(0, "error", error)
        while server.is_alive():  # a signal must still be heard
            if should_stop():
                desk.stop()
            server.join(timeout=0.1)
        if desk.error is not None:
            raise desk.error
        return job.finish(desk.counts, stopped=desk.stopping)

    def _dismiss_all(self) -> None:
        left = self.size - 1
        while left:
            rank, kind, _ = self._next_message()
            if kind == "next":
                self._comm.send(packed("none", None), dest=rank, tag=TO_RANK)
            left -= kind in ("end", "error")

    def _next_message(self) -> tuple[int, str, Any]:
        return wait_for(self._comm, TO_LEADER)

    def _follow(self, job: Job, should_stop: Callable[[], bool]) -> Counts | BaseException:
        link = _RankLink(self._comm, should_stop)
        try:
            job.work(link)
            link.tell("end", None)
        except Exception as error:
            link.tell("error", error)
        while True:
            _, kind, content = wait_for(self._comm, TO_RANK)
            if kind == "result":
                result: Counts | BaseException = content
                return result


class _Desk:
    """Rank 0's desk: what waits, what is counted, who still works. Two threads come here: the server's and rank 0's own work."""

    def __init__(self, job: Job, tasks: list[Task], ranks: int) -> None:
        self.counts: Counts = {}
        self.error: BaseException | None = None
        self.waiting = deque(range(len(tasks)))
        self.working = ranks
        self.stopping = False
        self._job, self._tasks = job, tasks
        self._at_work: set[int] = set()
        self._lock = threading.Lock()

    def answer(self, rank: int, kind: str, content: Any) -> tuple[Task] | None:
        """Take a message; for "next", the task in a tuple or None when there is none."""
        with self._lock:
            found = None
            if kind == "next":
                found = self._hand_out(rank)
            elif kind == "count":
                add_counts(self.counts, content)
            elif kind == "stop":
                self.stopping = True
            elif kind in ("end", "error"):
                self.working -= 1
                self._at_work.discard(rank)
                self._fail(content)
            self._show()
            return found

    def _show(self) -> None:
        """Not even a full disk under its output may end the server: the other ranks would wait for it for ever."""
        total = len(self._tasks)
        try:
            self._job.show(total - len(self.waiting) - len(self._at_work), total, self.counts)
        except Exception as error:
            self._fail(error)

    def _fail(self, error: BaseException | None) -> None:
        self.error = self.error or error
        self.stopping = self.stopping or error is not None

    def stop(self) -> None:
        """Hand out nothing more."""
        self.stopping = True

    def _hand_out(self, rank: int) -> tuple[Task] | None:
        self._at_work.discard(rank)
        if self.stopping or not self.waiting:
            return None
        self._at_work.add(rank)
        return (self._tasks[self.waiting.popleft()],)


def _serve(desk: _Desk, comm: Any) -> None:
    """The server's thread: the only one of rank 0 that speaks MPI while there is work."""
    told = False
    pause = SHORTEST_S
    while desk.working:
        if desk.stopping and not told:
            told = True
            for rank in range(1, comm.Get_size()):
                comm.send(packed("stop", None), dest=rank, tag=TO_RANK)
        message = look(comm, TO_LEADER)
        if message is None:
            time.sleep(pause)
            pause = min(pause * 2, LONGEST_S)
            continue
        pause = SHORTEST_S
        rank, kind, content = message
        task = desk.answer(rank, kind, content)
        if kind == "next":
            comm.send(packed("none" if task is None else "task", task), dest=rank, tag=TO_RANK)


class _LeaderLink:
    """Rank 0's own worker asks the desk directly."""

    def __init__(self, desk: _Desk, should_stop: Callable[[], bool]) -> None:
        self._desk, self._asked_to_stop = desk, should_stop

    def tasks(self) -> Iterator[Task]:
        """The next, until none is left."""
        while not self.should_stop() and (found := self._desk.answer(0, "next", None)) is not None:
            yield found[0]

    def count(self, counts: Counts) -> None:
        """Add up."""
        self._desk.answer(0, "count", counts)

    def durable(self) -> None:
        """A dead rank ends the job: nobody would do it again in this run."""

    def should_stop(self) -> bool:
        """A signal here, or a word from another rank."""
        if self._asked_to_stop():
            self._desk.stop()
        return self._desk.stopping


class _RankLink:
    """Any other rank's."""

    def __init__(self, comm: Any, should_stop: Callable[[], bool]) -> None:
        self._comm, self._asked_to_stop = comm, should_stop
        self._stopping = self._told = False

    def tell(self, kind: str, content: Any) -> None:
        """A message to rank 0."""
        self._comm.send(packed(kind, content), dest=0, tag=TO_LEADER)

    def tasks(self) -> Iterator[Task]:
        """Ask, and wait for the answer; a word to stop may come first."""
        while not self.should_stop():
            self.tell("next", None)
            kind: str = "stop"
            content: Any = None
            while kind == "stop":
                _, kind, content = wait_for(self._comm, TO_RANK)
                self._stopping = self._stopping or kind == "stop"
            if kind == "none":
                return
            yield content[0]

    def count(self, counts: Counts) -> None:
        """Tell rank 0."""
        self.tell("count", counts)

    def durable(self) -> None:
        """A dead rank ends the job: nobody would do it again in this run."""

    def should_stop(self) -> bool:
        """A signal here, or a word from rank 0."""
        if not self._stopping and look(self._comm, TO_RANK) is not None:
            self._stopping = True  # nothing but a word to stop comes unasked
        if not self._told and self._asked_to_stop():
            self._stopping = self._told = True
            self.tell("stop", None)
        return self._stopping
