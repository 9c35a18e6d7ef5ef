"""A whole job in one other process, watched over: no second interpreter is needed to plan it, and a crash is no silence."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from v2a.processes import ended_how, portable, start_shielded, take_shelter
from v2a.tasks import Counts, Job, SerialTasks

_POLL_S = 0.2
_TRIES = 2  # a job that ends its process twice is given up


class WatchedTasks:
    """All tasks one after another, plan and end too, in a process of their own; this one waits, and imports nothing heavy.

    Where that process dies, the job is begun anew once; what it does then with what is there already is its own affair.
    """

    def run(self, job: Job, should_stop: Callable[[], bool]) -> Counts:
        """Plan, work and finish there. Tasks of a job that ended its process twice are lost, which this process says; one
        that was asked to stop has lost nothing."""
        how = ""
        for _ in range(_TRIES):
            counts, how = _once(job, should_stop)
            if counts is not None:
                return counts
            if should_stop():
                break
        try:
            tasks = job.plan()
            # A process that died after it was asked to stop died once: that is no reason to give anything up.
            for task in () if should_stop() else tasks:
                job.lost(task, f"it ended the process that read it {_TRIES} times: {how}")
            return job.finish({}, stopped=should_stop())
        finally:
            job.close()


def _once(job: Job, should_stop: Callable[[], bool]) -> tuple[Counts | None, str]:
    """What the job came to, or None and how its process died."""
    context = multiprocessing.get_context("spawn")
    stop, (ours, theirs) = context.Event(), context.Pipe()
    process = context.Process(target=_main, args=(theirs, stop, job, os.getpid()))
    start_shielded(process)
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
    if not take_shelter(parent):
        return
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it may reach a whole group of processes; the one that waits decides
    try:
        link.send(("end", SerialTasks().run(job, stop.is_set)))
    except BaseException as error:
        link.send(("error", portable(error)))
        if not isinstance(error, Exception):
            raise
