"""Which jobs of Slurm's are still there, by their marks and numbers, and how much time this one has left."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping

from hpc.job import JobSpec
from hpc.slurm_query import SlurmError, ask, my_jobs, seconds_left


def find_team(spec: JobSpec) -> str | None:
    """The job of a folder that waits or runs, by its mark: whoever submitted it may have died before it said so.

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
        answer = ask("squeue", "--noheader", "--format=%A", f"--jobs={','.join(wanted)}")
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
