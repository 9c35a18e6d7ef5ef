"""How runs stand, by their folders and by one question to Slurm."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from hpc import cancel, status
from hpc.record import append
from hpc.states import process_begun, state_of, states
from tests.unit.fake_slurm import FakeSlurm
from tests.unit.runs.making import FAILED, STARTED, Event, make_run, note_events, put_job
from v2a.whole import write_json


@pytest.mark.parametrize(
    ("slurms", "events", "expected"),
    [
        ("PENDING", [], "pending: Priority"),
        ("RUNNING", [STARTED], "running: "),
        ("COMPLETING", [STARTED], "running: "),
        ("PENDING", [STARTED, ("failed", {"error": "killed"}), ("again", {})], "pending: Priority"),
        ("FAILED", [STARTED, FAILED, ("gave up", {"error": "no room; twice"})], "failed: no room; twice"),
        ("TIMEOUT", [STARTED], "failed: Slurm says TIMEOUT"),
        ("NODE_FAIL", [STARTED], "failed: Slurm says NODE_FAIL"),
        ("CANCELLED", [STARTED, ("stopped", {"why": "TERM"})], "cancelled: "),
        ("FAILED", [STARTED, ("stopped", {"why": "TERM"})], "stopped: TERM"),
        ("COMPLETED", [STARTED], "lost: Slurm says COMPLETED"),
        (None, [STARTED], "lost: it ended, and nothing says how"),
        (None, [STARTED, FAILED], "failed: no room"),
        (None, [STARTED, FAILED, STARTED], "lost: it ended, and nothing says how"),
        (None, [("cancelled", {})], "cancelled: "),
    ],
)
def test_the_folder_and_slurm_together(
    slurms: str | None, events: list[Event], expected: str, tmp_path: Path, fake_slurm: FakeSlurm
):
    run_dir = make_run(tmp_path, "selftest-1", "4711")
    if slurms is not None:
        put_job(fake_slurm, run_dir, "4711", slurms, reason="Priority")
    note_events(run_dir, *events)
    found = state_of(run_dir)
    assert f"{found.state}: {found.reason}" == expected
    assert found.job_id == "4711"
    assert found.is_active is expected.startswith(("pending", "running"))


def test_waiting_for_another_process_is_no_restart(tmp_path: Path, fake_slurm: FakeSlurm):
    run_dir = make_run(tmp_path, "selftest-1", "4711")
    note_events(run_dir, *([STARTED, ("failed", {"busy": True, "rank": 0})] * 3), STARTED, FAILED, STARTED)
    assert state_of(run_dir).restarts == 1


def test_a_result_is_the_end_whatever_slurm_says(tmp_path: Path, fake_slurm: FakeSlurm):
    run_dir = make_run(tmp_path, "selftest-1", "4711")
    put_job(fake_slurm, run_dir, "4711", "FAILED")
    write_json(run_dir / "result.json", {"loss": 0.5})
    assert state_of(run_dir).state == "finished"
    assert state_of(run_dir).result == {"loss": 0.5}
    assert fake_slurm.calls("squeue") == []


def test_a_job_of_the_same_number_may_be_another_runs(tmp_path: Path, fake_slurm: FakeSlurm):
    """A cluster that was set up anew counts from one again."""
    run_dir, other = make_run(tmp_path, "selftest-1", "4711"), make_run(tmp_path / "others", "selftest-1")
    put_job(fake_slurm, other, "4711", "RUNNING")
    assert state_of(run_dir).state == "lost"


def test_a_run_is_known_by_any_way_to_its_folder(
    tmp_path: Path, fake_slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch
):
    run_dir = make_run(tmp_path, "selftest-1", "4711")
    put_job(fake_slurm, run_dir, "4711", "RUNNING")
    (tmp_path / "link").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert state_of(Path("selftest-1")).state == state_of(tmp_path / "link" / "selftest-1").state == "running"


def test_a_run_of_a_batch_script_is_a_run_too(
    tmp_path: Path, fake_slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
):
    run_dir = tmp_path / "runs" / "mine"
    run_dir.mkdir(parents=True)
    write_json(run_dir / "config.json", {"stage": "vqvae"})
    append(run_dir, "submitted", where="slurm", job_id="4711", job_name="v2a-vqvae")
    job = {"id": "4711", "state": "RUNNING", "flags": {"job-name": "v2a-vqvae"}}
    (fake_slurm.folder / "jobs" / "4711.json").write_text(json.dumps(job))
    assert status.main(["--runs", str(tmp_path / "runs")]) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[:2] == ["mine", "running"]
    assert state_of(run_dir).stage == "vqvae"


def test_accounting_remembers_what_the_controller_forgot(tmp_path: Path, fake_slurm: FakeSlurm):
    run_dir = make_run(tmp_path, "selftest-1", "4711")
    (fake_slurm.folder / "sacct").write_text("4711|TIMEOUT|0:0|2026-11-30T00:00:00|t4|2|t4-[1-2]|selftest-1\n")
    assert state_of(run_dir).reason == "Slurm says TIMEOUT"
    (fake_slurm.folder / "sacct").write_text("4711|CANCELLED by 0|0:0|Unknown|t4|2|None assigned|selftest-1\n")
    assert state_of(run_dir).state == "cancelled"
    (fake_slurm.folder / "sacct").write_text("4711|CANCELLED by 0|0:0|Unknown|t4||None assigned|selftest-1\n")
    assert state_of(run_dir).state == "cancelled", "a job that got no nodes has no number of them"


def test_without_slurm_nothing_is_guessed(tmp_path: Path, fake_slurm: FakeSlurm):
    run_dir = make_run(tmp_path, "selftest-1", "4711")
    (fake_slurm.folder / "down").touch()
    assert (state_of(run_dir).state, state_of(run_dir).reason) == ("unknown", "Slurm does not answer")
    assert state_of(tmp_path / "missing").state == "none"


@pytest.mark.parametrize("forgotten", [False, True])
def test_a_broken_link_is_named_by_what_waited_for_it(forgotten: bool, tmp_path: Path, fake_slurm: FakeSlurm):
    first = make_run(tmp_path, "prepare-1", "4711")
    second = make_run(tmp_path, "vqvae-1", "4712", after=[str(first)])
    third = make_run(tmp_path, "codes-1", "4713", after=[str(second), "/nowhere", "x" * 999, "\0", None, 7])
    alone = make_run(tmp_path, "alone", "4714", after=[str(tmp_path / "alone")])
    note_events(first, STARTED, FAILED, ("gave up", {"error": "no room; twice"}))
    for number, run_dir in enumerate((first, second, third, alone)):
        put_job(fake_slurm, run_dir, str(4711 + number), "CANCELLED" if number else "FAILED", forgotten=forgotten)
    for run_dir in (second, third):
        found = state_of(run_dir)
        assert (found.state, found.reason) == (
            "cancelled",
            "it waited for prepare-1, which has failed: no room; twice",
        )
    assert fake_slurm.calls("squeue") == fake_slurm.calls("squeue")[:2], "one question for each that was asked about"
    assert "waited for prepare-1" not in state_of(alone).reason
    append(third, "cancelled", why="hpc.cancel")
    assert (state_of(third).state, state_of(third).reason) == ("cancelled", "")
    note_events(second, STARTED)
    assert "waited" not in state_of(second).reason, "it did begin"


def test_a_local_run_lives_as_long_as_its_supervisor(tmp_path: Path):
    run_dir = make_run(tmp_path, "selftest-1")
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    here = {"where": "local", "host": socket.gethostname(), "pid": process.pid, "begun": process_begun(process.pid)}
    append(run_dir, "submitted", **here)
    assert state_of(run_dir).state == "running"
    assert cancel.main([str(run_dir)]) == 0
    assert process.wait(timeout=60) == -signal.SIGTERM
    assert state_of(run_dir).state == "cancelled"
    append(run_dir, "submitted", **{**here, "pid": os.getpid(), "begun": "1"})
    assert state_of(run_dir).state == "lost", "another process has its number now"
    append(run_dir, "submitted", **{**here, "host": "elsewhere"})
    assert state_of(run_dir).state == "unknown"
    append(run_dir, "failed", error="no room")
    assert state_of(run_dir).reason == "no room"


def test_many_states_are_one_question(many: Path, fake_slurm: FakeSlurm):
    found = states(sorted(many.iterdir()))
    assert sum(state.state == "finished" for state in found.values()) == 190
    assert len(fake_slurm.calls("squeue")) == 1
