"""What every storage of studies must do; each function is called with what opens it as another process would."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from sweeps.objective import Objective
from sweeps.opening import open_sweep
from sweeps.plan import Plan, StudyError
from sweeps.space import Parameter
from sweeps.storage import Storage
from sweeps.study import Sweep
from sweeps.trial_folder import Handle, Outcome

PLAN = Plan(
    "selftest", ("steps=5",), (Parameter("lr", "log", 1e-3, 1e-1), Parameter("batch", "choice", choices=(8, 16))),
    (Objective("loss", "minimize"),),
)  # fmt: skip
CHOICES = Plan("selftest", (), (Parameter("batch", "choice", choices=(8, 16, 32)),), (Objective("loss", "minimize"),))
ME = Handle("process", "me")
Open = Callable[[], Storage]


def claim(sweep: Sweep, folder: Path, trials: int = 100, sampler: str = "random", seed: int | None = None) -> object:
    return sweep.claim(folder, ME, sampler=sampler, trials=trials, seed=seed)


def a_study_is_found_again_with_its_plan(open_again: Open, _folder: Path) -> None:
    made = open_sweep(open_again(), "planes; it's $HOME", PLAN)
    found = open_sweep(open_again(), "planes; it's $HOME", None)
    assert found.plan.as_dict() == made.plan.as_dict() == PLAN.as_dict()


def another_space_is_refused_and_shown(open_again: Open, _folder: Path) -> None:
    open_sweep(open_again(), "one", PLAN)
    with pytest.raises(StudyError, match=r"about something else(?s:.*)batch: kind choice(?s:.*)not(?s:.*)8, 16, 32"):
        open_sweep(open_again(), "one", CHOICES)


def a_missing_study_names_those_that_are_there(open_again: Open, _folder: Path) -> None:
    open_sweep(open_again(), "one", PLAN)
    with pytest.raises(StudyError, match=r"no study 'two'.* there are: one"):
        open_sweep(open_again(), "two", None)


def trials_end_in_the_states_of_their_outcomes(open_again: Open, folder: Path) -> None:
    sweep = open_sweep(open_again(), "ends", PLAN)
    outcomes = [
        Outcome("complete", metrics={"loss": 0.5, "step": 5.0}),
        Outcome("failed", 'CUDA out of memory: "tried" to\nallocate\0 $HOME'),
        Outcome("pruned", "pruned at step 3"),
        Outcome("complete", metrics={"loss": float("nan")}),
        Outcome("complete", metrics={"other": 1.0}),
    ]
    for outcome in outcomes:
        trial = sweep.claim(folder, ME, sampler="random", trials=9, seed=None)
        assert trial is not None
        sweep.settle(trial, outcome)
        assert sweep.settle(trial, Outcome("failed", "too late")) != "running"
    again = open_sweep(open_again(), "ends", None)
    trials = again.trials()
    assert [trial.state.name for trial in trials] == ["COMPLETE", "FAIL", "PRUNED", "FAIL", "FAIL"]
    assert trials[0].value == 0.5
    reasons = [trial.user_attrs.get("reason", "") for trial in trials]
    assert reasons[1].startswith('CUDA out of memory: "tried" to\nallocate')
    assert reasons[3] == "loss is nan"
    assert "the run has no loss; its metrics are other" in reasons[4]
    assert again.running() == []


def a_study_is_not_over_while_a_trial_is_chosen(open_again: Open, folder: Path) -> None:
    sweep, other = (open_sweep(open_again(), "chosen", PLAN) for _ in range(2))
    said: list[bool] = []
    asking = threading.Thread(target=lambda: said.append(sweep.is_over(1)))
    with other.storage.lock("sweep chosen"):  # as a worker that claims
        asked = other.study.ask()
        assert sweep.running() == []
        assert sweep.is_full(1)
        asking.start()
        asking.join(timeout=0.5)
        assert said == [], "it did not wait"
        asked.set_user_attr("folder", str(folder / "trial-0000"))
    asking.join(timeout=60)
    assert said == [False]
    (running,) = sweep.running()
    sweep.settle(running, Outcome("complete", metrics={"loss": 0.5}))
    assert sweep.is_over(1)
    other.study.ask()  # and its process dies
    assert not sweep.is_over(2), "nobody runs it"
    assert claim(sweep, folder, trials=2) is not None


def no_parameters_come_twice_and_a_space_ends(open_again: Open, folder: Path) -> None:
    sweep, other = (open_sweep(open_again(), "small", CHOICES) for _ in range(2))
    found = [claim(one, folder) for one in (sweep, other, sweep)]
    assert None not in found
    assert sorted(trial.params["batch"] for trial in sweep.trials()) == [8, 16, 32]
    assert claim(other, folder) is None, "a fourth batch size came from nowhere"
    assert len(sweep.trials()) == 3


def a_used_up_space_is_remembered_and_not_drawn_from(open_again: Open, folder: Path) -> None:
    sweep = open_sweep(open_again(), "used up", CHOICES)
    while claim(sweep, folder, trials=6, seed=1) is not None:
        pass
    there = len(sweep.study.get_trials())
    assert there <= 3 + 2 * 3, "a draw in vain costs no more than a sampler's three tries"
    again = open_sweep(open_again(), "used up", None)
    assert again.is_full(6, "tpe")
    assert again.shortfall(6, "tpe") == "3 of 6: all combinations are done"
    assert again.shortfall(3, "tpe") == ""
    assert claim(again, folder, trials=6, seed=2) is None
    assert len(again.study.get_trials()) == there


def a_study_of_before_takes_its_grid_from_who_goes_on(open_again: Open, folder: Path) -> None:
    three = Plan("selftest", (), (Parameter("lr", "log", 1e-3, 1e-1, points=3),), (Objective("loss", "minimize"),))
    record = three.as_dict()
    del record["space"][0]["points"]
    open_sweep(open_again(), "before", three).study.set_user_attr("sweep", record)
    assert open_sweep(open_again(), "before", None).plan.space[0].points == 5
    assert open_sweep(open_again(), "before", three).plan.space[0].points == 3
    worker = open_sweep(open_again(), "before", None)
    assert worker.plan == three
    while claim(worker, folder, sampler="grid") is not None:
        pass
    assert sorted(round(trial.params["lr"], 9) for trial in worker.trials()) == [0.001, 0.01, 0.1]


def a_number_of_trials_is_exact_whoever_asks(open_again: Open, folder: Path) -> None:
    open_sweep(open_again(), "exact", PLAN)

    def take(found: list[object]) -> None:
        sweep = open_sweep(open_again(), "exact", None)
        while (trial := claim(sweep, folder, trials=12)) is not None:
            found.append(trial)

    lists: list[list[object]] = [[], [], []]
    threads = [threading.Thread(target=take, args=(found,)) for found in lists]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert sum(len(found) for found in lists) == 12
    trials = open_sweep(open_again(), "exact", None).trials()
    assert len(trials) == 12
    assert len({str(trial.params) for trial in trials}) == 12


def only_one_takes_a_lost_trial_over(open_again: Open, folder: Path) -> None:
    sweep, other = (open_sweep(open_again(), "lost", PLAN) for _ in range(2))
    trial = sweep.claim(folder, ME, sampler="random", trials=1, seed=None)
    assert trial is not None
    assert sweep.take_over(trial, ME, Handle("process", "first", 2))
    assert not other.take_over(trial, ME, Handle("process", "second", 2))
    other.settle(trial, Outcome("failed", "gone"))
    assert not sweep.take_over(trial, Handle("process", "first", 2), ME)


def a_trial_whose_chooser_died_is_set_aside(open_again: Open, folder: Path) -> None:
    sweep = open_sweep(open_again(), "died", PLAN)
    sweep.study.ask()  # and nothing more: no parameters, no folder
    assert claim(sweep, folder, trials=1) is not None
    assert claim(sweep, folder, trials=1) is None
    assert [trial.state.name for trial in sweep.trials()] == ["RUNNING"]


CONTRACT: dict[str, Callable[[Open, Path], None]] = {
    check.__name__: check
    for check in (
        a_study_is_found_again_with_its_plan,
        another_space_is_refused_and_shown,
        a_missing_study_names_those_that_are_there,
        trials_end_in_the_states_of_their_outcomes,
        a_study_is_not_over_while_a_trial_is_chosen,
        no_parameters_come_twice_and_a_space_ends,
        a_used_up_space_is_remembered_and_not_drawn_from,
        a_study_of_before_takes_its_grid_from_who_goes_on,
        a_number_of_trials_is_exact_whoever_asks,
        only_one_takes_a_lost_trial_over,
        a_trial_whose_chooser_died_is_set_aside,
    )
}
