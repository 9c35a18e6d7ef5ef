"""A video that crashes its decoder: known afterwards, given up the second time; a killed process is no fault of the video's."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.source import CHECKOUT
from tests.media.videos import write_video
from v2a.prepare.config import Config
from v2a.prepare.crash import collect_crashes
from v2a.prepare.failures import Failure, read_failures
from v2a.prepare.job import PrepareJob
from v2a.prepare.progress import Progress

_PROGRAM = """
import ctypes, os, signal, sys
from pathlib import Path
from v2a.prepare.crash import AtWork
from v2a.prepare.inputs import Input
from v2a.prepare.bundle import VideoTask
with AtWork(Path(sys.argv[1])) as at_work:
    at_work.begin(VideoTask(Input("/earlier.mp4"), 1, 1))
    at_work.begin(VideoTask(Input(os.fsdecode(b"/bad\\xe9\\n.mp4"), 1_000_000, 2_000_000), 12, 34))
    {end}
"""
_SEGFAULT, _ABORT, _KILL = "ctypes.string_at(0)", "os.abort()", "os.kill(os.getpid(), signal.SIGKILL)"


def _die(state: Path, number: int, end: str) -> int:
    program = _PROGRAM.replace("{end}", end)
    return subprocess.run(
        [sys.executable, "-c", program, state / f"at-work-{number}.log"],
        cwd=CHECKOUT,
        check=False,
        stderr=subprocess.DEVNULL,
    ).returncode


@pytest.mark.parametrize(
    ("end", "how"), [(_SEGFAULT, (signal.SIGSEGV, "Segmentation fault")), (_ABORT, (signal.SIGABRT, "Aborted"))]
)
def test_a_video_that_crashes_twice_is_given_up(tmp_path: Path, end: str, how: tuple[signal.Signals, str]):
    assert _die(tmp_path, 1, end) == -how[0]
    assert collect_crashes(tmp_path) == []
    _die(tmp_path, 2, end)
    [failure] = collect_crashes(tmp_path)
    assert (failure.source, failure.span, failure.kind) == ("/bad\udce9\n.mp4", "1-2", "crash")
    assert failure.reason == f"it crashed the process that read it 2 times: {how[1]}"
    assert (failure.bytes, failure.mtime_ns) == (12, 34)
    assert list(tmp_path.glob("at-work-*")) == []


def test_a_killed_process_is_no_fault_of_the_video(tmp_path: Path):
    for number in range(4):
        assert _die(tmp_path, number, _KILL) == -signal.SIGKILL
    assert collect_crashes(tmp_path) == []
    assert list(tmp_path.glob("at-work-*")) == []


def test_a_worker_killed_before_its_first_word_leaves_nothing_to_read(tmp_path: Path):
    (tmp_path / "at-work-1.log").touch()
    (tmp_path / "at-work-2.log").write_bytes(b'["/half')
    assert collect_crashes(tmp_path) == []


def test_a_task_that_is_lost_is_a_line_of_the_failures(tmp_path: Path):
    video = write_video(tmp_path / "videos" / "a.mp4", 2.0)
    job = PrepareJob(Config(videos=str(video), out=str(tmp_path / "out")), Progress())
    [bundle] = job.plan()
    [task] = bundle.tasks
    job.lost(bundle, "it ended the process that read it 2 times: signal SIGSEGV")
    result = job.finish({}, stopped=False)
    job.close()
    assert result["failures"] == 1
    [failure] = read_failures(tmp_path / "out" / "failures.jsonl")
    assert failure == Failure(str(video), "", "crash", failure.reason, task.bytes, task.mtime_ns)
    assert "SIGSEGV" in failure.reason
