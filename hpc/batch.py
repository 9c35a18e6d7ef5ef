"""The way into Slurm's queue: through submitit, with the code of a snapshot."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hpc.job import JobSpec, submitit_parameters
from hpc.slurm_query import SlurmError


def python_of(code: Path) -> list[str]:
    """A command that runs Python's modules out of a folder of code, whatever folder the job runs in.

    Args:
        code: what `hpc.snapshot.take_snapshot` returned, or the checkout.
    """
    return [sys.executable, "-u", str(code / "hpc" / "start.py")]


def sbatch(spec: JobSpec, code: Path, function: Callable[..., Any], *arguments: Any, after: Sequence[str] = ()) -> str:
    """Submit a job whose every rank calls `function(*arguments)`. Its pickles and logs are readable by their owner only.

    Args:
        spec: nodes, ranks, partition, time; the job's output is in `run_dir`/submitit.
        code: folder of the code that it runs.
        function: of a module, so that it can be named in the job.
        arguments: what pickle can hold; no secrets.
        after: a command that is run on the first node when the ranks have ended, with their exit status as its last word.

    Returns:
        The job's number.

    Raises:
        SlurmError: Slurm refused it, or does not answer.
        OSError: the folder cannot be written.
    """
    import submitit

    folder = spec.run_dir / "submitit"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    executor = submitit.AutoExecutor(
        folder=folder, cluster="slurm", slurm_python=shlex.join(python_of(code)), slurm_max_num_timeout=spec.restarts
    )
    executor.update_parameters(**submitit_parameters(spec, after))
    try:
        job = executor.submit(function, *arguments)
    except submitit.core.utils.FailedJobError as error:
        raise SlurmError(f"Slurm refused the job (account, QoS, limits?): {error}") from error
    return str(job.job_id)
