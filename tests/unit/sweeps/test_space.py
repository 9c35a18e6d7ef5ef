"""Search spaces: their forms, their checks against the stage's own settings, the grid, and what a study keeps of them."""

from __future__ import annotations

import re

import pytest

from hpc.stage_settings import ConfigError
from sweeps.defaults import default_objective, default_space
from sweeps.objective import Objective, ObjectiveError, parse_objective, values_of
from sweeps.plan import Plan, StudyError, check_name, differences, plan_from
from sweeps.samplers import check_grid
from sweeps.space import Parameter, SpaceError, from_items, grid_points, grid_size, parse_parameter
from sweeps.space_check import check_space


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
        (f"x=int(1, 1{'0' * 400})", "expected high of x within ±1.8e308"),
        (f"x=float(1, 2, 1{'0' * 400})", "expected points of x within ±1.8e308"),
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
        check_grid([parse_parameter("b=choice(1, 2)"), parse_parameter("a=int(1, 2) if b=1")], 4)
    assert check_grid([parse_parameter("a=int(1, 2) if b=1")], 2) == 2, "what it waits for is settled"
    assert check_grid(space, None) == 1500, "all of them"
    assert check_grid(space, 7, cut=True) == 7
    with pytest.raises(SpaceError, match=r"takes --trials points of the grid's 1,500 .* --trials is not given"):
        check_grid(space, None, cut=True)


@pytest.mark.parametrize(
    ("items", "said"),
    [
        ({"a": 1}, "expected a list of parameters"),
        ([{"name": "a", "kind": "int", "lo": 1}], "a parameter has no 'lo'"),
        ([{"name": "a"}], "expected name and kind"),
        ([{"name": "a", "kind": "int", "low": "x", "high": 3}], "wrong type"),
        ([{"name": "a", "kind": "normal"}], "to be of kind"),
        ([{"name": ["a"], "kind": "int"}], "expected the name of a setting, such as train.lr, but got ['a']"),
        ([{"name": "a", "kind": ["int"]}], "to be of kind"),
        ([{"name": "a", "kind": "int", "low": True, "high": 3}], "expected a number for low of a, but got True"),
        ([{"name": "a", "kind": "int", "low": 1, "high": 10**400}], "expected high of a within ±1.8e308"),
        ([{"name": "a", "kind": "log", "low": 1, "high": 2, "points": 10**400}], "expected points of a within"),
        ([{"name": "a", "kind": "int", "low": 1, "high": 9, "step": 1.5}], "a step of at least 1"),
        ([{"name": "a", "kind": "int", "low": 1, "high": 9, "step": None}], "expected a number for step of a"),
        ([{"name": "a", "kind": "choice", "choices": "89"}], "expected a list of choices for a, such as [8, 16]"),
        ([{"name": "a", "kind": "choice", "choices": None}], "expected a list of choices for a"),
        ([{"name": "a", "kind": "choice", "choices": [1, [2]]}], "numbers and words among the choices of a"),
        ([{"name": "a", "kind": "int", 1: 2, "x": 3}], "a parameter has no '1'"),
    ],
)
def test_files_of_another_form_are_refused(items: object, said: str):
    with pytest.raises(SpaceError, match=re.escape(said)):
        from_items(items)


def test_whole_numbers_of_a_file_may_have_a_point():
    (ranged, stepped) = from_items(
        [
            {"name": "a", "kind": "log", "low": 1, "high": 100, "points": 3.0},
            {"name": "b", "kind": "int", "low": 1, "high": 5, "step": 2.0},
        ]
    )
    assert [round(float(value)) for value in ranged.grid()] == [1, 10, 100]
    assert stepped.grid() == (1, 3, 5)


def test_a_choice_that_stands_twice_is_one_point_of_a_grid():
    twice = parse_parameter("x=choice(8, 8, 16)")
    assert twice.grid() == (8, 16)
    assert grid_size([twice]) == 2


@pytest.mark.parametrize(
    ("condition", "kept"),
    [
        ("train.lr=1e-3", True), ("train.lr=0.001", True), ("train.lr=0.0010", True), ("train.lr=2e-3", False),
        ("quantizer.codes=0512", True), ("quantizer.codes=256", False), ("model.name=residual", True),
        ("model.name=paper", False),
    ],
)  # fmt: skip
def test_a_condition_is_compared_as_the_setting_takes_it(condition: str, kept: bool):
    settings = ["train.lr=0.001", "quantizer.codes=512", "model=residual"]
    texts = ("model.dim=choice(8, 16)", f"train.batch=int(1, 3) if {condition}")
    space = tuple(check_space("vqvae", settings, [parse_parameter(text) for text in texts]))
    assert [parameter.name for parameter in space] == ["model.dim", "train.batch"][: 1 + kept]
    plan = Plan("vqvae", tuple(settings), space, (Objective("loss", "minimize"),))
    assert all(plan.active(parameter, {"model.dim": 8}) for parameter in space), "it is searched"


def test_a_condition_on_a_choice_may_be_written_otherwise():
    texts = ("train.lr=choice(0.001, 0.01)", "train.batch=int(1, 3) if train.lr=1e-3")
    space = check_space("vqvae", [], [parse_parameter(text) for text in texts])
    plan = Plan("vqvae", (), tuple(space), (Objective("loss", "minimize"),))
    assert plan.active(space[1], {"train.lr": 0.001})
    assert not plan.active(space[1], {"train.lr": 0.01})


@pytest.mark.parametrize("choices", [[True, False], ["true", "false"], ["True", "False"]])
@pytest.mark.parametrize("written", ["true", "True"])
def test_a_condition_on_yes_or_no_is_what_the_stage_takes_it_for(choices: list[bool | str], written: str):
    items = [
        {"name": "flip", "kind": "choice", "choices": choices},
        {"name": "model.dim", "kind": "choice", "choices": [8, 16], "when": f"flip={written}"},
    ]
    space = check_space("vqvae", [], from_items(items))
    plan = Plan("vqvae", (), tuple(space), (Objective("loss", "minimize"),))
    assert [plan.active(space[1], {"flip": choice}) for choice in choices] == [True, False]
    assert plan.resolved({"flip": choices[1], "model.dim": 8})["flip"] is False
    if choices[0] is True:
        assert [parameter.described for parameter in space] == [
            "flip=choice(true, false)", "model.dim=choice(8, 16) if flip=true"
        ]  # fmt: skip
        again = check_space("vqvae", [], [parse_parameter(parameter.described) for parameter in space])
        assert Plan("vqvae", (), tuple(again), plan.objectives).active(again[1], {"flip": "true"})
    with pytest.raises(SpaceError, match="none of the choices of flip"):
        check_space("vqvae", [], from_items([items[0], {**items[1], "when": "flip=maybe"}]))


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("model.name=residul", "model.dim waits for model.name=residul, which can never be: expected model.name"),
        ("quantizer.codes=many", "which can never be: expected quantizer.codes=<int>"),
    ],
)
def test_a_condition_that_can_never_hold_is_refused(condition: str, said: str):
    texts = ("train.lr=log(1e-4, 1e-2)", f"model.dim=choice(8, 16) if {condition}")
    with pytest.raises(SpaceError, match=re.escape(said)):
        check_space("vqvae", ["preset=tiny"], [parse_parameter(text) for text in texts])


def test_a_grid_of_other_points_is_another_search():
    def plan_of(text: str) -> Plan:
        return Plan("selftest", (), (parse_parameter(text),), (parse_objective("loss:min"),))

    three, four, five = (plan_of(f"lr=log(1e-4, 1e-2{points})") for points in (", 3", ", 4", ""))
    assert plan_from(three.as_dict()).space[0].grid() == three.space[0].grid()
    assert differences(plan_from(three.as_dict()), four) == [
        "lr: kind log, low 0.0001, high 0.01, points 3, not kind log, low 0.0001, high 0.01, points 4"
    ]
    assert len({three.name, four.name, five.name}) == 3
    before = five.as_dict()
    del before["space"][0]["points"]  # as an earlier version kept it
    assert differences(plan_from(before, three), three) == differences(plan_from(before, five), five) == []
    assert plan_from(before).space[0].points == 5
    assert five.name == "selftest-a7a080a9", "as an earlier version called it"


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
        "lr: kind log, low 0.001, high 0.1, points 5, not kind log, low 0.001, high 1.0, points 5",
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
