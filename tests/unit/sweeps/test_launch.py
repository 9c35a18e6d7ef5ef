"""How trials are started and stopped: before they begin, with another's process number, with a job that nobody wrote down."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hpc import team
from hpc.job import JobSpec
from hpc.record import append
from hpc.request import Request
from hpc.states import process_begun, state_of
from sweeps.launch import LocalLauncher, SlurmLauncher, ask_to_end, start_process
from sweeps.options import Options
from sweeps.trial import run_trial
from sweeps.trial_folder import (
    PLACE,
    Handle,
    Outcome,
    Task,
    forget_attempt,
    hold,
    is_held,
    read_handle,
    read_outcome,
    write_outcome,
    write_task,
)
from sweeps.worker_folder import Worker
from sweeps.workers import SlurmWorkers
from tests.house.source import CHECKOUT
from tests.unit.fake_slurm import FakeSlurm
from v2a.stages import Context
from v2a.training import alone
from v2a.whole import write_json

TASK = Task("", "a study", 0, "selftest", ["steps=1000000"], "", "none", 1000000, 1)
ME = Handle("process", "", attempt=2)


def wait_until(what: str, condition: Callable[[], bool], timeout_s: float = 240) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come within {timeout_s:g} s"
        time.sleep(0.05)


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """A process that nobody may end."""
    process = subprocess.Popen(["sleep", "600"])
    yield process
    process.kill()
    process.wait()


def test_a_local_process_is_no_rank_of_the_step_around_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Of a driver in a shell of `srun --pty`."""
    monkeypatch.setenv("SLURM_PROCID", "0")
    with (tmp_path / "lock").open("w") as held:
        assert start_process(["env"], tmp_path / "log", held.fileno(), 3).wait() == 0
    said = (tmp_path / "log").read_text()
    assert "PATH=" in said
    assert "SLURM_PROCID" not in said


def test_a_trial_that_has_not_begun_is_stopped_too(tmp_path: Path):
    folder, launcher = tmp_path / "it's a trial", LocalLauncher()
    write_task(folder, TASK)
    launcher.start(folder, ME)
    launcher.stop([folder])
    lock = Path(read_handle(folder).name)  # type: ignore[union-attr]
    try:
        wait_until("its end", lambda: read_outcome(folder) is not None and not is_held(lock))
    finally:
        ask_to_end(folder, lock)
    assert read_outcome(folder).state == "stopped"  # type: ignore[union-attr]


def test_a_process_that_has_the_number_of_one_that_ended_is_left_alone(
    bystander: subprocess.Popen[bytes], tmp_path: Path
):
    held = hold(tmp_path / "process.lock")
    assert held is not None
    try:
        for begun in ("1", "", None):
            place = {"host": socket.gethostname(), "process": bystander.pid, "begun": begun}
            (tmp_path / PLACE).write_text(json.dumps(place))
            assert not ask_to_end(tmp_path, tmp_path / "process.lock")
        assert bystander.poll() is None
        forget_attempt(tmp_path)
        assert not (tmp_path / PLACE).exists()
        place = {"host": socket.gethostname(), "process": bystander.pid, "begun": process_begun(bystander.pid)}
        (tmp_path / PLACE).write_text(json.dumps(place))
        assert ask_to_end(tmp_path, tmp_path / "process.lock"), "the very process is asked"
        assert bystander.wait(timeout=240) == -signal.SIGTERM
    finally:
        os.close(held)


def test_a_job_that_nobody_wrote_down_is_found_and_not_submitted_again(fake_slurm: FakeSlurm, tmp_path: Path):
    folder, launcher = tmp_path / "trial-0000", SlurmLauncher(Request("selftest", where="slurm", restarts=0))
    write_task(folder, TASK)
    launcher.start(folder, ME)
    (folder / "handle.json").unlink()  # the driver was killed before it wrote it
    write_outcome(folder, Outcome("complete"))
    launcher.start(folder, ME)
    (job,) = fake_slurm.jobs()
    assert read_handle(folder) == Handle("slurm", str(job["id"]), attempt=2)
    assert read_outcome(folder) == Outcome("complete"), "what that job says meanwhile counts"
    write_task(tmp_path / "trial-0001", TASK)
    launcher.start(tmp_path / "trial-0001", ME)
    assert len(fake_slurm.jobs()) == 2, "another trial has another job"
    fake_slurm.set(str(job["id"]), state="FAILED")
    launcher.start(folder, ME)
    assert len(fake_slurm.jobs()) == 3


@pytest.mark.parametrize("mode", ["job", "workers"])
def test_slurm_is_handed_the_environment_and_no_word_of_it_is_written_down(
    fake_slurm: FakeSlurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
):
    """Neither in the batch script nor in the command of sbatch, both of which `scontrol` shows."""
    monkeypatch.setenv("OPTUNA_STORAGE", "postgresql://me:a%24ecret@db.example/sweeps")
    monkeypatch.setenv("PGPASSWORD", "a$ecret")
    folder = tmp_path / "a study" / "0"
    if mode == "job":
        write_task(folder, TASK)
        SlurmLauncher(Request("selftest", where="slurm", nodes=2, restarts=0)).start(folder, ME)
    else:
        options = Options("", 1, 1, "random", "none", None, 2, "", 1, 1)
        worker = Worker("a study", str(tmp_path / "a study"), options, Handle("slurm", ""))
        assert SlurmWorkers(JobSpec("selftest", (), folder)).start(folder, worker)
    (job,) = fake_slurm.jobs()
    assert "srun" in fake_slurm.script(str(job["id"]))
    told = [fake_slurm.script(str(job["id"])), json.dumps(job)]
    told += [path.read_bytes().decode("latin-1") for path in folder.rglob("*") if path.is_file()]
    assert [text for text in told if "ecret" in text] == []
    assert "--export" not in told[0], "the job would not have the environment"


def test_a_trial_is_a_job_like_any_other_and_all_share_one_copy_of_the_code(fake_slurm: FakeSlurm, tmp_path: Path):
    launcher = SlurmLauncher(Request("selftest", where="slurm", nodes=2, exclude="t4-3", restarts=0))
    scripts = []
    for number in range(2):
        folder = tmp_path / "a study" / f"trial-{number:04d}"
        write_task(folder, TASK)
        append(folder, "failed", error="no driver", unfit="t4-1")
        launcher.start(folder, ME)
        handle = read_handle(folder)
        assert handle is not None
        assert state_of(folder).job_id == handle.name
        assert state_of(folder).state == "pending"
        run = json.loads((folder / "run.json").read_text())
        assert (run["stage"], run["spec"]["nodes"], run["spec"]["overrides"]) == ("selftest", 2, TASK.overrides)
        assert run["spec"]["restarts"] == 0, "the study tries again, and not the job itself"
        scripts.append(fake_slurm.script(handle.name))
    folder = tmp_path / "a study" / "trial-0002"
    write_task(folder, TASK)
    for node in ("t4-1", "t4-2", "t4-4"):
        append(folder, "failed", error="no driver", unfit=node)
    launcher.start(folder, ME)
    last = fake_slurm.jobs()[-1]["flags"]
    assert last["exclude"] == "t4-3", "one that leaves too few nodes would wait for ever"
    (code,) = (tmp_path / "a study" / ".code").iterdir()
    assert all(f"{code}/hpc/start.py" in script for script in scripts)
    assert all("hpc.again" in script and "--exclude=t4-3,t4-1" in script for script in scripts)
    assert (code / "sweeps" / "trial.py").read_bytes() == (CHECKOUT / "sweeps" / "trial.py").read_bytes()


def test_a_local_trial_of_another_machine_goes_on_as_a_job(fake_slurm: FakeSlurm, tmp_path: Path):
    folder, launcher = tmp_path / "trial-0000", SlurmLauncher(Request("selftest", where="slurm", restarts=0))
    write_task(folder, TASK)
    append(folder, "submitted", where="local", host="another", pid=1, begun="1")
    launcher.start(folder, ME)
    assert len(fake_slurm.jobs()) == 1
    assert state_of(folder).state == "pending"


def test_what_finished_without_a_word_is_not_run_again(fake_slurm: FakeSlurm, tmp_path: Path):
    folder, launcher = tmp_path / "trial-0000", SlurmLauncher(Request("selftest", where="slurm", restarts=0))
    write_task(folder, TASK)
    launcher.start(folder, ME)
    fake_slurm.set("4711", state="NODE_FAIL")
    write_json(folder / "result.json", {"stage": "selftest", "world_size": 2, "step": 9.0, "loss": 0.5})
    launcher.start(folder, ME)
    assert len(fake_slurm.jobs()) == 1
    assert read_outcome(folder) == Outcome("complete", metrics={"step": 9.0, "loss": 0.5}, step=9.0)


def test_a_worker_that_nobody_wrote_down_is_found(fake_slurm: FakeSlurm, tmp_path: Path):
    options = Options("", 1, 1, "random", "none", None, 2, "", 1, 1)
    workers, folder = SlurmWorkers(JobSpec("selftest", (), tmp_path)), tmp_path / "workers" / "0"
    worker = Worker("a study", str(tmp_path), options, Handle("process", ""))
    assert workers.start(folder, worker)
    (folder / "handle.json").unlink()
    assert not workers.start(folder, worker)
    assert len(fake_slurm.jobs()) == 1


def test_a_run_that_another_process_trains_is_looked_at_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def train(_stage: str, _config: object, context: Context) -> dict[str, float]:
        with alone.alone_in(context.out, context.comm):  # as the real stages do
            return {"step": 1.0}

    monkeypatch.setattr(alone, "_STRAY_S", 0.0)
    monkeypatch.setattr(team, "run_stage", train)
    folder = tmp_path / "trial-0000"
    write_task(folder, TASK)
    with (folder / ".training.lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        here = team.Team(tmp_path)
        outcome = run_trial(
            0, folder, TASK, lambda listen, _joined: here.run(TASK.stage, TASK.overrides, folder, listen)
        )
    assert outcome.state == "stopped", "not its fault, and not its end"
    assert "another process trains" in outcome.reason
    write_outcome(folder, Outcome("complete", metrics={"loss": 1.0}))
    write_outcome(folder, Outcome("stopped"))
    assert read_outcome(folder) == Outcome("complete", metrics={"loss": 1.0}), (
        "the one that trained it has the last word"
    )
