"""A job in a process that is watched over: its end, its errors and its death reach the one that waits."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from v2a.tasks import Counts, Link
from v2a.watched import WatchedTasks


class Making:
    """Leaves a file for each time that it was worked on; `deaths` of these end their process."""

    def __init__(self, folder: Path, deaths: int = 0, error: str = "", waits: bool = False) -> None:
        self.folder, self.deaths, self.error, self.waits = folder, deaths, error, waits
        self.gone: list[str] = []

    def plan(self) -> Sequence[str]:
        return ["one"]

    def work(self, link: Link) -> None:
        for task in link.tasks():
            tried = len(list(self.folder.iterdir()))
            (self.folder / f"{tried}-{os.getpid()}").touch()
            if tried < self.deaths:
                os.kill(os.getpid(), signal.SIGKILL)
            if self.error:
                raise ValueError(self.error)
            while self.waits and not link.should_stop():
                pass
            link.count({task: 1.0})

    def show(self, done: int, total: int, counts: Counts) -> None: ...

    def again(self, task: str) -> str:
        return task

    def lost(self, task: str, reason: str) -> None:
        self.gone.append(f"{task}: {reason}")

    def finish(self, counts: Counts, stopped: bool) -> Counts:
        return {**counts, "stopped": float(stopped), "pid": float(os.getpid())}

    def close(self) -> None: ...


def tried(folder: Path) -> int:
    return len(list(folder.iterdir()))


def test_all_of_it_is_done_in_another_process(tmp_path: Path):
    found = WatchedTasks().run(Making(tmp_path), lambda: False)
    assert (found["one"], found["stopped"]) == (1.0, 0.0)
    assert found["pid"] != os.getpid()


def test_a_process_that_dies_is_begun_anew_once(tmp_path: Path):
    job = Making(tmp_path, deaths=1)
    assert WatchedTasks().run(job, lambda: False)["one"] == 1.0
    assert (tried(tmp_path), job.gone) == (2, [])


def test_what_ends_its_process_twice_is_lost_with_a_reason(tmp_path: Path):
    job = Making(tmp_path, deaths=9)
    assert WatchedTasks().run(job, lambda: False) == {"stopped": 0.0, "pid": float(os.getpid())}
    assert tried(tmp_path) == 2
    assert job.gone == ["one: it ended the process that read it 2 times: signal SIGKILL (out of memory?)"]


def test_an_error_is_raised_here(tmp_path: Path):
    with pytest.raises(ValueError, match="bad picture"):
        WatchedTasks().run(Making(tmp_path, error="bad picture"), lambda: False)
    assert tried(tmp_path) == 1


def test_a_request_to_stop_reaches_it(tmp_path: Path):
    found = WatchedTasks().run(Making(tmp_path, waits=True), lambda: tried(tmp_path) > 0)
    assert found["stopped"] == 1.0


def test_a_death_after_a_request_to_stop_loses_nothing(tmp_path: Path):
    job = Making(tmp_path, deaths=9)
    found = WatchedTasks().run(job, lambda: tried(tmp_path) > 0)
    assert (tried(tmp_path), job.gone, found["stopped"]) == (1, [], 1.0)


def test_stopped_at_once_it_leaves_no_process(tmp_path: Path):
    def at_once() -> bool:
        if tried(tmp_path):
            raise KeyboardInterrupt
        return False

    with pytest.raises(KeyboardInterrupt):
        WatchedTasks().run(Making(tmp_path, waits=True), at_once)
    (left,) = tmp_path.iterdir()
    with pytest.raises(ProcessLookupError):
        os.kill(int(left.name.partition("-")[2]), 0)
