"""Parameters that go together where few do; what a study keeps when there are no others, and when none were found."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sweeps import free, optuna_run
from sweeps.free import DONE, find_free
from sweeps.next_trial import NothingFitsError
from sweeps.objective import Objective
from sweeps.opening import open_sweep
from sweeps.options import Options
from sweeps.place import find_place
from sweeps.plan import Plan, StudyError
from sweeps.space import parse_parameter
from sweeps.storage import open_storage
from sweeps.study import Sweep
from sweeps.trial_folder import Handle, Outcome, hold
from sweeps.worker import Chooser
from sweeps.worker_folder import Worker
from tests.contracts.studies import ME
from tests.media.moving import moving_discs

LR = "train.lr=log(1e-4, 1e-2)"
EIGHTS = ("model.channels=int(16, 256)", "model.narrow=int(16, 256)")  # both must be multiples of 8: one draw in 64
# Each value goes with the stage's own values of the others, and no two of them with each other: a block has 30 numbers.
NOTHING = ("model.strides=choice(1x1x2, 1x2x1)", "model.dim=choice(100, 200)")
SENTENCE = "expected model.dim of at most 30, the numbers of a group's block, but got "


def plan_of(*space: str) -> Plan:
    return Plan("vqvae", ("preset=tiny",), tuple(map(parse_parameter, space)), (Objective("loss", "minimize"),))


def opened(folder: Path, *space: str) -> Sweep:
    return open_sweep(open_storage(find_place(None, folder / "study.log", {})), "few", plan_of(*space))


def claim(sweep: Sweep, folder: Path) -> object:
    return sweep.claim(folder, ME, sampler="tpe", trials=12, seed=None)


def kept(sweep: Sweep) -> set[str]:
    """What the study keeps beside its plan and its mark."""
    return {key for key, value in sweep.study.user_attrs.items() if value} - {"sweep", "mark"}


@pytest.mark.parametrize("space", [(*EIGHTS, LR), EIGHTS, (*EIGHTS, "crop=int(0, 64)", LR)])
def test_what_goes_together_is_found_where_it_is_one_draw_in_64_or_256(space: tuple[str, ...]):
    plan = plan_of(*space)
    found = [find_free(plan, [], grid=False, seed=seed) for seed in range(3)]
    assert len({tuple(point.values()) for point in found}) == 3
    assert all(plan.resolved(point) for point in found)


@pytest.mark.parametrize("space", [NOTHING, (*NOTHING, LR), (LR, *NOTHING)])
def test_where_nothing_goes_together_the_stage_says_why_and_nothing_is_kept(space: tuple[str, ...], tmp_path: Path):
    sweep = opened(tmp_path, *space)
    with pytest.raises(StudyError, match="the study has 0 of 12 trials, and no other parameters were found") as error:
        claim(sweep, tmp_path)
    assert SENTENCE in str(error.value)
    assert kept(sweep) == set()
    assert not sweep.is_full(12, "tpe")
    assert sweep.shortfall(12, "tpe") == ""
    assert sweep.study.get_trials() == []


@pytest.mark.parametrize(
    "guess", ["60 draws in a row had no other parameters that go together", "the next 1000 combinations do not"]
)
def test_a_guess_that_an_earlier_version_kept_does_not_count(guess: str, tmp_path: Path):
    sweep = opened(tmp_path, *EIGHTS, LR)
    sweep.study.set_user_attr("used_up", guess)
    assert not sweep.is_full(12, "tpe")
    assert claim(sweep, tmp_path) is not None


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first combination that does not go together is the end: of four the second."""
    for name, value in (("_DRAWS", 0), ("_DRAWS_IN_TURN", 0), ("_MOST_UNFIT", 1)):
        monkeypatch.setattr(free, name, value)


FOUR = ("model.strides=choice(1x1x1, 4x4x8)", "model.dim=choice(3, 40)")


@pytest.mark.usefixtures("hurried")
def test_giving_up_waits_for_those_that_run_and_the_next_command_looks_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    sweep = opened(tmp_path, *FOUR)
    running = sweep.claim(tmp_path, ME, sampler="random", trials=1, seed=None)
    while running is not None and running.params != {
        "model.strides": "1x1x1",
        "model.dim": 3,
    }:  # the sampler's own draw
        sweep.settle(running, Outcome("failed", "not it"))
        running = sweep.claim(tmp_path, ME, sampler="random", trials=9, seed=None)
    assert running is not None
    assert claim(sweep, tmp_path) is None, "an error would end the one that runs"
    assert not sweep.is_full(12, "tpe")
    sweep.settle(running, Outcome("complete", metrics={"loss": 1.0}))
    with pytest.raises(NothingFitsError, match=r"the study has [123] of 12 trials"):
        claim(sweep, tmp_path)
    assert kept(sweep) == set()
    monkeypatch.setattr(free, "_MOST_UNFIT", 9)
    while (trial := sweep.claim(tmp_path, ME, sampler="tpe", trials=12, seed=None)) is not None:
        sweep.settle(trial, Outcome("complete", metrics={"loss": 1.0}))
    assert sweep.shortfall(12, "tpe") == f"3 of 12: {DONE}"


@pytest.mark.usefixtures("hurried")
def test_a_worker_that_finds_none_waits_for_the_others_and_tells_who_waits_for_it(tmp_path: Path):
    sweep = opened(tmp_path, *FOUR)
    sweep.study.enqueue_trial({"model.strides": "1x1x1", "model.dim": 3})
    held = hold(tmp_path / "other.lock")
    assert held is not None
    other = Handle("process", str(tmp_path / "other.lock"))  # it lives
    running = sweep.claim(tmp_path, other, sampler="random", trials=1, seed=None)
    assert running is not None
    assert running.params == {"model.strides": "1x1x1", "model.dim": 3}
    options = Options(sweep.storage.place.spec, 12, 1, "random", "none", None, 0, "", 5, 1)
    chooser = Chooser(Worker(sweep.name, str(tmp_path), options, ME), lambda: False)
    assert [chooser.next()["do"] for _ in range(2)] == ["wait", "wait"]
    sweep.settle(running, Outcome("complete", metrics={"loss": 1.0}))
    os.close(held)
    assert chooser.next() == {"do": "end"}
    with pytest.raises(NothingFitsError, match="the study has 1 of 12 trials"):
        sweep.check_objectives()
    sweep.say_gave_up("")
    sweep.check_objectives()
    assert kept(sweep) == set()


@pytest.mark.parametrize(
    "mode", ["job", pytest.param("workers", marks=pytest.mark.slow)]
)  # a worker starts, with torch
def test_a_sweep_of_what_never_goes_together_fails_with_the_stages_sentence(
    mode: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    moving_discs(tmp_path / "clips")
    search = [word for text in NOTHING for word in ("--search", text)]
    command = ["--cluster", "local", "--mode", mode, "--study", "none", "--runs", str(tmp_path / "runs"), *search]
    assert optuna_run.main([*command, "stage=vqvae", "preset=tiny", f"data={tmp_path}/clips"]) == 1
    said = capfd.readouterr()
    assert "no other parameters were found" in said.err
    assert SENTENCE in said.err
    assert "look at it" not in said.out
    assert kept(open_sweep(open_storage(find_place(None, tmp_path / "runs/none/study.log", {})), "none", None)) == set()
