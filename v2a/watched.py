"""A whole job in one other process, watched over: no second interpreter is needed to plan it, and a crash is no silence."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from v2a.processes import ended_how, portable
from v2a.tasks import Counts, Job, SerialTasks

_POLL_S = 0.2
_PR_SET_PDEATHSIG = 1
_TRIES = 2  # a job that ends its process twice is given up


class WatchedTasks:
    """All tasks one after another, plan and end too, in a process of their own; this one waits, and imports nothing heavy.

    Where that process dies, the job is begun anew once; what it does then with what is there already is its own affair.
    """

    def run(self, job: Job, should_stop: Callable[[], bool]) -> Counts:
        """Plan, work and finish there. Tasks of a job that ended its process twice are lost, which this process says."""
        how = ""
        for _ in range(_TRIES):
            counts, how = _once(job, should_stop)
            if counts is not None:
                return counts
            if should_stop():
                break
        try:
            for task in job.plan():
                job.lost(task, f"it ended the process that read it {_TRIES} times: {how}")
            return job.finish({}, stopped=should_stop())
        finally:
            job.close()


def _once(job: Job, should_stop: Callable[[], bool]) -> tuple[Counts | None, str]:
    """What the job came to, or None and how its process died."""
    context = multiprocessing.get_context("spawn")
    stop, (ours, theirs) = context.Event(), context.Pipe()
    process = context.Process(target=_main, args=(theirs, stop, job, os.getpid()))
    # It inherits the mask: a Ctrl-C while it still imports would end it before it can say that it ignores it.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    theirs.close()
    try:
        while not ours.poll(_POLL_S):
            if should_stop():
                stop.set()
        kind, content = ours.recv()
    except (EOFError, ConnectionError):
        process.join()
        return None, ended_how(process.exitcode)
    except BaseException:
        process.kill()
        process.join()
        raise
    process.join()
    if kind == "error":
        raise content
    return content, ""


def _main(link: Connection, stop: Any, job: Job, parent: int) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        return
    for number in (
        signal.SIGINT,
        signal.SIGTERM,
    ):  # they may reach a whole group of processes; the one that waits decides
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    try:
        link.send(("end", SerialTasks().run(job, stop.is_set)))
    except BaseException as error:
        link.send(("error", portable(error)))
        if not isinstance(error, Exception):
            raise
