"""What is submitted, as one validated value, and what it becomes: submitit's parameters, or a local command. Pure functions."""

import hashlib
import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hpc.gloo_launch import gloo_launcher

CONTROLLERS = ("mpi", "gloo")
# Slurm's forms: minutes, minutes:seconds, hours:minutes:seconds, days-hours, days-hours:minutes, days-hours:minutes:seconds.
_TIME = re.compile(
    r"(?P<days>\d+)-(?P<dh>\d{1,2})(?::(?P<dm>\d{2})(?::(?P<ds>\d{2}))?)?"
    r"|(?:(?P<h>\d+):)?(?P<m>\d+):(?P<s>\d{2})|(?P<only>\d+)"
)


class JobError(ValueError):
    """A job that cannot be submitted as asked; the text says what was wrong, the rule, and the fix."""


@dataclass(frozen=True)
class JobSpec:
    """One job: a stage, its overrides, and where it runs.

    Attributes:
        stage: name of the stage.
        overrides: the stage's "key=value" settings.
        run_dir: the run's folder, on a file system that all nodes see; its name is the job's.
        nodes: number of nodes.
        ranks_per_node: Horovod ranks on each.
        gpus_per_node: GPUs asked for on each node, all visible to all its ranks; 0 for none.
        cpus_per_rank: cores for each rank.
        minutes: time limit.
        partition: Slurm partition; None takes the cluster's default.
        account, qos: Slurm's, None for the user's own default.
        exclude: nodes that it must not run on, as Slurm writes them: "t4-1,t4-3" or "t4-[1-3]".
        after: ids of jobs that must have ended well before.
        setup: lines of shell before the ranks start, "module load openmpi" for example.
        controller: how Horovod's ranks find each other: "mpi" (PMIx) or "gloo", which needs no MPI.
        restarts: how often it may go on by itself.
    """

    stage: str
    overrides: tuple[str, ...]
    run_dir: Path
    nodes: int = 1
    ranks_per_node: int = 1
    gpus_per_node: int = 0
    cpus_per_rank: int = 1
    minutes: int = 60
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    exclude: str | None = None
    after: tuple[str, ...] = ()
    setup: tuple[str, ...] = ()
    controller: str = "mpi"
    restarts: int = 20

    def __post_init__(self) -> None:
        """Refuse counts that no job can have."""
        for name, least in (
            ("nodes", 1),
            ("ranks_per_node", 1),
            ("gpus_per_node", 0),
            ("cpus_per_rank", 1),
            ("minutes", 1),
            ("restarts", 0),
        ):
            if getattr(self, name) < least:
                option = "--" + name.replace("_", "-")
                raise JobError(f"expected {option} of at least {least}, but got {getattr(self, name)}")
        for name in ("partition", "account", "qos", "exclude"):
            value = getattr(self, name) or ""
            if not value.isprintable() or value != value.strip():
                # They stand in comment lines of the batch script, which end where the line does, whatever the quotes.
                raise JobError(f"expected --{name} without line breaks and the like, but got {value!r}")
        if self.controller not in CONTROLLERS:
            raise JobError(f"expected --controller mpi or gloo, but got {self.controller!r}")

    @property
    def world_size(self) -> int:
        """Ranks in all."""
        return self.nodes * self.ranks_per_node

    @property
    def mark(self) -> str:
        """By which Slurm's job is known as this run's."""
        return mark_of(self.run_dir)

    @property
    def warn_s(self) -> int:
        """Seconds before the time limit at which the run is asked to stop: a tenth of the limit, from 6 s to 5 minutes."""
        return min(300, 6 * self.minutes)


def mark_of(run_dir: Path) -> str:
    """A job's comment, by which it is known as the run's also when the submission was killed before it wrote down the job's id."""
    return f"v2a:{hashlib.sha256(os.path.realpath(run_dir).encode()).hexdigest()[:16]}"


def parse_minutes(text: str) -> int:
    """A time limit as Slurm writes it: "90" minutes, "90:00", "1:30:00", "2-12" days and hours, "2-00:00:00".

    Returns:
        Whole minutes, rounded up.

    Raises:
        JobError: any other form, or zero.
    """
    match = _TIME.fullmatch(text)
    if match is None:
        raise JobError(f"expected a time like 90 (minutes), 1:30:00 or 2-00:00:00, but got {text!r}")
    part = {name: int(value) if value else 0 for name, value in match.groupdict().items()}
    hours = part["days"] * 24 + part["dh"] + part["h"]
    seconds = hours * 3600 + (part["dm"] + part["m"] + part["only"]) * 60 + part["ds"] + part["s"]
    if seconds == 0:
        raise JobError(f"expected a time of at least one minute, but got {text!r}")
    return -(-seconds // 60)


def submitit_parameters(spec: JobSpec, after_srun: Sequence[str] = ()) -> dict[str, object]:
    """Parameters of submitit's Slurm executor.

    Args:
        spec: the job.
        after_srun: a command that is run on the first node when the ranks have ended, with their exit status as its last word.
    """
    # PMIx starts the MPI ranks. A rank that fails ends the others at once, which would else wait for it. Slurm 22.05
    # to 23.02 does not hand --cpus-per-task on to srun.
    srun = ["--mpi=pmix"] if spec.controller == "mpi" else []
    parameters: dict[str, object] = {
        "name": spec.run_dir.name,
        "slurm_comment": spec.mark,
        "nodes": spec.nodes,
        "tasks_per_node": spec.ranks_per_node,
        "cpus_per_task": spec.cpus_per_rank,
        "timeout_min": spec.minutes,
        "slurm_signal_delay_s": spec.warn_s,
        "slurm_srun_args": [*srun, "--kill-on-bad-exit=1", f"--cpus-per-task={spec.cpus_per_rank}"],
        # A batch shell that TERM ends when the job is preempted would take the job with it; one with a trap waits for srun.
        "slurm_setup": ["trap : TERM USR2", *spec.setup],
        "slurm_additional_parameters": _more(spec),
    }
    if after_srun:
        parameters["slurm_teardown"] = ["status=$?", f'{shlex.join(after_srun)} "$status"']
    chosen = {"partition": spec.partition, "account": spec.account, "qos": spec.qos, "exclude": spec.exclude}
    return parameters | {f"slurm_{name}": value for name, value in chosen.items() if value}


def _more(spec: JobSpec) -> dict[str, object]:
    """What submitit has no name for."""
    found: dict[str, object] = {"requeue": True}
    if spec.gpus_per_node:
        # Not --gpus-per-task: it shows each task one GPU only, and NCCL between the GPUs of a node is slower then.
        found["gres"] = f"gpu:{spec.gpus_per_node}"
    if spec.after:
        found["dependency"] = "afterok:" + ":".join(spec.after)
        found["kill-on-invalid-dep"] = "yes"
    return found


def local_command(spec: JobSpec, python: str, shares_tasks: bool = False) -> list[str]:
    """The same job as processes of this machine: by Horovod where several ranks train, plain ones where they share tasks."""
    worker = [python, "-m", "hpc.worker", "--run-dir", str(spec.run_dir)]
    several = spec.world_size > 1
    worker += ["--processes", str(spec.world_size)] if several and shares_tasks else []
    worker += [f"stage={spec.stage}", *spec.overrides]
    if shares_tasks or not several:
        return worker
    return [*gloo_launcher(python, spec.world_size), *worker]
