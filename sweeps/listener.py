"""Rank 0's word to the study while a trial runs: what the run reports, and whether it is to be pruned."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from sweeps.place import StorageError, place_of
from sweeps.samplers import make_pruner
from sweeps.storage import open_storage
from sweeps.trial_folder import Task

if TYPE_CHECKING:
    from optuna.trial import Trial

_AWAY_S = 20.0  # after it was away, the storage is not asked again for so long: training goes on meanwhile


class Listener:
    """`hpc.listen.Listen` for one trial. A storage that is away keeps nothing from training: what was not said is said later.

    Args:
        task: of the trial.
    """

    def __init__(self, task: Task) -> None:
        self._task = task
        self._trial: Trial | None = None
        self._unsaid: dict[int, float] = {}
        self._said: set[int] = set()
        self._quiet_until = 0.0
        self.pruned_at: int | None = None

    def __call__(self, step: int, metrics: Mapping[str, float]) -> bool:
        """Report, and ask whether to prune."""
        value = metrics.get(self._task.metric)
        if value is None:
            return self.pruned_at is not None
        if math.isfinite(value):
            self._unsaid[step] = float(value)
        if time.monotonic() >= self._quiet_until and self._say() and self.pruned_at is None and self._should_prune():
            self.pruned_at = step
        return self.pruned_at is not None

    def finish(self) -> None:
        """Say what was not said yet."""
        if self._unsaid:
            self._say()

    def _say(self) -> bool:
        try:
            trial = self._open()
            for step in sorted(self._unsaid):
                if step not in self._said:  # before its process was gone, and it went on from a checkpoint
                    trial.report(self._unsaid[step], step)
                    self._said.add(step)
                del self._unsaid[step]
        except StorageError as error:
            print(f"{error}; the trial goes on, and reports later", flush=True)
            self._quiet_until = time.monotonic() + _AWAY_S
            return False
        return True

    def _should_prune(self) -> bool:
        assert self._trial is not None
        try:
            return self._task.pruner != "none" and self._trial.should_prune()
        except StorageError:
            return False

    def _open(self) -> Trial:
        if self._trial is None:
            import optuna

            optuna.logging.set_verbosity(optuna.logging.WARNING)
            task = self._task
            storage = open_storage(place_of(task.storage), patience_s=1.0, first_s=1.0)
            pruner = make_pruner(task.pruner, task.steps, task.every)
            study = optuna.load_study(study_name=task.study, storage=storage.optuna, pruner=pruner)
            trial_id = storage.optuna.get_trial_id_from_study_id_trial_number(
                storage.optuna.get_study_id_from_name(task.study), task.number
            )
            self._said = set(storage.optuna.get_trial(trial_id).intermediate_values)
            self._trial = optuna.Trial(study, trial_id)
        return self._trial
