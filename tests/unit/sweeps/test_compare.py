"""Samplers against each other: curves of studies, and the whole command at its smallest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sweeps import compare, optuna_run
from sweeps.command import make_command
from sweeps.curves import Curve, curve_of, draw_curves, trials_to_reach
from sweeps.opening import open_sweep
from sweeps.place import find_place
from sweeps.plan import Plan
from sweeps.space import parse_parameter
from sweeps.storage import open_storage
from sweeps.trial_folder import Outcome
from tests.contracts.studies import ME, PLAN


def test_a_curve_is_the_best_so_far_and_the_steps_it_took(tmp_path: Path):
    sweep = open_sweep(open_storage(find_place(None, tmp_path / "study.log", {})), "curve", PLAN)
    outcomes = [
        Outcome("failed", "x"),
        *(Outcome("complete", metrics={"loss": loss}) for loss in (3.0, 5.0, 1.0)),
        Outcome("pruned"),
    ]
    for outcome in outcomes:
        trial = sweep.claim(tmp_path, ME, sampler="random", trials=9, seed=None)
        assert trial is not None
        if outcome.state == "pruned":
            sweep.storage.optuna.set_trial_intermediate_value(sweep.study.get_trials()[trial.number]._trial_id, 40, 9.0)
        sweep.settle(trial, outcome)
    curve = curve_of(sweep)
    assert curve == Curve([None, 3.0, 3.0, 1.0, 1.0], [0, 5, 10, 15, 55]), "the plan's runs have 5 steps"
    assert trials_to_reach(curve, 3.0, larger=False) == 2
    assert trials_to_reach(curve, 2.0, larger=False) == 4
    assert trials_to_reach(curve, 0.5, larger=False) is None
    assert trials_to_reach(curve, 4.0, larger=True) is None
    assert draw_curves({"random": [curve, curve], "tpe": [curve]}, "loss").lstrip().startswith("<?xml")


def test_a_study_without_a_complete_trial_has_no_curve(tmp_path: Path):
    sweep = open_sweep(open_storage(find_place(None, tmp_path / "study.log", {})), "empty", PLAN)
    with pytest.raises(ValueError, match="no trial of empty is complete"):
        curve_of(sweep)


def test_trials_have_the_steps_that_were_searched(tmp_path: Path):
    plan = Plan("selftest", (), (parse_parameter("steps=choice(5, 40)"),), PLAN.objectives)
    sweep = open_sweep(open_storage(find_place(None, tmp_path / "study.log", {})), "steps", plan)
    for _ in range(2):
        trial = sweep.claim(tmp_path, ME, sampler="random", trials=9, seed=None)
        assert trial is not None
        sweep.settle(trial, Outcome("complete", metrics={"loss": 1.0}))
    first, _ = sweep.trials()
    assert curve_of(sweep).steps == [first.params["steps"], 45]


def test_a_goal_that_is_not_reached_is_said():
    found = {"random": [Curve([1.0, 0.5], [5, 10])], "tpe": [Curve([None, 0.9], [5, 10])]}
    arguments = ["--cluster", "local", "--trials", "2", "stage=selftest", "steps=5"]
    command = make_command(optuna_run.parser().parse_intermixed_args(arguments), "selftest", ["steps=5"])
    random, tpe = compare._lines(command, found)[1:]
    assert random.endswith("random's median best after 2 trials")
    assert tpe.endswith("random's median best not reached in 2")


def test_a_comparison_runs_and_is_written(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    arguments = [
        "--samplers", "random,grid", "--seeds", "1", "--trials", "2", "--parallel", "1", "--mode", "workers", "--cluster", "local",
        "--runs", str(tmp_path), "--search", "batch=choice(8, 16, 24)", "stage=selftest", "steps=1",
    ]  # fmt: skip
    assert compare.main([*arguments, "--dry-run"]) == 0
    assert list(tmp_path.iterdir()) == []
    assert compare.main(arguments) == 0
    (found,) = tmp_path.glob("*-compare/compare.json")
    content = json.loads(found.read_text())
    assert {name: [len(curve["best"]) for curve in curves] for name, curves in content["samplers"].items()} == {
        "random": [2],
        "grid": [2],
    }
    assert (found.parent / "compare.svg").exists()
    said = capfd.readouterr().out
    assert "loss:minimize, median of 1 seeds" in said
    assert ") after 2 trials" in said
    assert "random's median best after" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--samplers", "random,best"], "there is no sampler 'best'; there are: tpe, gp"),
        (["--samplers", ""], "there is no sampler ''"),
        (["--samplers", "random,tpe, random"], "random stands twice in --samplers"),
        (["--seeds", "0"], "expected --seeds of at least 1, but got 0"),
        (["--seed", "3"], "--seed is of one study, and a comparison has several: use --seeds N"),
        (["--sampler", "gp"], "--sampler is of one study, and a comparison has several: use --samplers A,B"),
        (
            ["--search", "batch=choice(8, 16)", "--search", "steps=int(1, 3) if batch=8"],
            "--samplers grid: a grid has no",
        ),
        (["--search", "batch=int(1, 512)", "--search", "steps=int(1, 512)"], "the grid has 262,144 points"),
        (["--trials", "0", "--samplers", "random"], "expected --trials of at least 1"),
    ],
)
def test_what_cannot_be_compared_is_a_sentence_before_anything_is_trained(
    arguments: list[str], said: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    assert compare.main(["--cluster", "local", "--runs", str(tmp_path / "runs"), *arguments, "stage=selftest"]) == 1
    assert said in capfd.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_without_a_number_of_trials_every_sampler_has_twelve(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    assert (
        compare.main(["--cluster", "local", "--runs", str(tmp_path), "--dry-run", "--seeds", "2", "stage=selftest"])
        == 0
    )
    said = capfd.readouterr().out
    assert said.count(": 12 trials of stage selftest") == 8
    for sampler in ("random", "grid", "tpe", "gp"):
        assert said.count(f"sampler {sampler},") == 2
