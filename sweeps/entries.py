"""What the storage holds of a study: its trials with their states and notes, and that a sampler has no others.

Nothing here locks: `sweeps.study.Sweep` holds the study's lock around it. A database that is restarted forgets the lock, so what
is written here also finds that another process was quicker.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from sweeps.free import DONE
from sweeps.running import Running, running_trial
from sweeps.runs_folder import Here

if TYPE_CHECKING:
    from optuna import Study
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

FOLDER, REASON, ASIDE = "folder", "reason", "set_aside"
RUNS = "runs"  # of a trial: which folder of runs it is in, and the host where it began
MISSING = "missing_metric"
ENDED_UNASKED = "its process ended while it was chosen"
_USED_UP, _GRID_USED_UP = "used_up", "grid_used_up"  # of a study: that there are no other parameters
_GAVE_UP = "gave_up"  # of a study: a word from a worker to those who wait for it, until the next command


class Entries:
    """A study's trials.

    Args:
        storage: Optuna's, which has the study.
        study: Optuna's.
        mark: that no other study has, whatever its name.
        here: what this process sees of the runs.
    """

    def __init__(self, storage: BaseStorage, study: Study, mark: str, here: Here) -> None:
        self.study, self.mark, self.here = study, mark, here
        self._storage = storage

    # --- what there is ------------------------------------------------------------------------------------------------

    def trials(self) -> list[FrozenTrial]:
        """Every trial that counts, in order: not those that were set aside."""
        return [trial for trial in self.study.get_trials(deepcopy=False) if ASIDE not in trial.user_attrs]

    def running(self) -> list[Running]:
        """Trials that have begun, and whose folder is seen here."""
        return [
            running_trial(self.mark, trial.number, trial.params, folder)
            for trial in self._running()
            if (folder := self.folder_of(trial)) is not None
        ]

    def unseen(self) -> list[FrozenTrial]:
        """Trials that have begun, in a folder that is not seen here: nobody here knows whether they run."""
        return [trial for trial in self._running() if self.folder_of(trial) is None]

    def _running(self) -> list[FrozenTrial]:
        return [trial for trial in self.trials() if trial.state.name == "RUNNING" and FOLDER in trial.user_attrs]

    def folder_of(self, trial: FrozenTrial) -> Path | None:
        """Where the run of a trial that has begun is here; None when that is not seen."""
        kept, runs = Path(trial.user_attrs[FOLDER]), trial.user_attrs.get(RUNS, {}).get("id")
        return self.here.find(kept, runs, running_trial(self.mark, trial.number, trial.params, kept).owner.owns)

    def made(self) -> int:
        """Number of all trials, those that were set aside among them."""
        return len(self.study.get_trials(deepcopy=False))

    def begun(self) -> int:
        """Number of trials that count and have begun."""
        return sum(_counts(trial) for trial in self.study.get_trials(deepcopy=False))

    def state(self, number: int) -> str:
        """Of a trial, in upper case as Optuna's; "MISSING" when there is none of that number."""
        found = [trial for trial in self.study.get_trials(deepcopy=False) if trial.number == number]
        return found[0].state.name if found else "MISSING"

    # --- how many there can be ----------------------------------------------------------------------------------------

    def is_full(self, trials: int, sampler: str) -> bool:
        """Whether so many trials have begun, or it is known that the sampler has no other parameters."""
        return self.begun() >= trials or self._is_used_up(sampler)

    def shortfall(self, trials: int, sampler: str) -> str:
        """A sentence where there are fewer trials than asked for, because there are no other parameters; else ""."""
        begun = self.begun()
        return f"{begun} of {trials}: {DONE}" if begun < trials and self._is_used_up(sampler) else ""

    def say_used_up(self, sampler: str) -> None:
        """Keep that the sampler has no other parameters: only where that is sure."""
        self.study.set_user_attr(_key_of(sampler), DONE)

    def _is_used_up(self, sampler: str) -> bool:
        """Studies of an earlier version keep guesses, too: these do not count."""
        return self.study.user_attrs.get(_key_of(sampler)) == DONE

    @property
    def gave_up(self) -> str:
        """Why a worker found no other parameters; "" when none has said so."""
        return str(self.study.user_attrs.get(_GAVE_UP, ""))

    def say_gave_up(self, why: str) -> None:
        """Say it; "" takes it back."""
        if why != self.gave_up:
            self.study.set_user_attr(_GAVE_UP, why)

    # --- what is written of a trial -----------------------------------------------------------------------------------

    def note(self, number: int, key: str, value: str) -> bool:
        """False when the trial has ended: another process was quicker, after the lock was lost."""
        from optuna.exceptions import UpdateFinishedTrialError

        # PostgreSQL's texts take no NUL.
        try:
            self._storage.set_trial_user_attr(self._id(number), key, value.replace("\0", "\\0")[:2000])
        except UpdateFinishedTrialError:
            return False
        return True

    def report(self, number: int, values: Mapping[str, float]) -> None:
        """Values of the reported metric by step, unless the trial has them or has ended."""
        from optuna.exceptions import UpdateFinishedTrialError

        if not values:
            return
        trial_id = self._id(number)
        said = self._storage.get_trial(trial_id).intermediate_values
        try:
            for step, value in values.items():
                if int(step) not in said:
                    self._storage.set_trial_intermediate_value(trial_id, int(step), value)
        except UpdateFinishedTrialError:
            return

    def _id(self, number: int) -> int:
        """Of a trial, in the storage."""
        study = self._storage.get_study_id_from_name(self.study.study_name)
        return self._storage.get_trial_id_from_study_id_trial_number(study, number)

    def tell(self, number: int, state: str, values: list[float] | None = None) -> str:
        """End a trial, unless it has ended.

        Args:
            number: of the trial.
            state: "COMPLETE", "PRUNED" or "FAIL".
            values: of the objectives, when it is complete.

        Returns:
            The state that it has now, in lower case.
        """
        from optuna.exceptions import UpdateFinishedTrialError
        from optuna.samplers import RandomSampler
        from optuna.trial import TrialState

        # Without the sampler's word to it: it has none that it would not find in the study (the grid would stop the study).
        self.study.sampler = RandomSampler(seed=0)
        try:
            told = self.study.tell(number, values, state=TrialState[state], skip_if_finished=True)
        except UpdateFinishedTrialError:  # by another process, or by this one before the database's answer was lost
            return self.state(number).lower()
        return told.state.name.lower()

    def set_aside(self, number: int, why: str) -> None:
        """Make a trial one that does not count, unless it has ended."""
        if self.note(number, ASIDE, why):
            self.tell(number, "FAIL")

    def set_aside_unasked(self) -> None:
        """Trials whose process died while it chose: we hold the lock, so nobody chooses now."""
        for trial in self.trials():
            if trial.state.name == "RUNNING" and FOLDER not in trial.user_attrs:
                self.set_aside(trial.number, ENDED_UNASKED)


def _counts(trial: FrozenTrial) -> bool:
    return ASIDE not in trial.user_attrs and trial.state.name != "WAITING"


def _key_of(sampler: str) -> str:
    """A used-up grid is not yet a used-up space."""
    return _GRID_USED_UP if sampler == "grid" else _USED_UP
