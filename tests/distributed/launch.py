"""Launching two real ranks on this machine, with an end: what hangs is ended, and is a failure."""

import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.house.source import CHECKOUT

_MARK = "V2A_TEST_LAUNCH"
LAUNCHERS = {
    # The loopback interface: what Horovod would find by itself in a container may lead nowhere.
    "horovodrun": [sys.executable, "-m", "horovod.runner.launch", "-np", "2", "--gloo", "--network-interfaces", "lo"],
    "mpirun": ["mpirun", "--allow-run-as-root", "--oversubscribe", "-np", "2"],
}


@dataclass(frozen=True)
class Ended:
    """How a launch ended: its exit status, and what it and its ranks wrote."""

    status: int
    output: str


def launch(
    launcher: str,
    program: list[str],
    timeout_s: float = 120,
    started: Callable[[], bool] = lambda: True,
    **environment: str,
) -> Ended:
    """Run `python PROGRAM…` as two ranks; the time limit counts from when `started` says so.

    Raises:
        AssertionError: it did not end in time; every process of it was killed.
    """
    command = [*LAUNCHERS[launcher], sys.executable, *program]
    # Open MPI's fast shared-memory transport warns in containers that may not read each other's memory; plain copies do.
    mark = uuid.uuid4().hex
    variables = {**os.environ, "OMPI_MCA_btl_vader_single_copy_mechanism": "none", **environment, _MARK: mark}
    process = subprocess.Popen(
        command, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=variables,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _wait_for(started, process)
        output, _ = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        raise AssertionError(f"{launcher} did not end within {timeout_s} s") from None
    finally:
        while left := survivors(mark):
            _kill(left)
        process.wait()
    return Ended(process.returncode, output)


def _wait_for(started: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """However slow the machine is today; a launch that ends before it started is left to the caller to judge."""
    deadline = time.monotonic() + 240
    while not started() and process.poll() is None:
        assert time.monotonic() < deadline, "the ranks did not start within 240 s"
        time.sleep(0.05)


def survivors(mark: str) -> list[int]:
    """Processes that a launch started and that still run. They are known by a variable of their environment: Horovod's
    launcher gives its ranks sessions of their own."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                environ = (entry / "environ").read_bytes()
            except OSError:
                continue  # it ended meanwhile, or is another user's
            if f"{_MARK}={mark}".encode() in environ.split(b"\0") and runs(int(entry.name)):
                found.append(int(entry.name))
    return found


def runs(pid: int) -> bool:
    """Whether a process is there and more than a zombie, which waits for its parent to take note of its end."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _kill(pids: list[int]) -> None:
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    time.sleep(0.02)


def missing(launcher: str) -> str | None:
    """Why a launcher cannot be used here; None when it can."""
    if launcher == "mpirun" and shutil.which("mpirun") is None:
        return "there is no mpirun: apt-get install openmpi-bin libopenmpi-dev, then make setup"
    return None
