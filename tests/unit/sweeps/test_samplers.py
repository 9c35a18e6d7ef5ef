"""Every sampler chooses within the space and knows conditions; the page of a study, with one objective and with two."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from sweeps.objective import Objective
from sweeps.opening import open_sweep
from sweeps.place import find_place
from sweeps.plan import Plan
from sweeps.report import write_page
from sweeps.samplers import PRUNERS, SAMPLERS, check_grid, first_rung, make_pruner
from sweeps.space import SpaceError, parse_parameter
from sweeps.storage import open_storage
from sweeps.study import Sweep
from sweeps.trial_folder import Outcome
from tests.contracts.studies import ME

SPACE = ("train.lr=log(1e-4, 1e-1)", "model.blocks=int(1, 4)", "quantizer.codes=choice(64, 128)")
CONDITIONAL = (
    "model.name=choice(paper, residual)",
    "model.slow=log(0.1, 1) if model.name=residual",
    "train.lr=log(1e-4, 1e-1)",
)
LOSS = Objective("loss", "minimize")


def make_sweep(folder: Path, space: tuple[str, ...], *objectives: Objective) -> Sweep:
    plan = Plan("vqvae", ("preset=tiny",), tuple(parse_parameter(text) for text in space), objectives)
    return open_sweep(open_storage(find_place(None, folder / "study.log", {})), "made up", plan)


def run_trials(sweep: Sweep, folder: Path, sampler: str, trials: int) -> None:
    """With a loss that follows from the learning rate alone, best at 1e-2."""
    while (trial := sweep.claim(folder, ME, sampler=sampler, trials=trials, seed=3)) is not None:
        loss = (math.log10(trial.params["train.lr"]) + 2) ** 2
        sweep.settle(trial, Outcome("complete", metrics={"loss": loss, "psnr": 20 - loss}))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_stays_in_the_space(sampler: str, tmp_path: Path):
    sweep = make_sweep(tmp_path, SPACE, LOSS)
    run_trials(sweep, tmp_path, sampler, trials=13)  # the Gaussian process begins after ten
    trials = sweep.trials()
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 13
    assert len({str(sorted(trial.params.items())) for trial in trials}) == 13
    for trial in trials:
        assert 1e-4 <= trial.params["train.lr"] <= 1e-1
        assert trial.params["model.blocks"] in (1, 2, 3, 4)
        assert trial.params["quantizer.codes"] in (64, 128)


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_what_waits_for_a_choice_is_chosen_with_it_alone(sampler: str, tmp_path: Path):
    sweep = make_sweep(tmp_path, CONDITIONAL, LOSS)
    run_trials(sweep, tmp_path, sampler, trials=14)
    names = {trial.params["model.name"] for trial in sweep.trials()}
    assert names == {"paper", "residual"}
    for trial in sweep.trials():
        assert ("model.slow" in trial.params) == (trial.params["model.name"] == "residual")


def test_parameters_that_do_not_go_together_are_set_aside(tmp_path: Path):
    sweep = make_sweep(
        tmp_path, ("model.strides=choice(1x1x1, 4x4x8)", "model.dim=int(3, 40)", "model.group=choice(1, 5)"), LOSS
    )
    found = [sweep.claim(tmp_path, ME, sampler="random", trials=40, seed=1) for _ in range(40)]
    aside = [t.user_attrs["set_aside"] for t in sweep.study.get_trials() if "set_aside" in t.user_attrs]
    assert any("do not go together: expected model.dim of at most" in why for why in aside)
    assert all(trial is not None and sweep.plan.resolved(trial.params) for trial in found)


SMALL = (
    (("model.blocks=choice(1, 1, 2)", "train.batch=int(1, 3, 2)"), 4),
    # with a condition: once without blocks, and three times with
    (("model.name=choice(paper, residual)", "model.blocks=int(1, 3) if model.name=residual"), 4),
    # patches of one pixel have no 40 numbers
    (("model.strides=choice(1x1x1, 4x4x8)", "model.dim=choice(3, 40)"), 3),
)


@pytest.mark.parametrize("sampler", ["tpe", "random", "grid"])
@pytest.mark.parametrize(("space", "there"), SMALL)
def test_a_small_space_gives_all_it_has_and_no_more(space: tuple[str, ...], there: int, sampler: str, tmp_path: Path):
    sweep = make_sweep(tmp_path, space, LOSS)
    if sampler == "grid" and any(parameter.when for parameter in sweep.plan.space):
        with pytest.raises(SpaceError, match="no conditions"):
            check_grid(sweep.plan.space, None)
        return
    found = []
    while (trial := sweep.claim(tmp_path, ME, sampler=sampler, trials=50, seed=3)) is not None:
        found.append(trial.params)
        sweep.settle(trial, Outcome("complete", metrics={"loss": 1.0}))
    assert len({frozenset(params.items()) for params in found}) == len(found) == there
    assert sweep.shortfall(50, sampler) == f"{there} of 50: all combinations are done"
    assert len(sweep.study.get_trials()) <= 4 * there, "drawn in vain"


def test_a_used_up_grid_is_no_used_up_space(tmp_path: Path):
    sweep = make_sweep(tmp_path, ("train.lr=log(1e-4, 1e-1, 2)",), LOSS)
    run_trials(sweep, tmp_path, "grid", trials=9)
    assert sweep.is_full(9, "grid")
    assert not sweep.is_full(9, "random")
    assert sweep.claim(tmp_path, ME, sampler="random", trials=9, seed=None) is not None


@pytest.mark.parametrize(
    ("steps", "every", "first"), [(200, 25, 50), (100, 1, 17), (5, 10, 10), (10_000, 1000, 2000), (1, 1, 1)]
)
def test_a_trial_is_first_compared_after_a_sixth_of_its_steps(steps: int, every: int, first: int):
    assert first_rung(steps, every) == first


@pytest.mark.parametrize("pruner", PRUNERS)
def test_every_pruner_leaves_the_only_trial_alone(pruner: str, tmp_path: Path):
    import optuna

    study = optuna.create_study(pruner=make_pruner(pruner, steps=100, every=10))
    trial = study.ask()
    for step in range(10, 101, 10):
        trial.report(1.0, step)
    assert not trial.should_prune()


def test_the_page_escapes_what_it_shows_and_says_what_is_missing(tmp_path: Path):
    sweep = make_sweep(tmp_path, SPACE, LOSS)
    trial = sweep.claim(tmp_path, ME, sampler="random", trials=1, seed=None)
    assert trial is not None
    sweep.settle(trial, Outcome("failed", "<script>alert(1)</script> & more"))
    write_page(sweep, tmp_path / "pages" / "it's.html")
    page = (tmp_path / "pages" / "it's.html").read_text()
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; more" in page
    assert "No trial is complete yet." in page
    assert "0 trials are complete; pictures need 2" in page


def test_two_objectives_make_a_pareto_front(tmp_path: Path):
    sweep = make_sweep(tmp_path, SPACE, Objective("psnr", "maximize"), Objective("quantizer.codes", "minimize"))
    run_trials(sweep, tmp_path, "tpe", trials=12)
    write_page(sweep, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "<h2>Pareto front</h2>" in page
    assert page.count("To train with it") == len(sweep.study.best_trials)
    assert page.count("<svg") >= 7
    assert "not drawn" not in page
