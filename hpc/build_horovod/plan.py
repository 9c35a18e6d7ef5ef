"""Decide what build of Horovod fits this environment: the key, the GPU pieces, and what the user should know first."""

import platform
import shutil
from collections.abc import Sequence
from dataclasses import dataclass

from hpc.build_horovod.gpu import Gpu, find_gpu
from hpc.build_horovod.key import (
    HOROVOD_VERSION,
    BuildError,
    BuildKey,
    Torch,
    dialect_for,
    find_mpi,
    find_torch,
    libc_tag,
    python_tag,
)


@dataclass(frozen=True)
class Plan:
    """What is to be built, where the pieces of a GPU build are, and what the user should know before it starts."""

    key: BuildKey
    gpu: Gpu | None
    warnings: tuple[str, ...]


def make_plan(gpu: str = "auto", mpi: str = "auto", archs: Sequence[int] | None = None) -> Plan:
    """Decide what to build for the torch, Python, MPI and CUDA that are here.

    Args:
        gpu: "auto", "require" or "off".
        mpi: "auto", "require" or "off".
        archs: CUDA architectures, or None for T4 and V100.

    Raises:
        BuildError: torch is missing, or something that is required is.
    """
    torch = find_torch()
    if torch is None:
        raise BuildError(
            "torch is not installed, and Horovod is compiled against it", "pip install torch, then this again"
        )
    found, warnings = _plan_gpu(torch, gpu, archs)
    name, mpi_warnings = _plan_mpi(mpi)
    key = BuildKey(
        horovod=HOROVOD_VERSION,
        torch=torch.version,
        cxx11_abi=torch.cxx11_abi,
        python=python_tag(),
        mpi=name,
        cuda=torch.cuda if found else None,
        nccl=found.nccl if found else None,
        archs=found.archs if found else (),
        dialect=dialect_for(torch.version),
        machine=platform.machine(),
        libc=libc_tag(),
    )
    return Plan(key, found, warnings + mpi_warnings)


def _plan_gpu(torch: Torch, mode: str, archs: Sequence[int] | None) -> tuple[Gpu | None, tuple[str, ...]]:
    if mode == "off":
        return None, ()
    if torch.cuda is None:
        if mode == "require" or archs:
            raise BuildError(
                f"torch {torch.version} has no CUDA, and GPU operations cannot be built for it",
                "pip install -c constraints/v100.txt torch (or a CUDA wheel of another version), then this again",
            )
        return None, ()
    try:
        found = find_gpu(torch, archs)
    except BuildError as error:
        if mode == "require" or archs:
            raise
        return None, (
            f"CPU operations only: {error.what}. Tensors on GPUs would be reduced through host memory, slowly. "
            f"fix: {error.fix}; without a GPU say --gpu off and read this no more",
        )
    return found, found.notes


def _plan_mpi(mode: str) -> tuple[str | None, tuple[str, ...]]:
    if mode == "off":
        return None, ()
    name = find_mpi() if shutil.which("mpicxx") else None
    if name is not None:
        return name, ()
    fix = "apt-get install libopenmpi-dev openmpi-bin (on a cluster: module load openmpi)"
    if mode == "require":
        raise BuildError("no MPI to compile with: mpicxx is not on PATH", fix)
    return None, (
        f"no mpicxx on PATH: building the Gloo controller only, which needs no MPI. fix: {fix}, then this again",
    )
