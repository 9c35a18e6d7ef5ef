"""What can be wrong with a job is said before it waits in the queue. Nothing here needs torch."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
from pathlib import Path

from hpc.job import JobError, JobSpec
from hpc.partitions import Partition, nodes_among

_LEAST_FREE_BYTES = 1 << 30
# The last torch on the package index whose default wheel has kernels for sm_70; later ones need the build for CUDA 12.6.
_LAST_FOR_V100 = (2, 10)


def check_fits(spec: JobSpec, known: dict[str, Partition]) -> None:
    """Refuse what the queue could never start.

    Raises:
        JobError: no such partition, too few nodes in it, or too few GPUs or cores on them.
    """
    partition = _partition(spec, known)
    name = partition.name
    if spec.nodes > partition.nodes:
        raise JobError(f"partition {name} has {partition.nodes} nodes, but --nodes {spec.nodes} were asked for")
    if spec.gpus_per_node > partition.gpus:
        raise JobError(
            f"the nodes of partition {name} have {partition.gpus} GPUs each, but --gpus-per-node {spec.gpus_per_node} were asked"
        )
    fitting = partition.nodes_with(spec.gpus_per_node, spec.ranks_per_node * spec.cpus_per_rank)
    wanted = spec.ranks_per_node * spec.cpus_per_rank
    if wanted > partition.cpus:
        raise JobError(
            f"the nodes of partition {name} have {partition.cpus} cores each, but --ranks-per-node {spec.ranks_per_node} "
            f"times --cpus-per-rank {spec.cpus_per_rank} asks for {wanted}"
        )
    if spec.nodes > fitting:
        raise JobError(
            f"partition {name} has {fitting} nodes with {spec.gpus_per_node} GPUs and {wanted} cores, but --nodes {spec.nodes} "
            "were asked for; ask for fewer nodes, or for less of each"
        )


def check_excluded(spec: JobSpec, known: dict[str, Partition]) -> None:
    """Refuse to keep away from so many nodes that too few are left.

    Raises:
        JobError: it does.
        hpc.slurm_query.SlurmError: Slurm does not answer, or knows none of these names.
    """
    if not spec.exclude:
        return
    partition = _partition(spec, known)
    left = partition.nodes - nodes_among(partition.name, spec.exclude)
    if spec.nodes > left:
        raise JobError(
            f"partition {partition.name} has {left} nodes without {spec.exclude}, but --nodes {spec.nodes} were asked for; "
            "exclude fewer"
        )


def check_gpus(spec: JobSpec, together: bool) -> None:
    """Refuse ranks that train together with less than a GPU each: NCCL does.

    Raises:
        JobError: they would.
    """
    if together and 0 < spec.gpus_per_node < spec.ranks_per_node:
        raise JobError(
            f"expected a GPU for each rank, but --ranks-per-node {spec.ranks_per_node} would share --gpus-per-node "
            f"{spec.gpus_per_node}; say --ranks-per-node {spec.gpus_per_node}, or --gpus-per-node 0 to train on processors"
        )


def check_time(spec: JobSpec, known: dict[str, Partition]) -> None:
    """Refuse a time limit above the partition's: such a job would wait for ever.

    Raises:
        JobError: it is.
    """
    partition = _partition(spec, known)
    if partition.minutes is not None and spec.minutes > partition.minutes:
        raise JobError(
            f"partition {partition.name} has a time limit of {_clock(partition.minutes)}, but --time {_clock(spec.minutes)} was "
            "asked for; ask for less: a run goes on by itself when its time is up"
        )


def check_torch(spec: JobSpec, gpu: str) -> list[str]:
    """See that the installed torch has kernels for the GPUs.

    Returns:
        Sentences that a person should know.

    Raises:
        JobError: it has none.
    """
    if not spec.gpus_per_node:
        return []
    version = _torch_version()
    number, _, build = version.partition("+")
    if knows_no_gpu():
        return [f"torch {version} knows no GPU: the ranks train on their CPUs"]
    numbers = tuple(int(part) for part in number.split(".")[:2] if part.isdecimal())
    if gpu == "v100" and numbers > _LAST_FOR_V100 and build != "cu126":
        raise JobError(
            f"torch {version} has no kernels for V100 (sm_70); install one that has: pip install -c constraints/v100.txt -e ."
        )
    return []


def knows_no_gpu() -> bool:
    """Whether the installed torch is one for processors alone; False when there is none: the nodes have another environment."""
    return _torch_version().endswith("+cpu")


def _torch_version() -> str:
    try:
        return importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return ""


def warn_crowded(spec: JobSpec) -> str:
    """A sentence when a run by processes of this machine has more ranks than cores; else nothing."""
    cores = len(os.sched_getaffinity(0))
    if spec.world_size <= cores:
        return ""
    return f"{spec.world_size} ranks on this machine, which has {cores} cores for them: they will wait for each other"


def check_place(run_dir: Path, slurm: bool) -> None:
    """See that the run's folder can be written, has room, and has a path that a batch script can carry.

    Raises:
        JobError: it cannot, has not, or is not; says what to do.
    """
    there = run_dir
    while not there.exists() and there != there.parent:
        there = there.parent
    if not there.is_dir():
        raise JobError(f"the run's folder cannot be made: {there} is a file. Choose another place with --runs")
    if not os.access(there, os.W_OK | os.X_OK):
        raise JobError(
            f"the run's folder cannot be made: you may not write into {there}. Choose another place with --runs"
        )
    free = shutil.disk_usage(there).free
    if free < _LEAST_FREE_BYTES:
        raise JobError(
            f"{there} has {free / 1e9:.1f} GB free, and a run needs {_LEAST_FREE_BYTES / 1e9:.1f}; make room, or choose another "
            "place with --runs"
        )
    odd = sorted({character for character in str(run_dir) if character in "%\\\n\r"})
    if slurm and odd:
        raise JobError(
            f"expected --runs without %, backslash or line break, which Slurm reads in names of files, but got {str(run_dir)!r}"
        )


def _partition(spec: JobSpec, known: dict[str, Partition]) -> Partition:
    name = spec.partition if spec.partition is not None else next((p.name for p in known.values() if p.default), None)
    if name is None:
        raise JobError(f"this cluster has no default partition; choose one with --partition: {', '.join(known)}")
    if name not in known:
        raise JobError(f"there is no partition {name!r}; there are: {', '.join(known)}")
    return known[name]


def _clock(minutes: int) -> str:
    days, rest = divmod(minutes, 24 * 60)
    clock = f"{rest // 60}:{rest % 60:02d}:00"
    return f"{days}-{clock}" if days else clock
