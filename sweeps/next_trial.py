"""Choose a study's next trial: parameters that go together and that no other trial has, and a folder for its run.

Nothing here locks: `sweeps.study.Sweep.claim` does, and looks again at what was chosen when the lock was lost meanwhile.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpc.stage_settings import ConfigError
from sweeps.entries import FOLDER, RUNS, Entries
from sweeps.free import NoneFound, UsedUp, find_free
from sweeps.plan import Plan, StudyError
from sweeps.running import Running, running_trial
from sweeps.runs_folder import folder_id
from sweeps.samplers import make_fixed, make_sampler, suggest
from sweeps.trial_folder import Handle

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler
    from optuna.trial import Trial

_TRIES = 3  # of the sampler, for parameters that no trial has; then it is told some


class NothingFitsError(StudyError):
    """No other parameters that go together were found; there may be some."""


class NextTrial:
    """Chooses it.

    Args:
        entries: the study's trials.
        plan: what the study is about.
    """

    def __init__(self, entries: Entries, plan: Plan) -> None:
        self._entries, self._plan = entries, plan

    def choose(self, folder: Path, handle: Handle, sampler: str, trials: int, seed: int | None) -> Running | None:
        """A new trial; None when there are enough, no other parameters, or none found while others run.

        Arguments and errors: those of `sweeps.study.Sweep.claim`.
        """
        from optuna.exceptions import UpdateFinishedTrialError

        self._entries.set_aside_unasked()
        if self._entries.is_full(trials, sampler):
            return None
        before = self._entries.made()
        # First of all, for what a sampler draws in vain stays in the study.
        free = self._find_free(sampler, _seed_of(seed, before), trials)
        if free is None:
            return None
        for draw in range(_TRIES + 1):
            try:
                asked = self.ask(self._sampler(sampler, seed, before + draw) if draw < _TRIES else make_fixed(free))
                why = self.unfit(asked.number, asked.params)
                if why is None:
                    return self._begin(asked, folder / f"trial-{asked.number:04d}", handle)
            except UpdateFinishedTrialError:  # the lock was lost, and another process set it aside
                continue
            self._entries.set_aside(asked.number, why)
        return None

    def keep(self, chosen: Running, trials: int) -> bool:
        """Whether a trial that was chosen without the lock counts; else it is set aside.

        Args:
            chosen: the trial.
            trials: how many the study shall have in all.
        """
        if self._entries.state(chosen.number) != "RUNNING":
            return False
        why = self.unfit(chosen.number, chosen.params)
        if why is None and sum(trial.number != chosen.number for trial in self._entries.trials()) >= trials:
            why = "another process chose the last trial at the same time"
        if why is not None:
            self._entries.set_aside(chosen.number, why)
        return why is None

    def ask(self, sampler: BaseSampler) -> Trial:
        """A new trial of the study, with the parameters that the sampler draws."""
        study = self._entries.study
        study.sampler = sampler
        trial = study.ask()
        chosen: dict[str, Any] = {}
        for parameter in self._plan.space:
            if self._plan.active(parameter, chosen):
                chosen[parameter.name] = suggest(trial, parameter)
        return trial

    def unfit(self, number: int, params: dict[str, Any]) -> str | None:
        """Why a trial may not have these parameters; None when it may."""
        for other in self._entries.trials():
            if other.number != number and other.params == params:
                return f"the same parameters as trial {other.number}"
        try:
            self._plan.resolved(params)
        except ConfigError as error:
            return f"these parameters do not go together: {error}"
        return None

    def _find_free(self, sampler: str, seed: int, trials: int) -> dict[str, Any] | None:
        """Parameters that no trial has. That there are none is kept in the study, for nobody looks for them again; that none were
        found is not, and is an error as soon as no trial runs that it would end."""
        taken = [trial.params for trial in self._entries.trials()]
        try:
            return find_free(self._plan, taken, grid=sampler == "grid", seed=seed)
        except UsedUp:
            self._entries.say_used_up(sampler)
        except NoneFound as error:
            if not self._entries.running():
                raise NothingFitsError(
                    f"the study has {self._entries.begun()} of {trials} trials, and no other parameters were found: {error}. "
                    "Search what goes together, with a step for example (int(16, 256, 8)), or fewer --trials"
                ) from None
        return None

    def _sampler(self, name: str, seed: int | None, number: int) -> BaseSampler:
        return make_sampler(name, self._plan, (seed or 0) if name == "grid" else _seed_of(seed, number))

    def _begin(self, asked: Trial, folder: Path, handle: Handle) -> Running:
        found = running_trial(self._entries.mark, asked.number, asked.params, folder)
        try:
            found.owner.take(folder, handle)
        except StudyError as error:
            self._entries.set_aside(asked.number, str(error))
            raise
        asked.set_user_attr(RUNS, {"id": folder_id(folder.parent), "host": socket.gethostname()})
        asked.set_user_attr(FOLDER, str(folder))  # the last: now it has begun
        return found


def _seed_of(seed: int | None, number: int) -> int:
    return int.from_bytes(os.urandom(4), "big") if seed is None else (seed * 1_000_003 + number) % 2**32
