"""Jobs of Slurm whose ranks run a function of Python's, and which of such jobs are still there."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from hpc.job import JobSpec, submitit_parameters
from hpc.slurm_query import SlurmError, _ask, my_jobs, seconds_left


def submit_team(spec: JobSpec, function: Callable[..., Any], *arguments: Any) -> str:
    """Submit a job whose every rank calls `function(*arguments)`.

    Args:
        spec: nodes, ranks, partition, time; its output is in `run_dir`/submitit.
        function: of a module, so that it can be named in the job.
        arguments: what pickle can hold; no secrets.

    Returns:
        The job's number.

    Raises:
        SlurmError: Slurm refused it, or does not answer.
        OSError: the folder cannot be written.
    """
    import submitit

    folder = spec.run_dir / "submitit"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    executor = submitit.AutoExecutor(folder=folder, cluster="slurm")
    executor.update_parameters(**submitit_parameters(spec))
    try:
        job = executor.submit(function, *arguments)
    except submitit.core.utils.FailedJobError as error:
        raise SlurmError(f"Slurm refused the job (account, QoS, limits?): {error}") from error
    return str(job.job_id)


def find_team(spec: JobSpec) -> str | None:
    """The job of such a submission that waits or runs, by its mark: whoever submitted it may have died before it said so.

    Raises:
        SlurmError: Slurm does not answer.
    """
    for job in my_jobs().values():
        if job.mark == spec.mark and (job.waits or job.runs) and job.state != "COMPLETING":
            return job.job_id
    return None


def present_jobs(job_ids: Iterable[str]) -> set[str]:
    """Those that wait, run, or end just now: one question to Slurm, which needs no accounting.

    Raises:
        SlurmError: Slurm does not answer.
    """
    wanted = sorted(set(job_ids))
    if not wanted:
        return set()
    try:
        answer = _ask("squeue", "--noheader", "--format=%A", f"--jobs={','.join(wanted)}")
    except SlurmError as error:
        if "Invalid job id" in str(error):  # of a single job that ended long ago
            return set()
        raise
    return set(answer.split()) & set(wanted)


def time_left(environ: Mapping[str, str] = os.environ) -> float:
    """Seconds until the time limit of the job that this process is in; infinite outside of one, or without a limit."""
    job = environ.get("SLURM_JOB_ID")
    if not job:
        return math.inf
    try:
        left = seconds_left(job)
    except SlurmError:
        return math.inf
    return math.inf if left is None else float(left)
