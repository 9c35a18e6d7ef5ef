"""Rank 0's word to the study while a trial runs: what the run reports, and whether it is to be pruned."""

from __future__ import annotations

import math
import threading
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
_PATIENCE_S = 1.0  # for one that refuses
_WAIT_S = 2.0  # for an answer, while the run stands still; what comes later counts for a later step
_LAST_WAIT_S = 10.0  # at the run's end
_AGAIN_S = 1.0  # between two questions then


class Listener:
    """`hpc.listen.Listen` for one trial. A storage that is away keeps nothing from training: what was not said is said later. It is
    asked by a thread, as a server that hangs, or a network that is cut, neither answers nor fails.

    Args:
        task: of the trial.
    """

    def __init__(self, task: Task) -> None:
        self._task = task
        self._trial: Trial | None = None
        self._unsaid: dict[int, float] = {}
        self._said: set[int] = set()
        self._quiet_until = 0.0
        self._saying: threading.Thread | None = None
        self.pruned_at: int | None = None

    def __call__(self, step: int, metrics: Mapping[str, float]) -> bool:
        """Report, and ask whether to prune. Never takes longer than a moment."""
        value = metrics.get(self._task.metric)
        if value is None:
            return self.pruned_at is not None
        if math.isfinite(value):
            self._unsaid[step] = float(value)
        if time.monotonic() >= self._quiet_until and not self._is_saying() and not self._say_within(_WAIT_S, step):
            self._be_quiet(f"the study's storage did not answer within {_WAIT_S:g} s")
        return self.pruned_at is not None

    def finish(self) -> dict[str, float]:
        """Say what was not said yet; what the storage does not take is returned, by step."""
        until = time.monotonic() + _LAST_WAIT_S
        if self._saying is not None:
            self._saying.join(_LAST_WAIT_S)
        # Again: the first question after a restart of the database may go to a connection that is no more.
        while self._unsaid and not self._is_saying() and (left := until - time.monotonic()) > 0:
            if self._say_within(left, None) and self._unsaid:
                time.sleep(min(_AGAIN_S, left))
        return {str(step): value for step, value in sorted(self._unsaid.items())}

    def _is_saying(self) -> bool:
        return self._saying is not None and self._saying.is_alive()

    def _say_within(self, seconds: float, step: int | None) -> bool:
        import optuna  # takes long, and not because of the storage

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._saying = threading.Thread(target=self._say, args=(step,), daemon=True)
        self._saying.start()
        self._saying.join(seconds)
        return not self._saying.is_alive()

    def _say(self, step: int | None) -> None:
        """In a thread of its own: report, and see whether to prune at a step."""
        try:
            trial = self._open()
            for one in sorted(self._unsaid):
                if one not in self._said:  # before its process was gone, and it went on from a checkpoint
                    trial.report(self._unsaid[one], one)
                    self._said.add(one)
                del self._unsaid[one]
            prunes = step is not None and self._task.pruner != "none" and self.pruned_at is None
            if prunes and trial.should_prune():
                self.pruned_at = step
        except Exception as error:  # whatever is wrong with the study: a healthy run does not end by it
            self._be_quiet(
                str(error) if isinstance(error, StorageError) else f"the study: {type(error).__name__}: {error}"
            )

    def _be_quiet(self, why: str) -> None:
        print(f"{why}; the trial goes on, and reports later", flush=True)
        self._quiet_until = time.monotonic() + _AWAY_S

    def _open(self) -> Trial:
        if self._trial is None:
            import optuna

            task = self._task
            storage = open_storage(place_of(task.storage), patience_s=_PATIENCE_S, first_s=_PATIENCE_S)
            pruner = make_pruner(task.pruner, task.steps, task.every)
            study = optuna.load_study(study_name=task.study, storage=storage.optuna, pruner=pruner)
            trial_id = storage.optuna.get_trial_id_from_study_id_trial_number(
                storage.optuna.get_study_id_from_name(task.study), task.number
            )
            self._said = set(storage.optuna.get_trial(trial_id).intermediate_values)
            self._trial = optuna.Trial(study, trial_id)
        return self._trial
