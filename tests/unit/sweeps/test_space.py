"""Search spaces: their forms, their checks against the stage's own settings, the grid, and what a study keeps of them."""

from __future__ import annotations

import re

import pytest

from hpc.stage_settings import ConfigError
from sweeps.defaults import default_objective, default_space
from sweeps.objective import Objective, ObjectiveError, parse_objective, values_of
from sweeps.plan import Plan, StudyError, check_name, differences, plan_from
from sweeps.samplers import check_grid
from sweeps.space import Parameter, SpaceError, check_space, from_items, grid_points, grid_size, parse_parameter


@pytest.mark.parametrize(
    ("text", "parameter"),
    [
        ("train.lr=log(1e-4, 1e-2)", Parameter("train.lr", "log", 1e-4, 1e-2)),
        ("train.lr = log( 1e-4,1e-2, 3 )", Parameter("train.lr", "log", 1e-4, 1e-2, points=3)),
        ("x=float(0, 1)", Parameter("x", "float", 0, 1)),
        ("x=int(1, 9, 2)", Parameter("x", "int", 1, 9, step=2)),
        ("model.dim=choice(8, 1e-3, residual)", Parameter("model.dim", "choice", choices=(8, 1e-3, "residual"))),
        ("x=int(1, 4) if model.name=paper", Parameter("x", "int", 1, 4, when="model.name=paper")),
    ],
)
def test_forms_of_the_command_line(text: str, parameter: Parameter):
    assert parse_parameter(text) == parameter
    assert parse_parameter(parameter.described).as_dict() == parameter.as_dict()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("train.lr", "expected a search like"),
        ("train.lr=1e-4", "expected a search like"),
        ("train.lr=uniform(0, 1)", "the kinds are float, log, int, choice"),
        ("train.lr=log(0, 1)", "from above 0"),
        ("train.lr=log(1e-2, 1e-4)", "low < high"),
        ("train.lr=log(1e-4)", "with numbers"),
        ("train.lr=log(1e-4, much)", "with numbers"),
        ("train.lr=float(0, inf)", "low < high"),
        ("x=int(1, 2.5)", "whole numbers"),
        ("x=int(1, 9, 0)", "step of at least 1"),
        ("x=float(0, 1, 1)", "two points"),
        ("x=choice(8)", "two different choices"),
        ("x=choice()", "two different choices"),
    ],
)
def test_what_is_no_search_is_a_sentence(text: str, said: str):
    with pytest.raises(SpaceError, match=re.escape(said)):
        parse_parameter(text)


@pytest.mark.parametrize(
    ("search", "said"),
    [
        ("train.lrr=log(1e-4, 1e-2)", "did you mean train.lr"),
        ("train.lr=log(1e-4, 2)", "train.lr cannot be searched at 2.0: expected a learning rate between 0 and 1"),
        (
            "quantizer.codes=choice(64, 100000)",
            "quantizer.codes cannot be searched at 100000: expected codes from 2 to 65536",
        ),
        ("quantizer.codes=choice(64, many)", "expected quantizer.codes=<int>"),
        ("train.batch=choice(2, 4)", "train.batch is both set and searched"),
        ("train.lr=log(1e-4, 1e-2) if model.nam=paper", "if SETTING=VALUE with a setting of the stage"),
        ("model.blocks=int(1, 3) if model.name=paper", "there is nothing to search"),
    ],
)
def test_the_stage_has_the_last_word(search: str, said: str):
    with pytest.raises((SpaceError, ConfigError), match=re.escape(said)):
        check_space("vqvae", ["preset=tiny", "train.batch=2"], [parse_parameter(search)])


def test_a_condition_waits_for_a_choice_before_it():
    choice, waits = (
        parse_parameter("model.name=choice(paper, residual)"),
        parse_parameter("model.slow=log(0.1, 1) if model.name=residual"),
    )
    assert check_space("vqvae", [], [choice, waits]) == [choice, waits]
    with pytest.raises(SpaceError, match=r"name model\.name first"):
        check_space("vqvae", [], [waits, choice])
    with pytest.raises(SpaceError, match="none of the choices"):
        check_space("vqvae", [], [choice, parse_parameter("model.slow=log(0.1, 1) if model.name=others")])
    plan = Plan("vqvae", (), (choice, waits), (Objective("loss", "minimize"),))
    assert plan.active(waits, {"model.name": "residual"})
    assert not plan.active(waits, {"model.name": "paper"})


@pytest.mark.parametrize("stage", ["vqvae", "audio", "selftest"])
def test_the_defaults_are_settings_of_their_stage(stage: str):
    space = check_space(stage, [], default_space(stage))
    assert len(space) >= 2
    assert parse_objective(default_objective(stage)).direction in ("minimize", "maximize")


def test_the_default_of_stage_1_is_codebook_size_dim_and_learning_rates():
    names = {parameter.name for parameter in check_space("vqvae", ["preset=tiny"], default_space("vqvae"))}
    assert names == {"quantizer.codes", "model.dim", "train.lr", "model.slow", "quantizer.decay"}
    paper = {
        parameter.name
        for parameter in check_space("vqvae", ["model=paper", "quantizer=gradient"], default_space("vqvae"))
    }
    assert paper == {"quantizer.codes", "model.dim", "train.lr", "quantizer.lr_factor"}


def test_a_grid_is_every_combination_once():
    space = [parse_parameter(text) for text in ("a=log(1, 100, 3)", "b=int(1, 4, 2)", "c=choice(x, y)")]
    points = list(grid_points(space))
    assert len(points) == grid_size(space) == 12
    assert len({tuple(point.values()) for point in points}) == 12
    assert sorted({round(point["a"], 9) for point in points}) == [1, 10, 100]
    assert {point["b"] for point in points} == {1, 3}


def test_a_grid_that_is_too_large_says_how_large():
    space = [parse_parameter(text) for text in ("a=log(1, 100)", "b=int(1, 100)", "c=choice(1, 2, 3)")]
    with pytest.raises(SpaceError, match=r"the grid has 1,500 points \(5 a x 100 b x 3 c\), and --trials is 24"):
        check_grid(space, 24)
    assert check_grid(space, 2000) == 1500
    with pytest.raises(SpaceError, match="a grid has no conditions"):
        check_grid([parse_parameter("a=int(1, 2) if b=1")], 2)


@pytest.mark.parametrize(
    ("items", "said"),
    [
        ({"a": 1}, "expected a list of parameters"),
        ([{"name": "a", "kind": "int", "lo": 1}], "a parameter has no 'lo'"),
        ([{"name": "a"}], "expected name and kind"),
        ([{"name": "a", "kind": "int", "low": "x", "high": 3}], "wrong type"),
        ([{"name": "a", "kind": "normal"}], "to be of kind"),
    ],
)
def test_files_of_another_form_are_refused(items: object, said: str):
    with pytest.raises(SpaceError, match=re.escape(said)):
        from_items(items)


def test_a_plan_comes_back_from_its_record_and_shows_differences():
    space = tuple(parse_parameter(text) for text in ("lr=log(1e-3, 1e-1)", "batch=choice(8, 16) if steps=5"))
    plan = Plan("selftest", ("steps=5",), space, (parse_objective("loss:min"),))
    again = plan_from(plan.as_dict())
    assert again.as_dict() == plan.as_dict()
    assert again.name == plan.name
    assert differences(again, plan) == []
    other = Plan("selftest", ("steps=6",), (parse_parameter("lr=log(1e-3, 1)"),), (parse_objective("loss:max"),))
    assert other.name != plan.name
    assert differences(plan, other) == [
        "settings: steps=5, not steps=6", "objectives: loss:minimize, not loss:maximize",
        "lr: kind log, low 0.001, high 0.1, not kind log, low 0.001, high 1.0",
        "batch: kind choice, choices [8, 16], when steps=5, not left out",
    ]  # fmt: skip
    with pytest.raises(StudyError, match=r"not made by sweeps\.optuna_run"):
        plan_from(None)


@pytest.mark.parametrize(
    "name", ["", "-x", ".hidden", "a/b", "../up", "new\nline", "tab\there", "a" * 101, " a", "a ", "nul\0"]
)
def test_names_that_no_folder_can_have_are_refused(name: str):
    with pytest.raises(StudyError, match="expected a study's name"):
        check_name(name)


@pytest.mark.parametrize("name", ["planes 2", "it's; $HOME", "Zürich", "a" * 100])
def test_other_names_are_taken_as_they_are(name: str):
    assert check_name(name) == name


def test_objectives_are_metrics_or_settings():
    wanted = [Objective("validation/psnr", "maximize"), Objective("quantizer.codes", "minimize")]
    assert values_of(wanted, {"validation/psnr": 20.5}, {"quantizer.codes": 64}) == [20.5, 64.0]
    with pytest.raises(ObjectiveError, match="no validation/psnr; its metrics are loss"):
        values_of(wanted, {"loss": 1.0}, {"quantizer.codes": 64})
    with pytest.raises(ObjectiveError, match="validation/psnr is inf"):
        values_of(wanted, {"validation/psnr": float("inf")}, {})
    for text in ("loss", "loss:smallest", ":min"):
        with pytest.raises(ObjectiveError, match="expected an objective like"):
            parse_objective(text)
