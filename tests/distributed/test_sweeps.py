"""A trial of two real ranks, one of which is killed: no error of its own, so it goes on with the same parameters."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from sweeps.opening import open_sweep
from sweeps.place import find_place
from sweeps.storage import open_storage
from sweeps.trial_folder import process_here, read_handle
from tests.distributed.launch import missing
from tests.house.source import CHECKOUT

pytestmark = [pytest.mark.distributed, pytest.mark.slow, pytest.mark.timeout(900)]


def ranks_beside(leader: int | None, folder: str) -> list[int]:
    """The trial's other ranks: Python itself, not the launcher that has the same words in its command."""
    return [
        process.pid for process in psutil.process_iter(["cmdline"])
        if (process.info["cmdline"] or [])[1:] == ["-u", "-m", "sweeps.trial", folder] and process.pid != leader
    ]  # fmt: skip


def test_a_killed_rank_loses_no_trial(tmp_path: Path):
    if reason := missing("horovodrun"):
        pytest.skip(reason)
    command = [
        "--cluster",
        "local",
        "--ranks-per-node",
        "2",
        "--runs",
        str(tmp_path),
        "--study",
        "killed",
        "--trials",
        "1",
    ]
    program = [sys.executable, "-m", "sweeps.optuna_run", *command, "--search", "lr=log(1e-3, 1e-1)", "stage=selftest"]
    folder = tmp_path / "killed" / "trial-0000"
    driver = subprocess.Popen(
        [*program, "steps=200"], cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        deadline = time.monotonic() + 240
        while not any((folder / "checkpoints").glob("step-*.json")):
            assert time.monotonic() < deadline, "no checkpoint came"
            time.sleep(0.05)
        leader = process_here(folder)
        (other,) = ranks_beside(leader, str(folder))
        os.kill(other, signal.SIGKILL)
        said = driver.communicate(timeout=600)[0]
    finally:
        driver.kill()
    assert driver.returncode == 0, said
    (trial,) = open_sweep(
        open_storage(find_place(None, tmp_path / "killed" / "study.log", {})), "killed", None
    ).trials()
    assert trial.state.name == "COMPLETE", trial.user_attrs.get("reason")
    assert read_handle(folder).attempt == 2  # type: ignore[union-attr]
    assert "going on from step 100" in (folder / "output.log").read_text()
