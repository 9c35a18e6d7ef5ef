"""Trials in a folder of runs that is not seen here: whether somebody runs them cannot be known, so they are left alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sweeps.entries import FOLDER, RUNS
from sweeps.plan import StudyError
from sweeps.study import Sweep

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial


class Unseen:
    """Says them.

    Args:
        sweep: the study, as it is seen from a folder of runs.
    """

    def __init__(self, sweep: Sweep) -> None:
        self._sweep = sweep
        self._said: set[int] = set()

    def say(self) -> None:
        """Each of them once."""
        for trial in self._sweep.unseen():
            if trial.number not in self._said:
                self._said.add(trial.number)
                print(f"{_where(trial)}, which is not seen here: it is left to that folder's drivers", flush=True)

    def check(self) -> None:
        """See at a study's end that there are none.

        Raises:
            StudyError: there are, and nobody here can end them.
        """
        left = self._sweep.unseen()
        if left:
            number = left[0].number
            raise StudyError(
                f"all trials that are seen here have ended, but {'; '.join(map(_where, left))}, which is not seen here: nobody "
                "here knows how it stands. Go on there with the same command, or move that folder to --runs here; if it is lost, "
                f"end the trial: optuna tell --trial-number {number} --state fail (docs/sweeps.md)"
            )


def _where(trial: FrozenTrial) -> str:
    host = trial.user_attrs[RUNS].get("host", "another host")
    return f"trial {trial.number} is in {trial.user_attrs[FOLDER]}, begun on {host}"
