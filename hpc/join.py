"""How a rank gets ready and joins the others, whatever it then runs: threads, preflight, and the way the ranks talk."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

from hpc.fit import checks_left, note_fit
from hpc.outcome import PreflightFailed
from hpc.world import World
from v2a.comm import Comm, LocalComm
from v2a.tasks import SerialTasks, Tasks, local_tasks

# Slurm's warning before a time limit or a preemption is USR2 and not USR1, which NCCL may catch; TERM is scancel's.
STOP_SIGNALS = (signal.SIGUSR2, signal.SIGTERM)
SHARED_TIMEOUT_S = 60.0  # an NFS client may believe for a minute that a new file is not there
_MIN_FREE_BYTES = 1 << 30


def limit_threads(world: World) -> None:
    """One thread per core that is this rank's: ranks of a node that each take all cores slow each other down six-fold."""
    cores = int(os.environ.get("SLURM_CPUS_PER_TASK", "0")) or len(os.sched_getaffinity(0)) // world.local_size
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores)))  # read when torch is imported, later


def preflight(world: World, folder: Path, shared_timeout_s: float, fit_s: float = 0.0) -> None:
    """Look at this rank's node (`hpc.preflight` itself looks at most things only once on each node).

    Args:
        world: this rank's.
        folder: where runs' folders are; the nodes must see each other's files in it.
        shared_timeout_s: how long that may take.
        fit_s: for how long a node that passed is not asked again what cannot change; 0 to ask everything.

    Raises:
        PreflightFailed: the node is not fit.
    """
    from hpc.preflight import run_preflight, summarise
    from hpc.preflight.gpu_facts import device_nodes

    only = checks_left(folder, world.host, fit_s, bool(device_nodes())) if fit_s else None
    findings = run_preflight(
        world, folder, min_free_bytes=_MIN_FREE_BYTES, shared_timeout_s=shared_timeout_s, only=only
    )
    failed = [finding for finding in findings if finding.level == "fail"]
    if world.rank == 0 or failed:
        print(summarise(findings), flush=True)
    if failed:
        sentences = "; ".join(finding.sentence for finding in failed)
        raise PreflightFailed(f"{world.host} is not fit to train: {sentences}", any(f.no_room for f in failed))
    if fit_s and only is None and world.local_rank == 0:
        note_fit(folder, world.host)


Joined = tuple[Comm, Tasks, Callable[[], None]]  # the last one leaves


def connect(world: World, run_dir: Path, controller: str) -> Joined:
    """Join the ranks that train together."""
    if world.size == 1:
        return LocalComm(), SerialTasks(), lambda: None
    if controller == "gloo" and world.source == "srun":
        from hpc.rendezvous import meet

        meet(world, run_dir)
    from hpc.horovod_comm import HorovodComm

    comm = HorovodComm()
    _check_layout(world, comm.rank, comm.size, "Horovod")
    return comm, SerialTasks(), comm.close


def share(world: World, processes: int) -> Joined:
    """Join the ranks that share out tasks: MPI is enough for it."""
    if world.size == 1:
        return LocalComm(), local_tasks(processes or _processes_of(world)), lambda: None
    from hpc.mpi_tasks import MpiTasks

    tasks = MpiTasks()
    _check_layout(world, tasks.rank, tasks.size, "MPI")
    return LocalComm(), tasks, lambda: None


def _processes_of(world: World) -> int:
    """Local processes of a job of one task: one for each of its GPUs, else for each of its cores; 0 for this one alone."""
    if world.source != "srun":
        return 0
    gpus = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    found = len(gpus) or int(os.environ.get("SLURM_CPUS_PER_TASK", "0") or 0)
    return found if found > 1 else 0


def _check_layout(world: World, rank: int, size: int, who: str) -> None:
    if (rank, size) != (world.rank, world.size):
        raise RuntimeError(
            f"{world.source} says rank {world.rank} of {world.size}, but {who} says {rank} of {size}: the ranks did not find "
            "each other. Under srun use --mpi=pmix; where it has no PMIx, --controller gloo; "
            "`python -m hpc.build_horovod --check` says what Horovod was built with"
        )
