"""A signal to one rank stops all ranks of a real two-rank run, between two steps, and leaves no finished result."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.distributed.launch import CHECKOUT

pytestmark = pytest.mark.distributed
WORKER = [sys.executable, "-m", "hpc.worker", "--run-dir"]
GLOO = [sys.executable, "-m", "horovod.runner.launch", "-np", "2", "--gloo", "--network-interfaces", "lo"]


@pytest.mark.parametrize(("launcher", "number"), [([], signal.SIGTERM), ([], signal.SIGUSR2), (GLOO, signal.SIGUSR2)])
def test_a_signal_to_one_rank_stops_the_run_between_steps(tmp_path: Path, launcher: list[str], number: int):
    run = tmp_path / "run"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [*launcher, *WORKER, str(run), "stage=selftest", "steps=100000"]
    process = subprocess.Popen(
        command, cwd=CHECKOUT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        _wait_for_steps(run / "metrics.jsonl", 5)
        os.kill(_one_rank(run), number)
        output = process.communicate(timeout=60)[0]
    finally:
        process.kill()
    assert process.returncode != 0
    assert "asked to stop" in output
    steps = [json.loads(line)["step"] for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert steps == list(range(1, len(steps) + 1))
    assert f"after step {len(steps)};" in output
    assert not (run / "result.json").exists()


def _wait_for_steps(metrics: Path, steps: int) -> None:
    deadline = time.monotonic() + 90
    while not metrics.exists() or len(metrics.read_text().splitlines()) < steps:
        assert time.monotonic() < deadline, "the run did not start"
        time.sleep(0.05)


def _one_rank(run: Path) -> int:
    """Process id of a rank of this run (not of its launcher)."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            arguments = (entry / "cmdline").read_text().split("\0")
        except OSError:
            continue
        if arguments[1:3] == ["-m", "hpc.worker"] and str(run) in arguments:
            return int(entry.name)
    raise AssertionError("no rank runs")
