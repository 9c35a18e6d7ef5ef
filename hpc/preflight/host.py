"""Judge what every node needs: Python, torch, Horovod, shared memory."""

import os
import re
import sys

from hpc.preflight.finding import Finding
from hpc.preflight.gpu_facts import TORCH_LIMIT_S, TorchFacts

# Both ranges are pyproject.toml's (a test holds them to it): first version in, first version out.
PYTHON_RANGE = ((3, 10), (3, 14))
TORCH_RANGE = ((2, 6), (2, 14))

_MIN_SHM_BYTES = 10**9  # loader workers hand batches over in /dev/shm: 4 workers x 2 batches of about 100 MB


def judge_python(version: tuple[int, int], full: str) -> Finding:
    """Judge the Python version, given as (major, minor) and in full."""
    lowest, beyond = PYTHON_RANGE
    if lowest <= version < beyond:
        return Finding("python", "ok", f"Python {full}")
    wanted = f"3.{lowest[1]} to 3.{beyond[1] - 1}"
    fix = f"make the environment anew with Python {wanted}"
    if version < lowest:
        return Finding("python", "fail", f"Python {full} is too old ({wanted})", fix)
    return Finding("python", "warn", f"Python {full} is newer than what this project was tested with ({wanted})", fix)


def judge_torch(facts: TorchFacts) -> Finding:
    """Judge the torch version."""
    lowest, beyond = TORCH_RANGE
    wanted = f"2.{lowest[1]} to 2.{beyond[1] - 1}"
    install = "pip install -c constraints/v100.txt torch where there are V100 nodes, else -c constraints/cpu.txt"
    if facts.torch_version is None:
        fix = f"run `python -c 'import torch'` on this node to see all of it; to install it: {install}"
        return Finding("torch", "fail", f"torch cannot be imported: {facts.torch_error}", fix)
    numbers = re.match(r"(\d+)\.(\d+)", facts.torch_version)
    version = (int(numbers[1]), int(numbers[2])) if numbers else (0, 0)
    built = f"built for CUDA {facts.cuda_version}" if facts.cuda_version else "built for CPUs"
    if lowest <= version < beyond:
        return Finding("torch", "ok", f"torch {facts.torch_version}, {built}")
    return Finding("torch", "warn", f"torch {facts.torch_version} is outside of what was tested ({wanted})", install)


def check_horovod(world_size: int) -> Finding:
    """Ask whether Horovod is there and fits torch, Python and MPI; one process needs none, so there it only warns."""
    from hpc.build_horovod import check

    found = check(timeout_s=TORCH_LIMIT_S)
    if found.fits:
        return Finding("horovod", "ok", found.sentence)
    return Finding(
        "horovod", "fail" if world_size > 1 else "warn", found.sentence, found.fix or "python -m hpc.build_horovod"
    )


def judge_shm(free_bytes: int | None) -> Finding:
    """Judge the free space of /dev/shm, None when there is no such folder."""
    fix = "in a container give it more (docker --shm-size=8g, singularity: mount /dev/shm), or use fewer loader workers"
    if free_bytes is None:
        return Finding("shm", "warn", "there is no /dev/shm, through which loader workers hand over batches", fix)
    sentence = f"{free_bytes / 1e9:.1f} GB are free in /dev/shm, through which loader workers hand over batches"
    if free_bytes < _MIN_SHM_BYTES:
        return Finding("shm", "warn", f"only {sentence}: they may die with a bus error", fix)
    return Finding("shm", "ok", sentence)


def check_shm() -> Finding:
    """Look at /dev/shm."""
    try:
        space = os.statvfs("/dev/shm")  # noqa: S108 - looked at, not written
    except FileNotFoundError:
        return judge_shm(None)
    return judge_shm(space.f_bavail * space.f_frsize)


def check_python() -> Finding:
    """Judge the Python that runs this."""
    return judge_python(sys.version_info[:2], ".".join(str(part) for part in sys.version_info[:3]))
