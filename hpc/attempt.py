"""What submitit starts on every rank of a Slurm job."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hpc.worker import Means, run

Program = Callable[[str, Sequence[str], Path, Means], Any]  # of `hpc.worker.run`'s form


class Attempt:
    """One rank of a run, until its end or until it is asked to stop.

    Args:
        stage: its name.
        overrides: its "key=value" settings.
        run_dir: the run's folder.
        controller: "mpi" or "gloo".
        program: what is called.
    """

    def __init__(
        self, stage: str, overrides: Sequence[str], run_dir: Path, controller: str, program: Program = run
    ) -> None:
        self._stage, self._overrides, self._run_dir, self._controller = stage, list(overrides), run_dir, controller
        self._program = program

    def __call__(self) -> Any:
        """The stage's final metrics."""
        return self._program(self._stage, self._overrides, self._run_dir, Means(controller=self._controller))

    def checkpoint(self) -> Any:
        """For submitit, which hears the warning before the training does and after it: the same again, from the last checkpoint."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)
