"""World layout: which of how many processes this one is, read once from the launcher's environment.

Ranks are counted over the whole job, local ranks within one node, as MPI and Horovod count them.
"""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass

# Per launcher: the variables of rank, world size, local rank and local size. Order matters: under `srun --mpi=pmix` both
# Slurm's and PMIx's variables exist, and the innermost launcher is right (mpirun inside an sbatch script sees Slurm's too).
_LAUNCHERS: tuple[tuple[str, tuple[str, str, str, str]], ...] = (
    ("horovodrun", ("HOROVOD_RANK", "HOROVOD_SIZE", "HOROVOD_LOCAL_RANK", "HOROVOD_LOCAL_SIZE")),
    (
        "mpirun",
        (
            "OMPI_COMM_WORLD_RANK",
            "OMPI_COMM_WORLD_SIZE",
            "OMPI_COMM_WORLD_LOCAL_RANK",
            "OMPI_COMM_WORLD_LOCAL_SIZE",
        ),
    ),
    ("srun", ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", "SLURM_STEP_TASKS_PER_NODE")),
)


@dataclass(frozen=True)
class World:
    """Layout of one job as one of its processes sees it.

    Attributes:
        rank: 0 to size - 1.
        size: number of processes in the job.
        local_rank: 0 to local_size - 1, within this node.
        local_size: processes of this job on this node.
        source: the launcher whose environment was read: "horovodrun", "mpirun", "srun", or "single process".
        host: this node's host name.
        job_id: id of the Slurm job that this process is inside of, or None outside Slurm.
    """

    rank: int
    size: int
    local_rank: int
    local_size: int
    source: str
    host: str
    job_id: str | None

    def __post_init__(self) -> None:
        """Refuse a layout that cannot be: every later error would be harder to read."""
        if not (0 <= self.rank < self.size and 0 <= self.local_rank < self.local_size <= self.size):
            raise ValueError(
                f"the environment of {self.source} describes an impossible world: rank {self.rank} of {self.size}, local "
                f"rank {self.local_rank} of {self.local_size}; expected 0 <= rank < size and 0 <= local rank < local size"
            )


def read_world(environ: Mapping[str, str] = os.environ) -> World:
    """Read the world layout from a launcher's environment; one process when there is no launcher.

    Raises:
        ValueError: a launcher's variables are there but are not numbers, or contradict each other.
    """
    host, job_id = socket.gethostname(), environ.get("SLURM_JOB_ID")
    for source, names in _LAUNCHERS:
        if any(name not in environ for name in names):
            continue
        rank, size, local_rank = (_number(environ, name) for name in names[:3])
        local_size = _tasks_here(environ) if source == "srun" else _number(environ, names[3])
        return World(rank, size, local_rank, local_size, source, host, job_id)
    return World(0, 1, 0, 1, "single process", host, job_id)


def without_launcher(environ: Mapping[str, str]) -> dict[str, str]:
    """An environment for processes that a launcher of their own starts, or none: this process's place in a world is not theirs.

    In a shell under `srun --pty` a single process would else take itself for a rank of that step.
    """
    theirs = {name for _, names in _LAUNCHERS for name in names}
    return {name: value for name, value in environ.items() if name not in theirs}


def _number(environ: Mapping[str, str], name: str) -> int:
    try:
        return int(environ[name])
    except ValueError:
        raise ValueError(f"expected a whole number in {name}, but got {environ[name]!r}") from None


def _tasks_here(environ: Mapping[str, str]) -> int:
    """Tasks on this node, from Slurm's run-length form: "2(x3),1" stands for 2, 2, 2, 1 tasks on nodes 0 to 3."""
    node = _number({"SLURM_NODEID": "0", **environ}, "SLURM_NODEID")
    text = environ["SLURM_STEP_TASKS_PER_NODE"]
    try:
        for part in text.split(","):
            tasks, _, repeat = part.partition("(x")
            nodes = int(repeat.rstrip(")")) if repeat else 1
            if node < nodes:
                return int(tasks)
            node -= nodes
    except ValueError:
        pass
    raise ValueError(f"expected SLURM_STEP_TASKS_PER_NODE like '2(x3),1' covering this node, but got {text!r}")
