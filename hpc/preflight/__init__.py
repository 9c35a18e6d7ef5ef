"""Check a node before training: GPUs, driver, NCCL, Horovod, space for runs, ffmpeg, the shared file system.

    python -m hpc.preflight                                                      # this machine
    srun -N4 --ntasks-per-node=1 --mpi=pmix python -m hpc.preflight --runs runs  # four nodes

Every finding is a plain sentence, and every complaint comes with a fix. Every training job runs the same checks first.
"""

from hpc.preflight.checks import run_preflight
from hpc.preflight.cli import MIN_FREE_GB, SHARED_TIMEOUT_S, main, parser
from hpc.preflight.finding import Finding, summarise

__all__ = ["MIN_FREE_GB", "SHARED_TIMEOUT_S", "Finding", "main", "parser", "run_preflight", "summarise"]
