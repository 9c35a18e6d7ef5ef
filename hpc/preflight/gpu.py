"""Judge GPUs and whether torch has kernels for them: pure functions of facts, tested without a GPU."""

import re
from collections import Counter
from collections.abc import Sequence

from hpc.preflight.finding import Finding
from hpc.preflight.gpu_facts import Device, Grant, TorchFacts

INSTALL_2_10 = (
    "pip install -c constraints/v100.txt torch (torch 2.10 for CUDA 12.8, the last default wheel with V100's sm_70), "
    "then python -m hpc.build_horovod --gpu require"
)
_ASK_SLURM = "ask Slurm for GPUs (for instance --gres=gpu:1)"


def runs_on(architecture: str, capability: tuple[int, int]) -> bool:
    """Tell whether kernels compiled for an architecture run on a device.

    A binary (sm_XY) runs on the same major version from its minor version on; PTX (compute_XY) is compiled at start for
    any device from XY on (CUDA C++ Programming Guide, "Binary Compatibility", "PTX Compatibility"). The suffix "a" of
    sm_90a and the like means exactly this device. An unknown form runs nowhere.
    """
    parts = re.fullmatch(r"(sm|compute)_(\d+)(\d)([af]?)", architecture)
    if not parts:
        return False
    target = (int(parts[2]), int(parts[3]))
    if parts[4] == "a":
        return capability == target
    if parts[1] == "compute":
        return capability >= target
    return capability[0] == target[0] and capability[1] >= target[1]


def judge_architectures(
    devices: Sequence[Device], arch_list: Sequence[str], torch_version: str, cuda_version: str
) -> Finding:
    """Judge whether torch's kernels run on every device that this process sees; at least one device."""
    torch = f"torch {torch_version} (CUDA {cuda_version})"
    for device in devices:
        if not any(runs_on(architecture, device.capability) for architecture in arch_list):
            return Finding(
                "gpu",
                "fail",
                f"{_described(device)} cannot run {torch}: it has kernels for {', '.join(arch_list) or 'nothing'}, "
                "and training would stop with 'no kernel image is available'",
                _fix_kernels(device),
            )
    counted = ", ".join(
        f"{count} x {_described(device)} with {device.memory_bytes / 2**30:.0f} GiB"
        for device, count in Counter(devices).items()
    )
    # V100 and T4 have no bf16 in hardware (it came with 8.0), and torch emulates it unasked; one rule for all: fp16.
    return Finding("gpu", "ok", f"{counted}: {torch} has kernels for it; training uses fp16 with loss scaling")


def _described(device: Device) -> str:
    return f"{device.name} (compute capability {device.capability[0]}.{device.capability[1]})"


def _fix_kernels(device: Device) -> str:
    if device.capability < (7, 0):
        return "train on another node: this project supports GPUs from compute capability 7.0 (V100) on"
    if device.capability < (8, 0):
        return INSTALL_2_10
    return (
        "pip install -c constraints/cpu.txt torch (the newest tested), then python -m hpc.build_horovod --gpu require"
    )


def judge_gpu(facts: TorchFacts, device_nodes: Sequence[str], grant: Grant) -> Finding:
    """Judge whether this process trains on GPUs, and whether it can."""
    if facts.torch_version is None:
        return Finding("gpu", "skip", "torch cannot be imported: see torch")
    if facts.devices and facts.cuda_version:
        return judge_architectures(facts.devices, facts.arch_list, facts.torch_version, facts.cuda_version)
    if grant.hidden and grant.variable:
        sentence = f"GPUs were granted ({grant.variable}), but CUDA_VISIBLE_DEVICES hides them: it trains on the CPU"
        return Finding("gpu", "warn", sentence, "unset CUDA_VISIBLE_DEVICES, or ask Slurm for no GPUs")
    if grant.hidden:
        return Finding("gpu", "skip", "CUDA_VISIBLE_DEVICES names no GPU: training uses the CPU")
    if grant.variable and facts.cuda_version is None:
        return _cpu_build(f"GPUs were granted ({grant.variable})", facts.torch_version)
    if grant.variable:
        return Finding("gpu", "skip", f"GPUs were granted ({grant.variable}), but torch sees none: see driver")
    if grant.slurm:
        return Finding("gpu", "skip", f"Slurm granted this job no GPU: training uses the CPU; for a GPU, {_ASK_SLURM}")
    if device_nodes and facts.cuda_version is None:
        return _cpu_build(f"this machine has {', '.join(device_nodes)}", facts.torch_version)
    if device_nodes:
        return Finding("gpu", "skip", "this machine has GPUs, but torch sees none: see driver")
    return Finding("gpu", "skip", "this machine has no GPU and none was granted: training uses the CPU")


def _cpu_build(why: str, torch_version: str) -> Finding:
    sentence = f"{why}, but torch {torch_version} is built for CPUs only, so it trains on the CPU"
    return Finding("gpu", "warn", sentence, f"pip uninstall torch, then {INSTALL_2_10}")


def judge_sharing(devices: int, local_size: int, grant: Grant) -> Finding | None:
    """Judge whether each process of this node has a GPU of its own; None where there is nothing to say."""
    if devices == 0 or devices >= local_size or grant.own_gpu:
        return None
    return Finding(
        "gpu",
        "warn",
        f"{local_size} processes on this node see {devices} GPU{'s' if devices > 1 else ''}: some share one "
        "(process i takes GPU i modulo their number), and run slower and with less memory",
        f"start {devices} per node (--ntasks-per-node={devices}), or ask for a GPU for each (--gres=gpu:{local_size})",
    )
