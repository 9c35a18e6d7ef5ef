"""Who has a place where: workers at a limit of Slurm's, of two hosts, and beside a driver that runs trials by itself."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from hpc.job import JobSpec
from hpc.slurm_query import SlurmError
from sweeps import workers
from sweeps.driver import Driver
from sweeps.opening import open_sweep
from sweeps.options import Options
from sweeps.place import find_place
from sweeps.storage import open_storage
from sweeps.study import Sweep
from sweeps.trial_folder import Handle, hold
from sweeps.workers import LocalWorkers, SlurmWorkers, Supervisor
from tests.contracts.studies import PLAN
from tests.unit.fake_slurm import FakeSlurm
from tests.unit.sweeps.at_once import AtOnce


def options(trials: int, parallel: int) -> Options:
    return Options("", trials, parallel, "random", "none", None, 2, "", 1, 1)


def study(folder: Path) -> Sweep:
    return open_sweep(open_storage(find_place(f"journal:{folder}/study.log", folder, {})), "places", PLAN)


def after(looks: int, act: Callable[[], object] = lambda: None) -> Callable[[], bool]:
    """Asks to stop after so many looks, and does something before the last one."""
    left = [looks]

    def should_stop() -> bool:
        left[0] -= 1
        if left[0] == 0:
            act()
        return left[0] < 0

    return should_stop


def test_workers_wait_for_a_limit_on_jobs(fake_slurm: FakeSlurm, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    most = fake_slurm.folder / "most"
    most.write_text("2")
    places = SlurmWorkers(JobSpec("selftest", (), tmp_path))
    supervisor = Supervisor(study(tmp_path), tmp_path, places, options(8, 4), look_s=0)
    assert not supervisor.run(after(3, most.unlink))
    assert len(fake_slurm.jobs()) == 4
    said = capsys.readouterr().out
    assert said.count("waits") == 1, "again and again"
    assert "worker 2 waits: " in said
    assert "job submit limit" in said


def test_a_cluster_that_takes_no_worker_at_all_is_said(fake_slurm: FakeSlurm, tmp_path: Path):
    most = fake_slurm.folder / "most"
    most.write_text("1")
    sweep = study(tmp_path)

    def supervise(should_stop: Callable[[], bool]) -> bool:
        places = SlurmWorkers(JobSpec("selftest", (), tmp_path))
        return Supervisor(sweep, tmp_path, places, options(8, 2), look_s=0).run(should_stop)

    def end_the_job() -> None:
        most.write_text("0")
        fake_slurm.set("4711", state="NODE_FAIL")

    with pytest.raises(SlurmError, match="job submit limit"):
        supervise(after(3, end_the_job))
    assert len(fake_slurm.jobs()) == 1


def test_hosts_that_share_a_study_have_workers_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(workers, "team_command", lambda *_: ["sleep", "60"])
    sweep = study(tmp_path)

    def supervise(host: str, should_stop: Callable[[], bool]) -> None:
        assert not Supervisor(sweep, tmp_path, LocalWorkers(host=host), options(8, 2), look_s=0).run(should_stop)

    def beside() -> None:
        assert "already" not in capsys.readouterr().out
        supervise("it's another", after(1))
        assert len(list((tmp_path / "workers").glob("*/output.log"))) == 4
        assert "already" not in capsys.readouterr().out
        supervise("one", after(1))
        assert len(list((tmp_path / "workers").glob("*/output.log"))) == 4
        assert "2 workers are at work already" in capsys.readouterr().out

    supervise("one", after(2, beside))


def test_a_worker_s_trial_takes_no_place_of_a_driver(tmp_path: Path):
    sweep, lock = study(tmp_path), tmp_path / "workers" / "0" / "process.lock"
    held = hold(lock)
    assert held is not None
    launcher = AtOnce()
    try:
        assert sweep.claim(tmp_path, Handle("process", str(lock)), sampler="random", trials=9, seed=None) is not None
        assert not Driver(sweep, tmp_path, launcher, options(3, 1)).run(after(20))
    finally:
        os.close(held)
    assert [trial.state.name for trial in sweep.trials()] == ["RUNNING", "COMPLETE", "COMPLETE"]


def test_what_workers_lost_goes_on_before_new_trials_begin(tmp_path: Path):
    sweep, launcher = study(tmp_path), AtOnce()
    for number in range(2):
        dead = Handle("process", str(tmp_path / "workers" / str(number) / "process.lock"))
        assert sweep.claim(tmp_path, dead, sampler="random", trials=9, seed=None) is not None
    assert Driver(sweep, tmp_path, launcher, options(3, 1), look_s=0.3).run(lambda: False)
    assert [folder.name for folder in launcher.folders] == ["trial-0000", "trial-0001", "trial-0002"]
