"""Real trials in local processes: to their end, pruned, failed, killed; drivers that are killed, stopped, and two at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from sweeps import optuna_run, report
from sweeps.driver import Driver
from sweeps.launch import LocalLauncher, present
from sweeps.opening import open_sweep
from sweeps.options import Options
from sweeps.place import find_place
from sweeps.storage import open_storage
from sweeps.study import Sweep
from sweeps.trial_folder import process_here, read_handle, read_outcome, read_place
from tests.contracts.studies import PLAN
from tests.house.source import CHECKOUT

SEARCH = ["--search", "lr=log(1e-3, 1e-1)", "--search", "batch=choice(8, 16)", "stage=selftest"]


def arguments(folder: Path, *more: str) -> list[str]:
    return ["--cluster", "local", "--runs", str(folder), "--study", "my study; $HOME", *more, *SEARCH]


def the_study(folder: Path) -> Sweep:
    journal = folder / "my study; $HOME" / "study.log"
    return open_sweep(open_storage(find_place(None, journal, {})), "my study; $HOME", None)


def wait_until(what: str, condition: Callable[[], bool], timeout_s: float = 240) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come within {timeout_s:g} s"
        time.sleep(0.05)


def test_a_study_runs_to_its_end_and_is_shown(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    command = arguments(tmp_path, "--trials", "2", "--parallel", "2", "--seed", "1", "--pruner", "none")
    assert optuna_run.main([*command, "steps=4"]) == 0
    sweep = the_study(tmp_path)
    assert [trial.state.name for trial in sweep.trials()] == ["COMPLETE"] * 2
    assert len({str(trial.params) for trial in sweep.trials()}) == 2
    for trial in sweep.trials():
        folder = Path(trial.user_attrs["folder"])
        result = json.loads((folder / "result.json").read_text())
        assert trial.values == [result["loss"]]
        assert list(trial.intermediate_values) == [1, 2, 3, 4]
        assert f"lr={trial.params['lr']!r}" in json.loads((folder / "config.json").read_text())["overrides"]
    said = capfd.readouterr().out
    assert "trial 1 complete: value" in said
    assert "2 complete; best loss" in said

    before = len((tmp_path / "my study; $HOME" / "study.log").read_bytes())
    assert optuna_run.main([*command, "steps=4"]) == 0, "the same command again has nothing to do"
    assert len(the_study(tmp_path).trials()) == 2
    assert len((tmp_path / "my study; $HOME" / "study.log").read_bytes()) == before

    assert report.main(["my study; $HOME", "--runs", str(tmp_path)]) == 0
    page = (tmp_path / "my study; $HOME" / "report.html").read_text()
    best = sweep.study.best_trial
    assert f"lr={best.params['lr']!r}" in page
    assert page.count("<svg") >= 5
    for words in (
        "History of loss",
        "Importance for loss",
        "Parallel coordinates",
        "Slices",
        "Intermediate values",
        "optuna-dashboard",
    ):
        assert words in page
    assert "http://" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    )
    assert report.main(["my study; $HOME", "--runs", str(tmp_path), "--table"]) == 0
    assert "trial  state" in capfd.readouterr().out

    assert optuna_run.main([*command, "steps=5"]) == 1, "another setting is another study"
    assert "settings: steps=4, not steps=5" in capfd.readouterr().err


def test_a_bad_trial_is_pruned_with_its_checkpoint_kept(tmp_path: Path):
    import optuna

    command = arguments(tmp_path, "--trials", "5", "--parallel", "1", "--pruner", "median")
    sweep = open_sweep(
        open_storage(find_place(None, tmp_path / "my study; $HOME" / "study.log", {})), "my study; $HOME",
        optuna_run.make_command(optuna_run.parser().parse_intermixed_args(command), "selftest", ["steps=50000"]).plan,
    )  # fmt: skip
    for number in range(4):  # better than anything can be
        sweep.study.add_trial(optuna.trial.create_trial(value=-1.0, intermediate_values={1: -1.0 - number, 2: -2.0}))
    assert optuna_run.main([*command, "steps=50000"]) == 0
    trial = the_study(tmp_path).trials()[-1]
    assert trial.state.name == "PRUNED"
    assert trial.user_attrs["reason"] == "pruned at step 1"
    folder = Path(trial.user_attrs["folder"])
    assert list((folder / "checkpoints").glob("step-*.pt"))
    assert not (folder / "result.json").exists()


def test_an_objective_that_no_run_has_ends_the_sweep_after_the_first(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    command = arguments(tmp_path, "--trials", "9", "--parallel", "1", "--objective", "validation/psnr:max")
    assert optuna_run.main([*command, "steps=1"]) == 1
    trials = the_study(tmp_path).trials()
    assert [trial.state.name for trial in trials] == ["FAIL"]
    assert all(
        trial.user_attrs["reason"].startswith("the run has no validation/psnr; its metrics are") for trial in trials
    )
    said = capfd.readouterr()
    assert "1 fail" in said.out
    assert "optuna_run: trial 0 ended, but the run has no validation/psnr; its metrics are loss, " in said.err
    assert "name one of these with --objective" in said.err
    assert optuna_run.main([*command, "steps=1"]) == 1, "the same command again trains none either"
    assert len(the_study(tmp_path).trials()) == 1
    assert optuna_run.main([*command, "--mode", "workers", "steps=1"]) == 1
    assert len(the_study(tmp_path).trials()) == 1


def kill_what_runs(folder: Path) -> bool:
    process = process_here(folder)
    if any(present([read_handle(folder)])) and process is not None:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    return False


def test_a_killed_trial_goes_on_and_a_stopped_driver_keeps_its_checkpoint(tmp_path: Path):
    options = Options(
        storage=f"journal:{tmp_path}/study.log", trials=1, parallel=1, sampler="random", pruner="none", seed=None, retries=1,
        metric="", steps=1, every=1,
    )  # fmt: skip
    storage = open_storage(find_place(options.storage, tmp_path, {}))
    plan = type(PLAN)("selftest", ("steps=1000000",), PLAN.space, PLAN.objectives)
    sweep, folder = open_sweep(storage, "killed", plan), tmp_path / "trial-0000"

    def drive(stop: threading.Event) -> threading.Thread:
        driver = Driver(sweep, tmp_path, LocalLauncher(), options, look_s=0.2)
        thread = threading.Thread(target=driver.run, args=(stop.is_set,))
        thread.start()
        return thread

    def trains(other_than: int = 0) -> bool:
        process, metrics = read_place(folder)[1], folder / "metrics.jsonl"
        return process not in (0, other_than) and metrics.exists() and len(metrics.read_text().splitlines()) > 2

    stop = threading.Event()
    first = drive(stop)
    try:
        wait_until("the trial trains", trains)
        killed = read_place(folder)[1]
        os.kill(killed, signal.SIGKILL)
        wait_until(
            "the trial is started again", lambda: (handle := read_handle(folder)) is not None and handle.attempt == 2
        )
        wait_until("the trial trains again", lambda: trains(other_than=killed))
    finally:
        stop.set()
        first.join(timeout=240)
    wait_until("the trial stops", lambda: read_outcome(folder) is not None and not any(present([read_handle(folder)])))
    assert read_outcome(folder).state == "stopped"  # type: ignore[union-attr]
    assert [trial.state.name for trial in sweep.trials()] == ["RUNNING"], "it is to be continued"

    stop = threading.Event()
    second = drive(stop)
    try:
        wait_until("it goes on", lambda: "going on from step" in (folder / "output.log").read_text())
        assert read_handle(folder).attempt == 2, "being stopped is not the trial's fault"  # type: ignore[union-attr]
        wait_until("it is given up", lambda: kill_what_runs(folder) or not second.is_alive())
        second.join(timeout=240)
    finally:
        stop.set()
        second.join(timeout=240)
    (trial,) = sweep.trials()
    assert trial.state.name == "FAIL"
    assert trial.user_attrs["reason"].startswith("its process ended 2 times without a word")


def test_a_killed_driver_loses_nothing_and_two_share_a_study(tmp_path: Path):
    command = arguments(tmp_path, "--trials", "2", "--parallel", "1", "--pruner", "none")
    program = [sys.executable, "-m", "sweeps.optuna_run", *command, "steps=30"]
    quiet = {"cwd": CHECKOUT, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    first = subprocess.Popen(program, **quiet)  # type: ignore[call-overload]
    wait_until("a trial begins", lambda: any(tmp_path.glob("*/trial-*/handle.json")))
    first.kill()
    first.wait()
    other = subprocess.Popen(program, **quiet)  # type: ignore[call-overload]
    try:
        assert optuna_run.main([*command, "steps=30"]) == 0
        assert other.wait(timeout=240) == 0
    finally:
        other.kill()
    trials = the_study(tmp_path).trials()
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 2
    assert len({str(trial.params) for trial in trials}) == 2


def test_a_worker_runs_many_trials_in_one_process(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    """And two objectives make a Pareto front: how good, and how many weights."""
    command = arguments(tmp_path, "--mode", "workers", "--trials", "3", "--parallel", "1", "--pruner", "none")
    objectives = ["--objective", "loss:min", "--objective", "weights:min"]
    assert optuna_run.main([*command, *objectives, "steps=3"]) == 0
    trials = the_study(tmp_path).trials()
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 3
    places = {read_place(Path(trial.user_attrs["folder"])) for trial in trials}
    assert len(places) == 1, "one process ran them all"
    assert "3 complete" in capfd.readouterr().out
    assert {trial.values[1] for trial in trials} == {2401.0}, "two convolutions of 8 channels, and one line"
    assert report.main(["my study; $HOME", "--runs", str(tmp_path)]) == 0
    page = (tmp_path / "my study; $HOME" / "report.html").read_text()
    assert '<h2>Pareto front</h2>\n<div class="wide" tabindex="0"><svg' in page
    assert "weights 2401" in page


@pytest.mark.slow
def test_workers_run_the_grid_that_was_asked_for_and_end_with_it(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    command = ["--mode", "workers", "--parallel", "1", "--cluster", "local", "--runs", str(tmp_path), "--study", "grid"]
    command += ["--pruner", "none", "--search", "lr=log(1e-4, 1e-2, 3)", "stage=selftest", "steps=1"]
    assert optuna_run.main([*command, "--sampler", "grid"]) == 0
    assert "study grid: 3 trials" in capfd.readouterr().out, "all of it, when no number is given"
    sweep = open_sweep(open_storage(find_place(None, tmp_path / "grid" / "study.log", {})), "grid", None)
    assert sorted(round(trial.params["lr"], 9) for trial in sweep.trials()) == [1e-4, 1e-3, 1e-2]


def test_workers_end_well_when_all_combinations_are_done(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    command = ["--mode", "workers", "--parallel", "1", "--cluster", "local", "--runs", str(tmp_path), "--study", "few"]
    command += ["--pruner", "none", "--search", "batch=choice(8, 8, 16)", "--trials", "6", "stage=selftest", "steps=1"]
    assert optuna_run.main(command) == 0
    sweep = open_sweep(open_storage(find_place(None, tmp_path / "few" / "study.log", {})), "few", None)
    assert sorted(trial.params["batch"] for trial in sweep.trials()) == [8, 16]
    assert "2 of 6: all combinations are done" in capfd.readouterr().out
    before = len(sweep.study.get_trials())
    command[command.index("workers")] = "job"
    assert optuna_run.main(command) == 0, "the same in the other mode"
    assert "2 of 6: all combinations are done" in capfd.readouterr().out
    assert len(sweep.study.get_trials()) == before


def test_a_worker_that_is_killed_in_mid_trial_leaves_no_trial_behind(tmp_path: Path):
    command = arguments(tmp_path, "--mode", "workers", "--trials", "2", "--parallel", "1", "--pruner", "none")
    program = [sys.executable, "-m", "sweeps.optuna_run", *command, "steps=400"]
    study = tmp_path / "my study; $HOME"
    folder = study / "trial-0000"
    driver = subprocess.Popen(program, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        wait_until("a checkpoint in mid-trial", lambda: any((folder / "checkpoints").glob("step-*.json")))
        worker = process_here(folder)
        assert worker is not None
        os.kill(worker, signal.SIGKILL)
        said = driver.communicate(timeout=240)[0]
    finally:
        driver.kill()
    assert driver.returncode == 0, said
    trials = the_study(tmp_path).trials()
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 2, "one is lost, or still RUNNING"
    assert [read_handle(Path(trial.user_attrs["folder"])).attempt for trial in trials] == [2, 1]  # type: ignore[union-attr]
    words = (next((study / "workers").glob("*-0")) / "output.log").read_text()
    assert words.count("rank 0 of 1") == 2, "another worker came"
    assert "going on from step 200" in words
    overrides = json.loads((folder / "config.json").read_text())["overrides"]
    assert {f"{name}={value}" for name, value in trials[0].params.items()} <= set(overrides), "with the same parameters"


@pytest.mark.slow
def test_a_worker_that_is_a_job_goes_on_after_a_bad_trial(tmp_path: Path):
    """One that asks for more memory than there is ends its process, and not the sweep."""
    search = ["--search", "batch=choice(8, 10000000000000)"]
    command = [
        "--mode",
        "workers",
        "--pruner",
        "none",
        "--sampler",
        "grid",
        "--trials",
        "2",
        "--study",
        "bad",
        "--runs",
        str(tmp_path),
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "PMI"))}
    worker = subprocess.Popen(
        [sys.executable, "-m", "sweeps.optuna_run", *command, *search, "stage=selftest", "steps=2"], cwd=CHECKOUT,
        env={**environment, "SLURM_JOB_ID": "77"}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    said = worker.communicate(timeout=240)[0]
    assert worker.returncode == 0, said
    assert "the worker begins anew" in said
    sweep = open_sweep(open_storage(find_place(None, tmp_path / "bad" / "study.log", {})), "bad", None)
    states = {trial.params["batch"]: trial.state.name for trial in sweep.trials()}
    assert states == {8: "COMPLETE", 10000000000000: "FAIL"}, said
