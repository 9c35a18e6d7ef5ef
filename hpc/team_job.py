"""Jobs of Slurm whose ranks run a function of Python's, and which of such jobs are still there."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from hpc.job import JobSpec, submitit_parameters
from hpc.slurm_query import SlurmError, _ask


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
    folder.mkdir(parents=True, exist_ok=True)
    executor = submitit.AutoExecutor(folder=folder, cluster="slurm")
    executor.update_parameters(**submitit_parameters(spec))
    try:
        job = executor.submit(function, *arguments)
    except submitit.core.utils.FailedJobError as error:
        raise SlurmError(f"Slurm refused the job (account, QoS, limits?): {error}") from error
    return str(job.job_id)


def present_jobs(job_ids: Iterable[str]) -> set[str]:
    """Those that wait, run, or end just now: one question to Slurm, which needs no accounting.

    Raises:
        SlurmError: Slurm does not answer.
    """
    wanted = sorted(set(job_ids))
    if not wanted:
        return set()
    try:
        answer = _ask("squeue", "--noheader", "--format=%i", f"--jobs={','.join(wanted)}")
    except SlurmError as error:
        if "Invalid job id" in str(error):  # of a single job that ended long ago
            return set()
        raise
    return set(answer.split()) & set(wanted)


def seconds_left(environ: Mapping[str, str] = os.environ) -> float:
    """Until the time limit of the job that this process is in; infinite outside of one, or without a limit.

    Slurm's own variables for it are empty before 23.02, so it is asked.
    """
    job = environ.get("SLURM_JOB_ID")
    if not job:
        return math.inf
    try:
        return parse_left(_ask("squeue", "--noheader", "--format=%L", f"--jobs={job}"))
    except SlurmError:
        return math.inf


def parse_left(text: str) -> float:
    """Seconds of squeue's "1-02:03:04", "2:03:04" or "3:04"; infinite for "UNLIMITED" and the like."""
    match = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)", text.strip())
    if match is None:
        return math.inf
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60.0 + seconds


def requeue_job(job_id: str) -> None:
    """End a job of ours and have it start anew, under the same number.

    Raises:
        SlurmError: Slurm refused, or does not answer.
    """
    _ask("scontrol", "requeue", job_id)
