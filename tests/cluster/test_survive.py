"""Runs that are disturbed for real, all at the same time, and go on by themselves to the same end as one that is left alone."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from hpc.record import attempts
from tests.cluster.testbed import Testbed, wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]
_STEPS = 400
_DOOR = [sys.executable, "-m", "hpc.submit", "--ranks-per-node", "2", "stage=selftest", f"steps={_STEPS}"]
_ENDLESS = [sys.executable, "-m", "hpc.submit", "--time", "1", "stage=selftest", "steps=1000000", "batch=4"]
_PATIENCE_S = 400  # for a machine that is busy with other things


def _events(run_dir: Path, kind: str) -> list[dict[str, Any]]:
    return [event for event in attempts(run_dir) if event["event"] == kind]


def _job(run_dir: Path) -> str:
    return str(_events(run_dir, "submitted")[0]["job_id"])


def _kill_rank_1(cluster: Testbed, run_dir: Path) -> None:
    """kill -9 of the process that Slurm started as the second rank of a run."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            environ = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue  # it ended meanwhile
        is_rank = b"python" in words[0] and str(run_dir / "submitit").encode() in words
        if is_rank and b"SLURM_PROCID=1" in environ:
            os.kill(int(entry.name), signal.SIGKILL)
            return
    raise AssertionError("there is no rank to kill")


def _requeue(cluster: Testbed, run_dir: Path) -> None:
    cluster.run("scontrol", "requeue", _job(run_dir))


def _disturb(cluster: Testbed, runs: Path, faults: dict[str, Callable[[Testbed, Path], None]]) -> None:
    """Each run at the moment when half of its steps are saved."""
    left = dict(faults)
    deadline = time.monotonic() + _PATIENCE_S
    while left:
        for name in list(left):
            if list((runs / name / "checkpoints").glob("step-*.json")):
                assert not (runs / name / "result.json").exists(), "it was quicker than the fault"
                left.pop(name)(cluster, runs / name)
        assert time.monotonic() < deadline, f"no checkpoint of {', '.join(left)}"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def runs(_running: Testbed, shared_folder: Path) -> Iterator[Path]:
    """A run that is left alone, one whose rank is killed, one that an administrator requeues, and one whose time is short."""
    folder = shared_folder / "it's the survivors'; $HOME"
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("killed", "requeued", "alone"):
        _running.run(*_DOOR, "--runs", str(folder), "--name", name)
    _running.run(*_ENDLESS, "--runs", str(folder), "--name", "short-of-time")
    try:
        _disturb(_running, folder, {"killed": _kill_rank_1, "requeued": _requeue})
        yield folder
    finally:
        _running.run("scancel", "--user=root", check=False)


def _check_whole(runs: Path, name: str) -> None:
    """One continuous record, and the weights of the run that was left alone, bit for bit."""
    wait_until(f"{name} finishes", (runs / name / "result.json").exists, _PATIENCE_S)
    wait_until("the one that is left alone finishes", (runs / "alone" / "result.json").exists, _PATIENCE_S)
    lines = [json.loads(line) for line in (runs / name / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == list(range(1, _STEPS + 1))
    mine, others = (torch.load(runs / run / "weights.pt", weights_only=True) for run in (name, "alone"))
    assert list(mine) == list(others)
    assert all(torch.equal(mine[key], others[key]) for key in mine)
    logs = "".join(path.read_text() for path in (runs / name / "submitit").glob("*_0_log.out"))
    assert re.search(r"going on from step [1-9]", logs)


def test_a_killed_rank_costs_the_steps_since_the_last_checkpoint(runs: Path):
    _check_whole(runs, "killed")
    assert len(_events(runs / "killed", "started")) >= 2
    assert _events(runs / "killed", "failed")
    assert _events(runs / "killed", "again")


def test_a_requeue_by_the_administrator_is_no_end(runs: Path):
    _check_whole(runs, "requeued")
    assert len(_events(runs / "requeued", "started")) >= 2
    assert _events(runs / "requeued", "again") == [], "Slurm had queued it again already"


def _went_on_from(run_dir: Path) -> int | None:
    """The step at which a run stopped, when it began again after it without being submitted again."""
    saved = None
    for event in attempts(run_dir):
        if event["event"] == "stopped":
            saved = event.get("step") or None
        elif event["event"] == "submitted":
            saved = None
        elif event["event"] == "started" and saved is not None:
            return int(saved)
    return None


def test_time_that_is_up_is_no_end_and_scancel_is(cluster: Testbed, runs: Path):
    run_dir = runs / "short-of-time"

    def went_on() -> bool:
        # On a machine that is so busy that a minute is over before anything could begin, it is given another one.
        if cluster.job_state(str(_events(run_dir, "submitted")[-1]["job_id"])) in ("TIMEOUT", "FAILED"):
            cluster.run(*_ENDLESS, "--runs", str(runs), "--name", run_dir.name)
        return _went_on_from(run_dir) is not None

    def said_from_where() -> bool:
        logs = "".join(path.read_text() for path in (run_dir / "submitit").glob("*_0_log.out"))
        return f"going on from step {_went_on_from(run_dir)}," in logs

    wait_until("it goes on after its time was up", went_on, _PATIENCE_S)
    wait_until("it says from where", said_from_where, _PATIENCE_S)
    job = str(_events(run_dir, "submitted")[-1]["job_id"])
    said = cluster.run(sys.executable, "-m", "hpc.cancel", "--runs", str(runs), run_dir.name).stdout
    assert "is cancelled" in said
    wait_until("the job is cancelled", lambda: cluster.job_state(job) == "CANCELLED", _PATIENCE_S)
    status = cluster.run(sys.executable, "-m", "hpc.status", "--json", "--runs", str(runs), run_dir.name).stdout
    assert json.loads(status)[0]["state"] == "cancelled"
