"""`hpc.cancel`: what it ended, and what it could not."""

import errno
import os
from pathlib import Path

import pytest

from hpc import cancel
from hpc.record import attempts
from hpc.states import state_of
from tests.unit.fake_slurm import FakeSlurm
from tests.unit.runs.making import FAILED, STARTED, make_run, note_events, put_job


def test_cancel_says_what_it_did(tmp_path: Path, fake_slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]):
    run_dir = make_run(tmp_path, "selftest-1", "4711")
    put_job(fake_slurm, run_dir, "4711", "RUNNING")
    assert cancel.main(["--runs", str(tmp_path), "selftest-1"]) == 0
    assert "selftest-1 was running, and is cancelled" in capsys.readouterr().out
    assert fake_slurm.jobs()[0]["state"] == "CANCELLED"
    assert attempts(run_dir)[-1]["event"] == "cancelled"
    assert cancel.main(["--runs", str(tmp_path), "selftest-1", "selftest-2"]) == 1
    captured = capsys.readouterr()
    assert "selftest-1 is cancelled already; nothing to cancel" in captured.out
    assert "cancel: there is no run 'selftest-2'" in captured.err
    assert len(fake_slurm.calls("scancel")) == 1


def test_a_full_disk_keeps_nothing_from_being_cancelled(
    tmp_path: Path, fake_slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    run_dir = make_run(tmp_path, "selftest-1", "4711")
    put_job(fake_slurm, run_dir, "4711", "RUNNING")
    monkeypatch.setattr("hpc.record.os.write", full)
    assert cancel.main(["--runs", str(tmp_path), "selftest-1"]) == 0
    assert fake_slurm.jobs()[0]["state"] == "CANCELLED"
    assert "its record could not be written ([Errno 28] No space left on device)" in capsys.readouterr().err


def test_a_cancellation_that_slurm_refuses_is_none(
    tmp_path: Path, fake_slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
):
    run_dir = make_run(tmp_path, "selftest-1", "4711")
    put_job(fake_slurm, run_dir, "4711", "RUNNING")
    (fake_slurm.folder / "deny").write_text("scancel: error: Kill job error on job id 4711: Access/permission denied")
    assert cancel.main(["--runs", str(tmp_path), "selftest-1"]) == 1
    assert "Access/permission denied" in capsys.readouterr().err
    fake_slurm.set("4711", state="FAILED")
    note_events(run_dir, STARTED, FAILED)
    assert (state_of(run_dir).state, state_of(run_dir).reason) == ("failed", "no room")
