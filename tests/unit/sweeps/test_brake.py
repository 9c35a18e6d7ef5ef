"""What is no trial's fault: jobs that end before their trials begin, a full disk, a signal during the preflight."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from hpc import worker
from hpc.outcome import PreflightFailed, Stopped
from hpc.request import Request
from sweeps import driver as driver_module
from sweeps.brake import Brake, JobsDoNotBegin
from sweeps.driver import Driver
from sweeps.launch import SlurmLauncher
from sweeps.opening import open_sweep
from sweeps.options import Options
from sweeps.place import find_place
from sweeps.storage import open_storage
from sweeps.study import Sweep
from sweeps.trial import TrialFailed, run_trial
from sweeps.trial_folder import (
    Handle,
    Outcome,
    forget_attempt,
    read_handle,
    read_task,
    write_handle,
    write_outcome,
    write_place,
)
from tests.contracts.studies import PLAN
from tests.unit.fake_slurm import FakeSlurm


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    return open_sweep(open_storage(find_place(None, tmp_path / "study.log", {})), "a study", PLAN)


@pytest.fixture
def drive(sweep: Sweep, tmp_path: Path) -> Callable[[Callable[[], bool]], bool]:
    """A driver of two jobs at once, until it is asked to stop."""
    options = Options(find_place(None, tmp_path / "study.log", {}).spec, 3, 2, "random", "none", 1, 2, "", 5, 1)

    def run(should_stop: Callable[[], bool]) -> bool:
        launcher = SlurmLauncher(Request("selftest", where="slurm", restarts=0), poll_s=0.01)
        return Driver(sweep, tmp_path / "runs", launcher, options, look_s=0).run(should_stop)

    return run


def _end_all(slurm: FakeSlurm, state: str) -> int:
    """Slurm's word for each job that waits; how many there were."""
    ended = [job for job in slurm.jobs() if job["state"] == "PENDING"]
    for job in ended:
        slurm.set(str(job["id"]), state=state)
        with (slurm.folder / "sacct").open("a") as file:
            file.write(f"{job['id']}|{state}|0:53|Unknown|t4|1|t4-1|{job['flags']['job-name']}\n")
    return len(ended)


def test_jobs_that_do_not_begin_stop_the_driver_and_use_up_no_trial(
    fake_slurm: FakeSlurm, sweep: Sweep, drive: Callable[[Callable[[], bool]], bool], tmp_path: Path
):
    for _ in range(3):  # the same command again, for nothing was mended
        with pytest.raises(JobsDoNotBegin, match=rf"before their trials began.*\(FAILED, exit 0:53\).* see {tmp_path}"):
            drive(lambda: _end_all(fake_slurm, "FAILED") > 99)
        assert [trial.state.name for trial in sweep.trials()] == ["RUNNING", "RUNNING"]

    def mended() -> bool:
        for job in fake_slurm.jobs():
            if job["state"] == "PENDING":
                folder = tmp_path / "runs" / job["flags"]["job-name"]
                write_outcome(folder, Outcome("complete", metrics={"loss": 1.0}))
        _end_all(fake_slurm, "COMPLETED")
        return False

    assert drive(mended)
    assert [trial.state.name for trial in sweep.trials()] == ["COMPLETE"] * 3


def test_the_word_of_an_earlier_job_is_not_that_of_the_next(
    fake_slurm: FakeSlurm, sweep: Sweep, drive: Callable[[Callable[[], bool]], bool], tmp_path: Path
):
    """Two trials began, and then no node sees the runs any more."""

    def first_begin() -> bool:
        for job in fake_slurm.jobs()[:2]:
            folder = tmp_path / "runs" / job["flags"]["job-name"]
            if job["state"] == "PENDING" and read_handle(folder) is not None:
                write_place(folder)
        return _end_all(fake_slurm, "FAILED") > 99

    with pytest.raises(JobsDoNotBegin):
        drive(first_begin)
    assert [trial.state.name for trial in sweep.trials()] == ["RUNNING", "RUNNING"]


def test_another_driver_s_trial_is_left_to_it(fake_slurm: FakeSlurm, sweep: Sweep, tmp_path: Path):
    """It took the trial over while this one asked Slurm."""
    brake = Brake()
    mine, theirs = Handle("slurm", "2"), Handle("slurm", "9", 2)
    for number in range(3):
        trial = sweep.claim(tmp_path / "runs", Handle("slurm", f"{number}"), sampler="random", trials=3, seed=None)
        assert trial is not None
        before = trial.handle
        if number == 2:
            assert sweep.take_over(trial, before, theirs)
            with pytest.raises(JobsDoNotBegin):
                brake.look(sweep, [], [(trial, mine)])
            assert trial.handle == theirs
        else:
            brake.look(sweep, [], [(trial, before)])


def test_jobs_that_somebody_cancels_count_for_their_trials(
    fake_slurm: FakeSlurm, sweep: Sweep, drive: Callable[[Callable[[], bool]], bool]
):
    assert drive(lambda: _end_all(fake_slurm, "CANCELLED") > 99)
    assert len(fake_slurm.jobs()) == 9
    assert [trial.state.name for trial in sweep.trials()] == ["FAIL"] * 3
    assert all("; Slurm calls it CANCELLED, exit 0:53;" in trial.user_attrs["reason"] for trial in sweep.trials())


def test_trials_that_begin_release_the_brake(
    fake_slurm: FakeSlurm, sweep: Sweep, drive: Callable[[Callable[[], bool]], bool], tmp_path: Path
):
    """Their processes die later: that is the trials' own."""

    def begin_and_end() -> bool:
        for job in fake_slurm.jobs():
            folder = tmp_path / "runs" / job["flags"]["job-name"]
            if job["state"] == "PENDING" and read_handle(folder) is not None:
                write_place(folder)
        return _end_all(fake_slurm, "OUT_OF_MEMORY") > 99

    assert drive(begin_and_end)
    assert [trial.state.name for trial in sweep.trials()] == ["FAIL"] * 3
    assert all("OUT_OF_MEMORY" in trial.user_attrs["reason"] for trial in sweep.trials())


@pytest.mark.parametrize("asked", [True, False])
def test_a_signal_during_the_preflight_is_no_fault_of_the_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: bool
):
    def ended(*_: object) -> None:
        raise PreflightFailed("torch cannot be imported: ended with SIGTERM")

    monkeypatch.setattr(worker, "preflight", ended)
    with pytest.raises(Stopped if asked else PreflightFailed):
        worker.run("selftest", ["steps=1"], tmp_path / "run", worker.Means(should_stop=lambda: asked))
    assert ('"unfit"' in (tmp_path / "run" / "attempts.jsonl").read_text()) == (not asked)


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), PreflightFailed("no room", full=True)]
)
def test_a_full_disk_fails_no_trial_which_waits_for_room(
    sweep: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception
):
    options = Options(find_place(None, tmp_path / "study.log", {}).spec, 1, 1, "random", "none", 1, 2, "", 5, 1)
    room, launched, looks = [False], [], []

    class Launcher:
        poll_s = 0.01

        def start(self, folder: Path, handle: Handle) -> None:
            launched.append(handle.attempt)
            write_handle(folder, replace(handle, kind="process", name=str(folder / "no.lock")))
            forget_attempt(folder)

            def train(*_: object) -> dict[str, float]:
                if len(launched) <= 4:
                    raise error
                return {"loss": 1.0}

            with suppress(TrialFailed):
                run_trial(0, folder, read_task(folder), train)
            room[0] = False

        def stop(self, folders: object) -> None: ...

    def look() -> bool:
        looks.append(len(launched))
        if looks[-5:] == [len(launched)] * 5:
            room[0] = True  # somebody made some
        return len(looks) > 200

    monkeypatch.setattr(driver_module, "has_room", lambda _: room[0])
    assert Driver(sweep, tmp_path / "runs", Launcher(), options, look_s=0).run(look)
    assert launched == [1] * 5
    assert "is full: trials wait until there is room" in capsys.readouterr().out
    assert [trial.state.name for trial in sweep.trials()] == ["COMPLETE"]
