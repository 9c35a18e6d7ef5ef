"""What each trial or worker is asked of the cluster: as `hpc.submit` would ask for it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace

from hpc.job import JobSpec, parse_minutes
from hpc.plan import make_plan
from hpc.request import Request

_NAME = "trial"  # stands for the folders of all


@dataclass(frozen=True)
class Job:
    """A job of the study, without its folder.

    Attributes:
        request: what is asked, with the settings that stay.
        spec: what becomes of it by the cluster's profile.
        slurm: whether it is a job of Slurm's; else it is of local processes.
        notes: sentences for people.
    """

    request: Request
    spec: JobSpec
    slurm: bool
    notes: tuple[str, ...]

    @property
    def settings(self) -> tuple[str, ...]:
        """The stage's settings that stay: the profile's for this GPU, and then those that were asked for."""
        return self.spec.overrides


def plan_job(given: argparse.Namespace, stage: str, settings: Sequence[str]) -> Job:
    """Work it out, and find what would stop every trial.

    Args:
        given: the parsed command line of `sweeps.optuna_run`.
        stage: name of the stage.
        settings: its "key=value" settings that stay.

    Raises:
        ConfigError, JobError, SlurmError: see `hpc.plan.make_plan`.
    """
    request = Request(
        stage, tuple(settings), runs=given.runs.resolve() / (given.study or stage), name=_NAME, where=given.cluster,
        profile=given.profile, nodes=given.nodes, ranks_per_node=given.ranks_per_node, gpus_per_node=given.gpus_per_node,
        cpus_per_rank=given.cpus_per_rank, minutes=None if given.time is None else parse_minutes(given.time),
        partition=given.partition, account=given.account, qos=given.qos, controller=given.controller, exclude=given.exclude,
        restarts=0,
    )  # fmt: skip
    found = make_plan(request)
    slurm = found.where == "slurm"
    return Job(replace(request, where=found.where), found.spec, slurm, found.notes if slurm else ())
