"""One training at a time in a run's folder; the lock ends with its process."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.house.source import CHECKOUT
from v2a.comm import LocalComm
from v2a.training import alone
from v2a.training.alone import alone_in

HOLDER = """
import sys, time
from pathlib import Path
from v2a.comm import LocalComm
from v2a.training.alone import alone_in
with alone_in(Path(sys.argv[1]), LocalComm()):
    print("held", flush=True)
    time.sleep(120)
"""


@pytest.fixture(name="holder")
def holder_fixture(tmp_path: Path):
    """Another process that trains there."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], cwd=CHECKOUT, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_second_one_is_refused_and_named(
    tmp_path: Path, holder: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(alone, "_STRAY_S", 0.3)
    refusal = rf"another process trains in .*process {holder.pid}, since .*another folder"
    with pytest.raises(ValueError, match=refusal), alone_in(tmp_path, LocalComm()):
        raise AssertionError("two at once")


def test_one_that_was_killed_lets_the_next_in(tmp_path: Path, holder: subprocess.Popen[bytes]):
    holder.send_signal(signal.SIGKILL)
    begun = time.monotonic()
    with alone_in(tmp_path, LocalComm()):
        assert time.monotonic() - begun < 15
    with alone_in(tmp_path, LocalComm()):  # and again
        assert (tmp_path / ".training.lock").exists()
