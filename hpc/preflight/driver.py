"""Judge what is between torch and the GPUs: NVIDIA's driver and NCCL. Pure functions, tested without a GPU."""

import re

from hpc.preflight.finding import Finding
from hpc.preflight.gpu import INSTALL_2_10
from hpc.preflight.gpu_facts import Driver, Grant, TorchFacts

# The oldest Linux driver of each CUDA major version; "minor version compatibility" makes it enough for all its minor
# versions: CUDA Toolkit Release Notes, "Minimum Required Driver Version for CUDA Minor Version Compatibility".
_OLDEST_DRIVER = {11: "450.80.02", 12: "525.60.13", 13: "580.65.06"}


def judge_driver(driver: Driver, facts: TorchFacts, grant: Grant) -> Finding:
    """Judge NVIDIA's driver against the CUDA that torch was built for."""
    if facts.torch_version is not None and facts.cuda_version is None:
        return Finding("driver", "skip", f"torch {facts.torch_version} is built for CPUs: it needs no NVIDIA driver")
    wanted = not grant.hidden and bool(grant.variable or (driver.device_nodes and not grant.slurm))
    if not wanted and not facts.devices:
        return Finding("driver", "skip", "no GPU is to be used here: the driver does not matter")
    if driver.hung:
        return Finding("driver", "fail", f"{driver.trouble}: the driver is stuck", _fix_node())
    if driver.version is None and not facts.devices:
        trouble = driver.trouble or "no driver found"
        return Finding(
            "driver", "fail", f"GPUs are to be used, but the NVIDIA driver does not answer: {trouble}", _fix_node()
        )
    needed = _oldest_driver(facts.cuda_version)
    if driver.version and needed and _numbers(driver.version) < _numbers(needed):
        return Finding(
            "driver",
            "fail",
            f"NVIDIA driver {driver.version} is too old for torch {facts.torch_version}: its CUDA "
            f"{facts.cuda_version} needs {needed} or newer",
            _fix_driver(driver.version),
        )
    if facts.torch_version is not None and not facts.devices:
        return Finding(
            "driver",
            "fail",
            f"NVIDIA driver {driver.version} is there, but torch sees no GPU: {facts.unavailable}",
            _fix_node(),
        )
    need = f" (CUDA {facts.cuda_version} needs {needed} or newer)" if needed else ""
    version = driver.version or "of an unknown version"
    return Finding("driver", "ok", f"NVIDIA driver {version}{need}")


def _fix_node() -> str:
    return (
        "run nvidia-smi on this node; in a container, start it with the driver inside (singularity exec --nv); else leave "
        "the node out (--exclude=NODE) and tell the administrator"
    )


def _fix_driver(version: str) -> str:
    if _numbers(version) >= _numbers(_OLDEST_DRIVER[12]):
        return f"this driver is new enough for CUDA 12: {INSTALL_2_10}"
    return f"ask the administrator for a driver from {_OLDEST_DRIVER[12]} on (it is what torch for CUDA 12 needs)"


def _oldest_driver(cuda_version: str | None) -> str | None:
    major = re.match(r"\d+", cuda_version or "")
    return _OLDEST_DRIVER.get(int(major.group())) if major else None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


def judge_nccl(facts: TorchFacts, world_size: int) -> Finding:
    """Judge whether gradients can travel from GPU to GPU without passing through main memory."""
    if not facts.devices:
        return Finding("nccl", "skip", "no GPU is used here: gradients travel by MPI or Gloo")
    version = facts.nccl_version or "of an unknown version"
    if facts.horovod_nccl is None:
        return Finding("nccl", "skip", f"torch has NCCL {version}; Horovod cannot be imported: see horovod")
    if facts.horovod_nccl:
        return Finding("nccl", "ok", f"Horovod is built with NCCL (torch has NCCL {version})")
    effect = (
        "gradients will travel through main memory"
        if world_size > 1
        else "training with several processes will be slow"
    )
    return Finding(
        "nccl",
        "warn",
        f"Horovod is built without NCCL: {effect}",
        "python -m hpc.build_horovod --gpu require",
    )
