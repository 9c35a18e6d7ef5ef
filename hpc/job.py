"""What is submitted, as one validated value, and what it becomes: submitit's parameters, or a local command. Pure functions."""

import re
from dataclasses import dataclass
from pathlib import Path

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
        run_dir: the run's folder, on a file system that all nodes see.
        nodes: number of nodes.
        ranks_per_node: Horovod ranks on each.
        gpus_per_node: GPUs asked for on each node, all visible to all its ranks; 0 for none.
        cpus_per_rank: cores for each rank.
        minutes: time limit.
        partition: Slurm partition; None takes the cluster's default.
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

    def __post_init__(self) -> None:
        """Refuse counts that no job can have."""
        for name, least in (
            ("nodes", 1),
            ("ranks_per_node", 1),
            ("gpus_per_node", 0),
            ("cpus_per_rank", 1),
            ("minutes", 1),
        ):
            if getattr(self, name) < least:
                option = "--" + name.replace("_", "-")
                raise JobError(f"expected {option} of at least {least}, but got {getattr(self, name)}")

    @property
    def world_size(self) -> int:
        """Ranks in all."""
        return self.nodes * self.ranks_per_node


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


def submitit_parameters(spec: JobSpec) -> dict[str, object]:
    """Parameters of submitit's Slurm executor."""
    parameters: dict[str, object] = {
        "name": f"v2a-{spec.stage}",
        "nodes": spec.nodes,
        "tasks_per_node": spec.ranks_per_node,
        "cpus_per_task": spec.cpus_per_rank,
        "timeout_min": spec.minutes,
        # PMIx starts the MPI ranks. A rank that fails ends the others at once, which would else wait for it. Slurm 22.05
        # to 23.02 does not hand --cpus-per-task on to srun.
        "slurm_srun_args": ["--mpi=pmix", "--kill-on-bad-exit=1", f"--cpus-per-task={spec.cpus_per_rank}"],
    }
    if spec.partition is not None:
        parameters["slurm_partition"] = spec.partition
    if spec.gpus_per_node:
        # Not --gpus-per-task: it shows each task one GPU only, and NCCL between the GPUs of a node is slower then.
        parameters["slurm_additional_parameters"] = {"gres": f"gpu:{spec.gpus_per_node}"}
    return parameters


def local_command(spec: JobSpec, python: str, shares_tasks: bool = False) -> list[str]:
    """The same job as processes of this machine: `horovodrun` when several ranks train, plain processes when they share tasks."""
    worker = [python, "-m", "hpc.worker", "--run-dir", str(spec.run_dir)]
    several = spec.world_size > 1
    worker += ["--processes", str(spec.world_size)] if several and shares_tasks else []
    worker += [f"stage={spec.stage}", *spec.overrides]
    if shares_tasks or not several:
        return worker
    launcher = [
        python,
        "-m",
        "horovod.runner.launch",
        "-np",
        str(spec.world_size),
        "--gloo",
        "--network-interfaces",
        "lo",
    ]
    return [*launcher, *worker]
