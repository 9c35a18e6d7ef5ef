"""One study, shared by any number of processes: which trials there are, which comes next, how each one ended."""

from __future__ import annotations

import functools
import json
import os
import secrets
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from hpc.stage_settings import ConfigError
from sweeps.free import UsedUp, find_free
from sweeps.objective import MissingMetric, ObjectiveError, values_of
from sweeps.ownership import Owner
from sweeps.plan import Plan, StudyError, check_name, differences, keeps_points, plan_from
from sweeps.samplers import make_fixed, make_sampler, suggest
from sweeps.space import setting
from sweeps.storage import Held, Storage
from sweeps.trial_folder import Handle, Outcome

if TYPE_CHECKING:
    from optuna import Study
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial, Trial

T = TypeVar("T")
PLAN, MARK, FOLDER, REASON, ASIDE = "sweep", "mark", "folder", "reason", "set_aside"
_MISSING = "missing_metric"
_USED_UP, _GRID_USED_UP = "used_up", "grid_used_up"  # of a study: why there are no other parameters
_TRIES = 3  # of the sampler, for parameters that no trial has; then it is told some
ENDED_UNASKED = "its process ended while it was chosen"


@dataclass(frozen=True)
class Running:
    """A trial that has begun and is not finished.

    Attributes:
        number: in the study.
        params: what was chosen, by name of the setting.
        folder: of its run.
        owner: that the folder has when it is this trial's, and not one's of another study.
    """

    number: int
    params: dict[str, Any]
    folder: Path
    owner: Owner

    @property
    def handle(self) -> Handle | None:
        """Who runs it; None when nobody has said so."""
        return self.owner.handle(self.folder)

    @property
    def outcome(self) -> Outcome | None:
        """How its run ended; None when that is not known."""
        return self.owner.outcome(self.folder)


class Sweep:
    """A study and its plan. All that changes it happens under one lock over all processes.

    Args:
        storage: where it is.
        study: Optuna's.
        plan: what it is about.
        mark: that no other study has, whatever its name.
    """

    def __init__(self, storage: Storage, study: Study, plan: Plan, mark: str) -> None:
        self.storage, self.study, self.plan, self._mark = storage, study, plan, mark

    @property
    def name(self) -> str:
        """Of the study."""
        return self.study.study_name

    def alone(self) -> AbstractContextManager[Held]:
        """The lock over all processes under which the study is changed."""
        return self.storage.lock(f"sweep {self.name}")

    def _surely_alone(self, act: Callable[[], T]) -> T:
        """What is found by an act that may be done again; again when the lock was lost meanwhile, with a database's restart."""
        while True:
            with self.alone() as held:
                found = act()
                if held():
                    return found

    # --- what there is ------------------------------------------------------------------------------------------------

    def trials(self) -> list[FrozenTrial]:
        """Every trial that counts, in order: not those that were set aside."""
        return [trial for trial in self.study.get_trials(deepcopy=False) if ASIDE not in trial.user_attrs]

    def running(self) -> list[Running]:
        """Trials that have begun."""
        return [
            self._running(trial.number, trial.params, Path(trial.user_attrs[FOLDER]))
            for trial in self.trials()
            if trial.state.name == "RUNNING" and FOLDER in trial.user_attrs
        ]

    def _running(self, number: int, params: dict[str, Any], folder: Path) -> Running:
        settings = tuple(setting(name, value) for name, value in params.items())
        return Running(number, dict(params), folder, Owner(self._mark, number, dict(params), settings))

    def check_objectives(self) -> None:
        """See that a run that ended well had what the study is about, before more of them are trained to their end.

        Raises:
            StudyError: one had not, and none had (names the metrics that there are).
        """
        trials = self.trials()
        missing = next((trial for trial in trials if _MISSING in trial.user_attrs), None)
        if missing is not None and not any(trial.state.name == "COMPLETE" for trial in trials):
            raise StudyError(
                f"trial {missing.number} ended, but {missing.user_attrs[_MISSING]}. Every trial would fail like it: name one of "
                "these with --objective, and another --study if you named this one"
            )

    # --- the next one -------------------------------------------------------------------------------------------------

    def claim(self, folder: Path, handle: Handle, *, sampler: str, trials: int, seed: int | None) -> Running | None:
        """A new trial with parameters that no other has; None when there are enough, or no others.

        Args:
            folder: of the study's runs.
            handle: who runs it, until that is known better.
            sampler: name.
            trials: how many the study shall have in all.
            seed: of the draws; None for other ones each time.

        Raises:
            sweeps.place.StorageError: the storage was away for longer than it is waited for.
            StudyError: a run of another study is trained in the trial's folder.
        """
        while True:
            with self.alone() as held:
                found = self._choose(folder, handle, sampler, trials, seed)
                if held():
                    return found
            # Another process may have chosen at the same time.
            if found is not None and self._surely_alone(functools.partial(self._keep, found, trials)):
                return found

    def _choose(self, folder: Path, handle: Handle, sampler: str, trials: int, seed: int | None) -> Running | None:
        from optuna.exceptions import UpdateFinishedTrialError

        self._set_aside_unasked()
        if self.is_full(trials, sampler):
            return None
        before = len(self.study.get_trials(deepcopy=False))
        # First of all, for what a sampler draws in vain stays in the study.
        free = self._find_free(sampler, _seed_of(seed, before))
        if free is None:
            return None
        for draw in range(_TRIES + 1):
            try:
                asked = self._ask(self._sampler(sampler, seed, before + draw) if draw < _TRIES else make_fixed(free))
                why = self._unfit(asked.number, asked.params)
                if why is None:
                    return self._begin(asked, folder / f"trial-{asked.number:04d}", handle)
            except UpdateFinishedTrialError:  # the lock was lost, and another process set it aside
                continue
            self._set_aside(asked.number, why)
        return None

    def _find_free(self, sampler: str, seed: int) -> dict[str, Any] | None:
        """Parameters that no trial has; that there are none is kept in the study, for nobody looks for them again."""
        taken = [trial.params for trial in self.trials()]
        try:
            return find_free(self.plan, taken, grid=sampler == "grid", seed=seed)
        except UsedUp as error:
            self.study.set_user_attr(_key_of(sampler), str(error))
            return None

    def _sampler(self, name: str, seed: int | None, number: int) -> BaseSampler:
        return make_sampler(name, self.plan, (seed or 0) if name == "grid" else _seed_of(seed, number))

    def _keep(self, chosen: Running, trials: int) -> bool:
        """Whether a trial that was chosen without the lock counts; else it is set aside."""
        if self._state(chosen.number) != "RUNNING":
            return False
        why = self._unfit(chosen.number, chosen.params)
        if why is None and sum(trial.number != chosen.number for trial in self.trials()) >= trials:
            why = "another process chose the last trial at the same time"
        if why is not None:
            self._set_aside(chosen.number, why)
        return why is None

    def _begin(self, asked: Trial, folder: Path, handle: Handle) -> Running:
        found = self._running(asked.number, asked.params, folder)
        try:
            found.owner.take(folder, handle)
        except StudyError as error:
            self._set_aside(asked.number, str(error))
            raise
        asked.set_user_attr(FOLDER, str(folder))
        return found

    def _ask(self, sampler: BaseSampler) -> Trial:
        self.study.sampler = sampler
        trial = self.study.ask()
        chosen: dict[str, Any] = {}
        for parameter in self.plan.space:
            if self.plan.active(parameter, chosen):
                chosen[parameter.name] = suggest(trial, parameter)
        return trial

    def _unfit(self, number: int, params: dict[str, Any]) -> str | None:
        for other in self.trials():
            if other.number != number and other.params == params:
                return f"the same parameters as trial {other.number}"
        try:
            self.plan.resolved(params)
        except ConfigError as error:
            return f"these parameters do not go together: {error}"
        return None

    def _set_aside_unasked(self) -> None:
        """Trials whose process died while it chose: we hold the lock, so nobody chooses now."""
        for trial in self.trials():
            if trial.state.name == "RUNNING" and FOLDER not in trial.user_attrs:
                self._set_aside(trial.number, ENDED_UNASKED)

    def _set_aside(self, number: int, why: str) -> None:
        if self._note(number, ASIDE, why):
            self._tell(number, "FAIL")

    def is_full(self, trials: int, sampler: str = "") -> bool:
        """Whether so many trials have begun, or it is known that the sampler has no other parameters."""
        return self._begun() >= trials or _key_of(sampler) in self.study.user_attrs

    def shortfall(self, trials: int, sampler: str) -> str:
        """A sentence where there are fewer trials than asked for, because there are no other parameters; else ""."""
        why, begun = self.study.user_attrs.get(_key_of(sampler)), self._begun()
        return f"{begun} of {trials}: {why}" if why is not None and begun < trials else ""

    def _begun(self) -> int:
        return sum(self._counts(trial) for trial in self.study.get_trials(deepcopy=False))

    def is_over(self, trials: int, sampler: str = "") -> bool:
        """Whether so many trials have begun and ended. A trial that is just chosen counts as begun and is none of `running` yet, so
        this waits until nobody chooses."""

        def over() -> bool:
            self._set_aside_unasked()
            return self.is_full(trials, sampler) and not self.running()

        return self._surely_alone(over)

    @staticmethod
    def _counts(trial: FrozenTrial) -> bool:
        return ASIDE not in trial.user_attrs and trial.state.name != "WAITING"

    def take_over(self, trial: Running, before: Handle | None, after: Handle) -> bool:
        """Become the one who runs it; False when another was quicker, or it is finished meanwhile.

        Raises:
            StudyError: a run of another study is trained in its folder.
        """
        while True:
            with self.alone() as held:
                if self._state(trial.number) != "RUNNING" or trial.handle != before:
                    return False
                if held():
                    trial.owner.take(trial.folder, after)
                    return True

    # --- how it ended -------------------------------------------------------------------------------------------------

    def settle(self, trial: Running, outcome: Outcome) -> str:
        """Tell the study how a trial ended; whoever does it first.

        Returns:
            The state in lower case: "complete", "pruned" or "fail".
        """
        with self.alone():
            state = self._state(trial.number)
            if state != "RUNNING":
                return state.lower()
            if outcome.state == "complete":
                return self._complete(trial, outcome)
            self._note(trial.number, REASON, outcome.reason)
            return self._tell(trial.number, "PRUNED" if outcome.state == "pruned" else "FAIL")

    def _complete(self, trial: Running, outcome: Outcome) -> str:
        try:
            values = values_of(self.plan.objectives, outcome.metrics, self.plan.resolved(trial.params))
        except ObjectiveError as error:
            self._note(trial.number, REASON, str(error))
            if isinstance(error, MissingMetric):
                self._note(trial.number, _MISSING, str(error))
            return self._tell(trial.number, "FAIL")
        finite = {name: value for name, value in outcome.metrics.items() if value == value}  # noqa: PLR0124 - JSON has no NaN
        self._note(trial.number, "metrics", json.dumps(finite))
        return self._tell(trial.number, "COMPLETE", values)

    def _state(self, number: int) -> str:
        found = [trial for trial in self.study.get_trials(deepcopy=False) if trial.number == number]
        return found[0].state.name if found else "MISSING"

    def _note(self, number: int, key: str, value: str) -> bool:
        """False when the trial has ended: another process was quicker, after the lock was lost."""
        from optuna.exceptions import UpdateFinishedTrialError

        storage = self.storage.optuna
        trial_id = storage.get_trial_id_from_study_id_trial_number(storage.get_study_id_from_name(self.name), number)
        # PostgreSQL's texts take no NUL.
        try:
            storage.set_trial_user_attr(trial_id, key, value.replace("\0", "\\0")[:2000])
        except UpdateFinishedTrialError:
            return False
        return True

    def _tell(self, number: int, state: str, values: list[float] | None = None) -> str:
        from optuna.exceptions import UpdateFinishedTrialError
        from optuna.trial import TrialState

        # Without the sampler's word to it: it has none that it would not find in the study (the grid would stop the study).
        self.study.sampler = make_sampler("random", self.plan, 0)
        try:
            told = self.study.tell(number, values, state=TrialState[state], skip_if_finished=True)
        except UpdateFinishedTrialError:  # by another process, or by this one before the database's answer was lost
            return self._state(number).lower()
        return told.state.name.lower()


def _key_of(sampler: str) -> str:
    """A used-up grid is not yet a used-up space."""
    return _GRID_USED_UP if sampler == "grid" else _USED_UP


def _seed_of(seed: int | None, number: int) -> int:
    return int.from_bytes(os.urandom(4), "big") if seed is None else (seed * 1_000_003 + number) % 2**32


def open_sweep(storage: Storage, name: str, plan: Plan | None) -> Sweep:
    """A study; made when there is none of that name and there is a plan.

    Raises:
        StudyError: there is none; or it is about something else (shows the difference), or was made by another program.
    """
    import optuna

    check_name(name)
    with storage.lock(f"sweep {name}"):
        try:
            study = optuna.load_study(study_name=name, storage=storage.optuna)
        except KeyError:
            if plan is None:
                known = ", ".join(sorted(optuna.get_all_study_names(storage.optuna))) or "none"
                raise StudyError(f"there is no study {name!r} in {storage.place.label}; there are: {known}") from None
            directions = [objective.direction for objective in plan.objectives]
            # There already: by this very call, whose answer was lost with the database, or by another process after our lock was.
            study = optuna.create_study(
                study_name=name, storage=storage.optuna, directions=directions, load_if_exists=True
            )
            study.set_user_attr(PLAN, plan.as_dict())
        record: Any = study.user_attrs.get(PLAN)
        there = plan_from(record, plan)
        refuse_another(name, differences(there, plan) if plan is not None else [])
        if plan is not None and not all(map(keeps_points, record["space"])):
            study.set_user_attr(PLAN, there.as_dict())  # workers take the grid from it
        mark = study.user_attrs.get(MARK)
        if mark is None and plan is not None:  # new, or of before there were marks
            mark = secrets.token_hex(8)
            study.set_user_attr(MARK, mark)
    return Sweep(storage, study, plan or there, str(mark or ""))


def refuse_another(name: str, lines: Sequence[str]) -> None:
    """See that a study is about what it shall be about.

    Args:
        name: of the study.
        lines: how it differs.

    Raises:
        StudyError: it does; shows them.
    """
    if lines:
        raise StudyError(
            f"the study {name!r} is about something else:\n  "
            + "\n  ".join(lines)
            + "\ngo on with what it has, or choose another name with --study"
        )
