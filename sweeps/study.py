"""One study, shared by any number of processes. What changes it happens under one lock over all of them, which is taken here."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from sweeps.entries import MISSING, REASON, Entries
from sweeps.next_trial import NextTrial, NothingFitsError
from sweeps.objective import MissingMetric, ObjectiveError, values_of
from sweeps.plan import Plan, StudyError
from sweeps.running import Running
from sweeps.runs_folder import look_from
from sweeps.storage import Held, Storage
from sweeps.trial_folder import Handle, Outcome

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

T = TypeVar("T")


class Sweep:
    """A study and its plan. All that changes it happens under one lock over all processes.

    Args:
        storage: where it is.
        study: Optuna's.
        plan: what it is about.
        mark: that no other study has, whatever its name.
        runs: folder of the runs, as it is seen here.
    """

    def __init__(self, storage: Storage, study: Study, plan: Plan, mark: str, runs: Path | None = None) -> None:
        self.storage, self.study, self.plan = storage, study, plan
        here = look_from(runs, one_machine=storage.place.kind != "postgresql")
        self._entries = Entries(storage.optuna, study, mark, here)
        self._next = NextTrial(self._entries, plan)

    @property
    def name(self) -> str:
        """Of the study."""
        return self.study.study_name

    def seen_from(self, runs: Path) -> Sweep:
        """The same study, for who works in this folder of runs; it is made when missing.

        Raises:
            OSError: it cannot be read or written.
        """
        return Sweep(self.storage, self.study, self.plan, self._entries.mark, runs)

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
        return self._entries.trials()

    def running(self) -> list[Running]:
        """Trials that have begun, and whose folder is seen here."""
        return self._entries.running()

    def unseen(self) -> list[FrozenTrial]:
        """Trials that have begun, in a folder that is not seen here: nobody here knows whether they run."""
        return self._entries.unseen()

    def folder_of(self, trial: FrozenTrial) -> Path | None:
        """Where the run of a trial that has begun is here; None when that is not seen."""
        return self._entries.folder_of(trial)

    def is_full(self, trials: int, sampler: str = "") -> bool:
        """Whether so many trials have begun, or it is known that the sampler has no other parameters."""
        return self._entries.is_full(trials, sampler)

    def shortfall(self, trials: int, sampler: str) -> str:
        """A sentence where there are fewer trials than asked for, because there are no other parameters; else ""."""
        return self._entries.shortfall(trials, sampler)

    def check_objectives(self) -> None:
        """See that a run that ended well had what the study is about, before more of them are trained to their end; and that no
        worker gave up.

        Raises:
            StudyError: one had not, and none had (names the metrics that there are).
            sweeps.next_trial.NothingFitsError: a worker found no other parameters.
        """
        if self._entries.gave_up:
            raise NothingFitsError(self._entries.gave_up)
        trials = self.trials()
        missing = next((trial for trial in trials if MISSING in trial.user_attrs), None)
        if missing is not None and not any(trial.state.name == "COMPLETE" for trial in trials):
            raise StudyError(
                f"trial {missing.number} ended, but {missing.user_attrs[MISSING]}. Every trial would fail like it: name one of "
                "these with --objective, and another --study if you named this one"
            )

    def say_gave_up(self, why: str) -> None:
        """Tell those who wait for a worker why it found no other parameters; "" takes it back, so that all look again."""
        self._entries.say_gave_up(why)

    # --- the next one -------------------------------------------------------------------------------------------------

    def claim(self, folder: Path, handle: Handle, *, sampler: str, trials: int, seed: int | None) -> Running | None:
        """A new trial with parameters that no other has; None when there are enough, or no others, or none were found and trials
        run that an error would end.

        Args:
            folder: of the study's runs.
            handle: who runs it, until that is known better.
            sampler: name.
            trials: how many the study shall have in all.
            seed: of the draws; None for other ones each time.

        Raises:
            sweeps.place.StorageError: the storage was away for longer than it is waited for.
            StudyError: a run of another study is trained in the trial's folder.
            sweeps.next_trial.NothingFitsError: no other parameters that go together were found, and no trial runs.
        """
        while True:
            with self.alone() as held:
                found = self._next.choose(folder, handle, sampler, trials, seed)
                if held():
                    return found
            # Another process may have chosen at the same time.
            if found is not None and self._surely_alone(functools.partial(self._next.keep, found, trials)):
                return found

    def is_over(self, trials: int, sampler: str = "") -> bool:
        """Whether so many trials have begun, and all that are seen here have ended. A trial that is just chosen counts as begun and
        is none of `running` yet, so this waits until nobody chooses."""

        def over() -> bool:
            self._entries.set_aside_unasked()
            return self.is_full(trials, sampler) and not self.running()

        return self._surely_alone(over)

    def take_over(self, trial: Running, before: Handle | None, after: Handle) -> bool:
        """Become the one who runs it; False when another was quicker, or it is finished meanwhile.

        Raises:
            StudyError: a run of another study is trained in its folder.
        """
        while True:
            with self.alone() as held:
                if self._entries.state(trial.number) != "RUNNING" or trial.handle != before:
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
            state = self._entries.state(trial.number)
            if state != "RUNNING":
                return state.lower()
            self._entries.report(trial.number, outcome.unsaid)
            if outcome.state == "complete":
                return self._complete(trial, outcome)
            self._entries.note(trial.number, REASON, outcome.reason)
            return self._entries.tell(trial.number, "PRUNED" if outcome.state == "pruned" else "FAIL")

    def _complete(self, trial: Running, outcome: Outcome) -> str:
        try:
            values = values_of(self.plan.objectives, outcome.metrics, self.plan.resolved(trial.params))
        except ObjectiveError as error:
            self._entries.note(trial.number, REASON, str(error))
            if isinstance(error, MissingMetric):
                self._entries.note(trial.number, MISSING, str(error))
            return self._entries.tell(trial.number, "FAIL")
        return self._entries.tell(trial.number, "COMPLETE", values)
