"""A run by processes of this machine: its supervisor lets it go on, and stops it when it is asked."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from hpc import local
from hpc.job import JobSpec
from hpc.local import Supervisor, read_spec
from hpc.ranks import ranks_below
from hpc.record import append, attempts
from tests.house.source import CHECKOUT
from v2a.whole import write_json


@pytest.fixture(name="spec")
def spec_fixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> JobSpec:
    """A run that was written down; this process's signals are left alone."""
    spec = JobSpec("selftest", ("steps=2",), tmp_path / "it's a run", restarts=3)
    spec.run_dir.mkdir()
    write_json(
        spec.run_dir / "run.json",
        {"stage": "selftest", "spec": {**dataclasses.asdict(spec), "run_dir": str(spec.run_dir)}},
    )
    monkeypatch.setattr(local.signal, "signal", lambda *_: None)
    append(spec.run_dir, "submitted", where="local")
    return spec


def _plays(monkeypatch: pytest.MonkeyPatch, *scripts: str) -> None:
    """Shell scripts in place of the ranks, one after the other."""
    left = iter(scripts)
    monkeypatch.setattr(local, "local_command", lambda *_: ["bash", "-c", next(left)])


def _events(spec: JobSpec) -> list[str]:
    return [event["event"] for event in attempts(spec.run_dir)]


def test_a_finished_run_is_a_success(spec: JobSpec, monkeypatch: pytest.MonkeyPatch):
    _plays(monkeypatch, f"echo '{{}}' >\"{spec.run_dir}/result.json\"")
    assert Supervisor(spec).run() == 0
    assert _events(spec) == ["submitted"]


def test_a_broken_run_goes_on_by_itself(spec: JobSpec, monkeypatch: pytest.MonkeyPatch):
    _plays(monkeypatch, "kill -9 $$", f"echo '{{}}' >\"{spec.run_dir}/result.json\"")
    assert Supervisor(spec).run() == 0
    assert _events(spec) == ["submitted", "failed", "again"]


def test_the_same_error_twice_ends_it(
    spec: JobSpec, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    _plays(monkeypatch, "exit 3", "exit 3")
    assert Supervisor(spec).run() == 3
    assert _events(spec) == ["submitted", "failed", "again", "failed", "gave up"]
    assert "the run stops here: its ranks ended without a word (exit status 3)" in capsys.readouterr().out


_ON_A_FULL_DISK = """
import dataclasses, json, subprocess, sys
from pathlib import Path
from hpc import local, room
from hpc.job import JobSpec
place = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], check=True)
spec = JobSpec("selftest", (), place / "run", restarts=3)
spec.run_dir.mkdir()
described = {"stage": "selftest", "spec": {**dataclasses.asdict(spec), "run_dir": str(spec.run_dir)}}
(spec.run_dir / "run.json").write_text(json.dumps(described))
room._FIRST_S = float(sys.argv[2])
fill = f"cd {place}; cat /dev/zero >fill; (sleep 2; rm fill) </dev/null >/dev/null 2>&1 & echo x >tried || exit 1"
ranks = iter([fill, f"cd {place}; ls >there; echo '{{}}' >run/result.json"])
local.local_command = lambda *_: ["bash", "-c", next(ranks)]
asked, sys.stdout = sys.stdout, (place / "out").open("w", buffering=1)
local.announce(spec.run_dir)
(place / "out").write_text("x" * 9000)  # the next line of the supervisor needs a new block
status = local.Supervisor(spec).run()
said = [(event["event"], bool(event.get("full"))) for event in map(json.loads, (spec.run_dir / "attempts.jsonl").open())]
print(json.dumps([status, said, (place / "there").read_text().split()]), file=asked)
"""


def test_a_full_disk_is_waited_for(tmp_path: Path):
    """In a mount namespace of its own: nothing can stay mounted."""
    if os.geteuid() != 0 or subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True).returncode:
        pytest.skip("needs root and mount namespaces")
    command = ["unshare", "-m", sys.executable, "-c", _ON_A_FULL_DISK, str(tmp_path), "6"]
    environ = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environ, check=False)
    assert done.returncode == 0, done.stderr
    status, said, there = json.loads(done.stdout)
    assert status == 0
    assert said[0] == ["submitted", False]
    assert set(map(tuple, said[1:])) <= {("failed", True), ("again", False)}, "what the disk did not take is lost"
    assert "run" in there
    assert "fill" not in there, "it began again before there was room"


def test_a_run_that_waits_for_room_can_be_stopped(spec: JobSpec, monkeypatch: pytest.MonkeyPatch):
    full = json.dumps({"event": "failed", "error": "full", "step": 0, "full": True})
    _plays(monkeypatch, f"echo '{full}' >>\"{spec.run_dir}/attempts.jsonl\"; exit 1")
    supervisor = Supervisor(spec)
    timer = threading.Timer(1, supervisor._stop, (signal.SIGTERM, None))
    timer.start()
    assert supervisor.run() == 1
    assert _events(spec) == ["submitted", "failed", "again", "stopped"]


def test_a_signal_that_comes_while_its_ranks_are_started_is_not_lost(spec: JobSpec, monkeypatch: pytest.MonkeyPatch):
    supervisor, start = Supervisor(spec), subprocess.Popen

    def disturbed(*command: Any, **how: Any) -> Any:
        child = start(*command, **how)
        supervisor._stop(signal.SIGTERM, None)  # before anybody knows of the child
        return child

    _plays(monkeypatch, "exec sleep 60")
    monkeypatch.setattr(local.subprocess, "Popen", disturbed)
    assert supervisor.run() == -signal.SIGTERM % 256
    assert _events(spec) == ["submitted", "stopped"]


# A launcher of two ranks which itself ends at once when it is asked to. A rank ends well when it is asked.
_RANK = "import os, signal; signal.signal(15, lambda *_: os._exit(75)); print('here', flush=True); signal.pause()"
_LAUNCHER = """
import subprocess, sys
rank = [sys.executable, "-m", "hpc.worker"]
ranks = [subprocess.Popen(["sh", "-c", '"$@"; exit $?', "", *rank], stdout=subprocess.PIPE) for _ in range(2)]
print([one.stdout.readline() for one in ranks], flush=True)
print("ended", [one.wait() for one in ranks], flush=True)
sys.exit(7)
"""


def test_ranks_are_asked_before_their_launcher(tmp_path: Path):
    """What `horovodrun` is asked it hands on, and kills them 5 s later, whether or not they have saved."""
    (tmp_path / "hpc").mkdir()
    (tmp_path / "hpc" / "__init__.py").touch()  # else the checkout's own package comes first where PYTHONPATH names it
    (tmp_path / "hpc" / "worker.py").write_text(_RANK)
    command = [sys.executable, "-c", _LAUNCHER]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as launcher:
        assert launcher.stdout is not None
        assert launcher.stdout.readline() == "[b'here\\n', b'here\\n']\n"
        supervisor = Supervisor(JobSpec("selftest", (), tmp_path, nodes=2))
        supervisor._child = launcher  # type: ignore[assignment]  # of text
        assert len(ranks_below(launcher.pid)) == 2
        supervisor._stop(signal.SIGTERM, None)
        assert launcher.stdout.read() == "ended [75, 75]\n"
    assert launcher.returncode == 7


def test_a_launcher_without_ranks_is_asked_itself(tmp_path: Path):
    with subprocess.Popen(["sleep", "600"]) as launcher:
        supervisor = Supervisor(JobSpec("selftest", (), tmp_path, nodes=2))
        supervisor._child = launcher
        supervisor._stop(signal.SIGTERM, None)
        assert launcher.wait() == -signal.SIGTERM


def test_what_it_is_told_to_run_is_what_was_written_down(spec: JobSpec):
    assert read_spec(spec.run_dir) == spec
    with pytest.raises(ValueError, match="describes no run"):
        read_spec(spec.run_dir.parent)
    assert local.main(["--run-dir", str(spec.run_dir.parent)]) == 1


def test_the_command_itself(tmp_path: Path):
    """A real run of one rank: its results, and, submitted again, nothing but them."""
    command = [
        sys.executable,
        "-m",
        "hpc.submit",
        "--cluster",
        "local",
        "--runs",
        str(tmp_path / "my runs"),
        "stage=selftest",
        "steps=3",
    ]
    # In a shell of `srun --pty`: the job around it is the person's session, and not the run's.
    session = {"SLURM_JOB_ID": "777", "SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "1", "SLURM_LOCALID": "0"}
    environ = {**os.environ, **session, "SLURM_STEP_TASKS_PER_NODE": "1"}
    first = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False, env=environ)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "finished: {" in first.stdout
    (run_dir,) = (tmp_path / "my runs").glob("selftest-*")
    assert [event["event"] for event in attempts(run_dir)] == ["submitted", "started", "finished"]
    assert all("job_id" not in event for event in attempts(run_dir))
    again = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert again.returncode == 0
    assert f"{run_dir.name} finished: world_size 1  step 3" in again.stdout
    assert len(attempts(run_dir)) == 3


def test_in_this_very_process_for_a_debugger(tmp_path: Path):
    command = [sys.executable, "-m", "hpc.submit", "--cluster", "debug", "--runs", str(tmp_path), "stage=selftest"]
    two = subprocess.run([*command, "--nodes", "2"], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert two.returncode == 1
    assert "expected one rank with --cluster debug, but got 2" in two.stderr
    one = subprocess.run([*command, "steps=2"], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert one.returncode == 0, one.stderr
    assert "rank 0 of 1" in one.stdout


def test_ctrl_c_stops_it_and_the_same_command_goes_on(tmp_path: Path):
    command = [
        sys.executable,
        "-u",
        "-m",
        "hpc.submit",
        "--cluster",
        "local",
        "--runs",
        str(tmp_path),
        "stage=selftest",
        "steps=100000",
    ]
    process = subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    said = ""
    while "step " not in said:  # it trains
        line = process.stdout.readline()
        assert line, said
        said += line
    process.send_signal(signal.SIGINT)
    said += process.communicate()[0]
    assert process.returncode == 130, said
    assert "stopping after this step" in said
    (run_dir,) = tmp_path.glob("selftest-*")
    assert [event["event"] for event in attempts(run_dir)] == ["submitted", "started", "stopped"]
    assert list((run_dir / "checkpoints").glob("step-*.json"))
