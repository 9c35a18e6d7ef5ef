"""Runs by processes of this machine that somebody kills, or whose records are damaged: one run stays one run."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hpc.job import JobError
from hpc.launch import Launched, launch
from hpc.plan import make_plan
from hpc.record import attempts
from hpc.request import Request
from hpc.states import state_of
from tests.house.source import CHECKOUT

_LONG = "steps=1000000"


@pytest.fixture(name="begun")
def begun_fixture() -> Iterator[list[Launched]]:
    """Runs that were started; what still lives of them is ended with the test."""
    begun: list[Launched] = []
    yield begun
    for one in begun:
        if one.process is not None:
            one.process.terminate()
            one.process.wait()


def _launch(begun: list[Launched], runs: Path) -> Launched:
    begun.append(launch("selftest", [_LONG], runs=runs, where="local"))
    return begun[-1]


def _folder(runs: Path) -> Path:
    """Of the run that `_launch` starts."""
    return make_plan(Request("selftest", (_LONG,), runs=runs, where="local")).spec.run_dir


def test_a_record_that_was_cut_off_makes_no_second_run(tmp_path: Path, begun: list[Launched]):
    run_dir = _folder(tmp_path)
    run_dir.mkdir()
    (run_dir / "attempts.jsonl").write_text('{"event": "failed", "time": 1.0, "er')
    assert _launch(begun, tmp_path).how == "started"
    assert _launch(begun, tmp_path).how == "attached"
    assert [event["event"] for event in attempts(run_dir)].count("submitted") == 1


# A supervisor as it is, but for its ranks: a program that says its number and waits.
_SUPERVISOR = """
import sys
from hpc import local
local.local_command = lambda *_: ["bash", "-c", "echo $$; exec sleep 600"]
sys.exit(local.main(["--run-dir", sys.argv[1]]))
"""

# A submission as it is, but that it is killed when it has started a process.
_KILLED = """
import os, signal, subprocess, sys
from pathlib import Path
from hpc import local
from hpc.launch import launch
start = subprocess.Popen
def killed(command, **how):
    process = start(command, **how)
    if "hpc.local" in command:
        os.kill(os.getpid(), signal.SIGKILL)
    return process
local.subprocess.Popen = killed
launch("selftest", [sys.argv[2]], runs=Path(sys.argv[1]), where="local")
"""


def _ends(pid: int) -> bool:
    """Wait until a process, whosever child it is, has ended; whether it does."""
    try:
        file = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([file], [], [], 120)[0])
    finally:
        os.close(file)


def _written_down(runs: Path, begun: list[Launched]) -> Path:
    """A run that was begun and stopped."""
    run_dir = _launch(begun, runs).run_dir
    assert begun[-1].process is not None
    begun[-1].process.terminate()
    begun[-1].process.wait()
    return run_dir


def test_ranks_end_with_their_supervisor(tmp_path: Path, begun: list[Launched]):
    run_dir = _written_down(tmp_path, begun)
    command = [sys.executable, "-c", _SUPERVISOR, str(run_dir)]
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        rank = int(process.stdout.readline())
        assert state_of(run_dir).state == "running"
        process.kill()
        try:
            assert _ends(rank)
        finally:
            subprocess.run(["kill", "-9", str(rank)], check=False, stderr=subprocess.DEVNULL)
    assert state_of(run_dir).state == "lost"
    assert _launch(begun, tmp_path).how == "started"


def test_a_run_whose_submission_was_killed_is_known(tmp_path: Path, begun: list[Launched]):
    killed = subprocess.run([sys.executable, "-c", _KILLED, str(tmp_path), _LONG], cwd=CHECKOUT, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert _launch(begun, tmp_path).how == "attached"
    (run_dir,) = tmp_path.glob("selftest-*")
    (submitted,) = [event for event in attempts(run_dir) if event["event"] == "submitted"]
    os.kill(submitted["pid"], signal.SIGTERM)
    assert _ends(submitted["pid"])


def test_a_run_that_cannot_be_started_is_said(tmp_path: Path, begun: list[Launched]):
    run_dir = _folder(tmp_path)
    run_dir.mkdir()
    (run_dir / "attempts.jsonl").symlink_to("missing/file")
    with pytest.raises(JobError, match=r"the run could not be started: local: .*No such file"):
        _launch(begun, tmp_path)
