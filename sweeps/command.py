"""From the command line to a sweep: everything checked before anything is started or written."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from hpc.stage_settings import absolute_inputs, check_inputs, resolve_settings, training_stages
from sweeps.defaults import SMALL, STAGE, default_objective, default_space
from sweeps.driver import Driver
from sweeps.job import Job, plan_job
from sweeps.launch import LocalLauncher, SlurmLauncher
from sweeps.objective import Objective, parse_objective, steps_of
from sweeps.options import Options
from sweeps.place import Place, find_place
from sweeps.plan import Plan, StudyError, check_name
from sweeps.samplers import check_grid
from sweeps.space import Parameter, SpaceError, from_items, parse_parameter
from sweeps.space_check import check_space
from sweeps.study import Sweep
from sweeps.worker_here import WorkerHere
from sweeps.workers import LocalWorkers, SlurmWorkers, Supervisor

JOURNAL = "study.log"  # in the study's folder
TRIALS = 12
_SLURM_LOOK_S = 15.0  # Slurm is asked no oftener


class Runner(Protocol):
    """Runs a study's trials."""

    def run(self, should_stop: Callable[[], bool]) -> bool:
        """Until the study has its trials; False when it was asked to stop."""
        ...


@dataclass(frozen=True)
class Command:
    """A sweep, ready to run.

    Attributes:
        study: its name.
        plan: what it is about.
        place: the storage.
        folder: of its runs.
        options: how trials are chosen.
        make_driver: what runs them.
        slurm: whether they are jobs.
        where: a sentence.
        notes: more of them.
    """

    study: str
    plan: Plan
    place: Place
    folder: Path
    options: Options
    make_driver: Callable[[Sweep], Runner]
    slurm: bool
    where: str
    notes: tuple[str, ...] = ()

    @property
    def after_stop(self) -> str:
        """What becomes of running trials."""
        return "its jobs go on (scancel ends them)" if self.slurm else "running trials end after a checkpoint"

    @property
    def report_arguments(self) -> str:
        """Of the command that shows the study."""
        default = self.place.path == (self.folder / JOURNAL).resolve() if self.place.kind == "journal" else False
        words = [self.study, "--runs", str(self.folder.parent)]
        words += [] if default or not self.place.spec else ["--storage", self.place.spec]
        return shlex.join(words)


def make_command(given: argparse.Namespace, stage: str | None, settings: list[str]) -> Command:
    """Check it all.

    Args:
        given: the parsed command line of `sweeps.optuna_run`.
        stage: None when none was named: the default's.
        settings: the stage's settings that stay.

    Raises:
        ConfigError, SpaceError, StudyError, ObjectiveError, StorageError, JobError, SlurmError: what is wrong.
    """
    if stage is None:
        stage, settings = STAGE, list(SMALL)
    if stage not in training_stages():
        resolve_settings(stage, settings)  # names the nearest stage
        raise StudyError(f"stage={stage} does not train; sweeps are of stage={', stage='.join(training_stages())}")
    wanted = _space(given, stage)
    space = check_space(stage, settings, wanted)
    objectives = _objectives(given, stage, space)
    if given.study is not None:
        check_name(given.study)
    check_inputs(stage, settings)
    job = plan_job(given, stage, settings)
    plan = Plan(stage, tuple(_fixed(job, space)), tuple(space), tuple(objectives))
    resolved = plan.resolved()
    study = given.study or plan.name
    folder = given.runs.resolve() / study
    place = find_place(given.storage, folder / JOURNAL)
    options = _options(given, plan, resolved, place, job)
    make_driver = _driver(given, folder, options, job)
    kind = "workers" if given.mode == "workers" else "jobs of Slurm" if job.slurm else "local processes"
    where = f"as {kind}" + (f" on Slurm, {given.nodes} nodes each" if job.slurm else "")
    notes = (*job.notes, *_crowded(options, job), *_left_out(wanted, space))
    return Command(study, plan, place, folder, options, make_driver, job.slurm, where, notes)


def _crowded(options: Options, job: Job) -> list[str]:
    """A sentence when more ranks would run here at once than there are cores."""
    ranks, cores = min(options.parallel, options.trials) * job.spec.world_size, len(os.sched_getaffinity(0))
    crowded = not job.slurm and ranks > cores
    return [f"warning: {ranks} ranks at once on {cores} cores of this machine: they will wait for each other"] * crowded


def _left_out(wanted: Sequence[Parameter], space: Sequence[Parameter]) -> list[str]:
    names = {parameter.name for parameter in space}
    return [
        f"left out: {parameter.described}, which does not hold" for parameter in wanted if parameter.name not in names
    ]


def _objectives(given: argparse.Namespace, stage: str, space: Sequence[Parameter]) -> list[Objective]:
    objectives = [parse_objective(text) for text in given.objective or [default_objective(stage)]]
    names = [objective.name for objective in objectives]
    searched = {parameter.name for parameter in space}
    settings = resolve_settings(stage, [])
    for name in names:
        if names.count(name) > 1:
            raise StudyError(f"{name} is an objective twice; leave one of them out")
        if name in settings and name not in searched:
            raise StudyError(f"{name} is the same for every trial, and no objective: search it, or leave it out")
    if len(names) == 1 and names[0] in searched:
        raise StudyError(f"{names[0]} alone is known before a trial runs: give a metric with --objective, too")
    return objectives


def _fixed(job: Job, space: Sequence[Parameter]) -> list[str]:
    """Settings that stay: those of the cluster's profile among them, unless they are searched."""
    searched = {parameter.name for parameter in space}
    return absolute_inputs(
        job.spec.stage, [setting for setting in job.settings if setting.partition("=")[0] not in searched]
    )


def _space(given: argparse.Namespace, stage: str) -> list[Parameter]:
    space = [parse_parameter(text) for text in given.search]
    if given.space is not None:
        from omegaconf import OmegaConf
        from omegaconf.errors import OmegaConfBaseException
        from yaml import YAMLError

        try:
            space += from_items(OmegaConf.to_container(OmegaConf.load(given.space)))
        except (OSError, OmegaConfBaseException, YAMLError, UnicodeDecodeError) as error:
            raise SpaceError(f"the space {given.space} cannot be read: {error}") from None
    return space or default_space(stage)


def _options(given: argparse.Namespace, plan: Plan, resolved: dict[str, Any], place: Place, job: Job) -> Options:
    trials = given.trials if given.trials is not None else TRIALS
    if given.sampler == "grid":
        trials = check_grid(plan.space, given.trials, cut=given.cut_grid)
    for name, value in (("--trials", trials), ("--parallel", given.parallel), ("--retries", given.retries + 1)):
        if value is not None and value < 1:
            raise StudyError(
                f"expected {name} of at least {int(name != '--retries')}, but got {value - (name == '--retries')}"
            )
    if given.seed is not None and not 0 <= given.seed < 2**32:
        raise StudyError(f"expected --seed from 0 to 2**32 - 1, but got {given.seed}")
    several = len(plan.objectives) > 1
    if several and given.pruner not in (None, "none"):
        raise StudyError(
            "a study with several objectives is not pruned: there is no one number to compare; use --pruner none"
        )
    if several and given.sampler == "cmaes":
        raise StudyError("cmaes knows one objective only; use --sampler tpe, gp or random for several")
    pruner = given.pruner or ("none" if several else "asha")
    objective: Objective = plan.objectives[0]
    of_settings = objective.name in resolved
    steps, every = _steps(resolved, objective)
    return Options(
        storage=place.spec, trials=trials, parallel=given.parallel or (4 if job.slurm else 2), sampler=given.sampler, pruner=pruner,
        seed=given.seed, retries=given.retries, metric="" if several or of_settings else objective.name, steps=steps, every=every,
        nodes=job.spec.nodes, ranks_per_node=job.spec.ranks_per_node, controller=job.spec.controller,
    )  # fmt: skip


def _steps(resolved: dict[str, Any], objective: Objective) -> tuple[int, int]:
    """Steps of a run, and between two reports of the objective."""
    steps = steps_of(resolved)
    often = "train.validate_every" if objective.name.startswith("validation/") else "train.log_every"
    return steps, int(resolved.get(often, 1)) or steps


def _driver(given: argparse.Namespace, folder: Path, options: Options, job: Job) -> Callable[[Sweep], Runner]:
    if given.mode == "workers" and given.cluster == "auto" and os.environ.get("SLURM_JOB_ID"):
        return lambda sweep: WorkerHere(sweep, folder, options)
    ranks = job.spec.world_size
    threads = max(1, len(os.sched_getaffinity(0)) // (options.parallel * ranks))
    look_s = _SLURM_LOOK_S if job.slurm else 1.0
    if given.mode == "workers":
        places = SlurmWorkers(job.spec) if job.slurm else LocalWorkers(ranks, threads)
        return lambda sweep: Supervisor(sweep, folder, places, options, look_s)
    launcher = SlurmLauncher(job.request) if job.slurm else LocalLauncher(ranks, threads)
    return lambda sweep: Driver(sweep, folder, launcher, options, look_s)


def say(command: Command) -> Sequence[str]:
    """What would be done, for people."""
    plan, options = command.plan, command.options
    lines = [
        f"study {command.study}: {options.trials} trials of stage {plan.stage}, {options.parallel} at once, {command.where}",
        f"  in {command.place.label}; runs in {command.folder}",
        f"  settings: {' '.join(plan.settings) or 'the defaults'}",
        *(f"  {note}" for note in command.notes),
        *(f"  search: {parameter.described}" for parameter in plan.space),
        f"  objective: {', '.join(map(str, plan.objectives))}; sampler {options.sampler}, pruner {options.pruner}",
    ]
    system = command.place.network
    if system:
        lines.append(
            f"  warning: the journal is on a network file system ({system}); for several hosts use PostgreSQL (--storage)"
        )
    return lines
