"""What the GPU checks judge: gathered from torch, Horovod, the driver and Slurm's environment, and judged elsewhere.

torch and Horovod are asked in a process of their own (`python -m hpc.preflight.gpu_facts`): a hung driver can hold
Python's interpreter lock, so that no thread could report it, and a process that has touched CUDA must not fork loader
workers.
"""

import dataclasses
import glob
import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hpc.preflight.limits import Answer, ask

TORCH_LIMIT_S = 180.0  # a cold import of torch from a busy NFS has been seen to take a minute
_MARK = "PREFLIGHT "  # libraries print while they are imported; the facts are the line that starts with this
_DRIVER_FILE = Path("/proc/driver/nvidia/version")


@dataclass(frozen=True)
class Device:
    """One GPU: its name, its compute capability as (major, minor), its memory in bytes."""

    name: str
    capability: tuple[int, int]
    memory_bytes: int


@dataclass(frozen=True)
class TorchFacts:
    """What torch and Horovod say of themselves and of this process's GPUs.

    Attributes:
        torch_version: such as "2.10.0+cu128"; None when torch cannot be imported.
        torch_error: why it cannot be imported.
        cuda_version: the CUDA that torch was built for, such as "12.8"; None for a CPU build.
        unavailable: why torch sees no GPU, when it was built for CUDA and sees none.
        devices: the GPUs that this process sees.
        arch_list: what torch's kernels were compiled for, such as ("sm_70", "compute_90").
        nccl_version: of torch's NCCL, such as "2.27.5".
        horovod_nccl: whether Horovod was built with NCCL; None when Horovod cannot be imported.
    """

    torch_version: str | None = None
    torch_error: str | None = None
    cuda_version: str | None = None
    unavailable: str | None = None
    devices: tuple[Device, ...] = ()
    arch_list: tuple[str, ...] = ()
    nccl_version: str | None = None
    horovod_nccl: bool | None = None


@dataclass(frozen=True)
class Driver:
    """What this node shows of NVIDIA's driver: version (None: not known), the trouble in asking, and /dev/nvidia<n>."""

    version: str | None = None
    trouble: str | None = None
    hung: bool = False
    device_nodes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Grant:
    """What Slurm or the user gave this process.

    Attributes:
        variable: the variable that grants GPUs, such as "SLURM_STEP_GPUS=0,1"; None without a grant.
        hidden: CUDA_VISIBLE_DEVICES is there and names no GPU.
        slurm: this is a Slurm job.
        own_gpu: each task was given a GPU of its own, so that seeing fewer GPUs than ranks is right.
    """

    variable: str | None = None
    hidden: bool = False
    slurm: bool = False
    own_gpu: bool = False


def read_grant(environ: Mapping[str, str] = os.environ) -> Grant:
    """Read which GPUs this process was given."""
    visible = environ.get("CUDA_VISIBLE_DEVICES")
    # Slurm writes NoDevFiles, and CUDA reads -1, for "none".
    hidden = visible is not None and visible.strip() in ("", "-1", "NoDevFiles")
    granting = [environ.get(name) and f"{name}={environ[name]}" for name in ("SLURM_STEP_GPUS", "SLURM_JOB_GPUS")]
    if visible and not hidden:
        granting.append(f"CUDA_VISIBLE_DEVICES={visible}")
    # --gpus-per-task given to sbatch sets SLURM_GPUS_PER_TASK; given to srun, only SLURMD_TRES_BIND (ran, Slurm 22.05).
    bound = " ".join(environ.get(name, "") for name in ("SLURMD_TRES_BIND", "SLURM_TRES_BIND", "SLURM_TRES_PER_TASK"))
    own_gpu = bool(environ.get("SLURM_GPUS_PER_TASK")) or bool(re.search(r"gpu:(per_task|single|map|mask|\d)", bound))
    return Grant(next(filter(None, granting), None), hidden, "SLURM_JOB_ID" in environ, own_gpu)


def device_nodes() -> tuple[str, ...]:
    """Device files of this machine's NVIDIA GPUs, such as /dev/nvidia0; there also without a working driver."""
    return tuple(sorted(node for node in glob.glob("/dev/nvidia*") if re.fullmatch(r"/dev/nvidia\d+", node)))


def gather_driver(limit_s: float = 20.0, driver_file: Path = _DRIVER_FILE) -> Driver:
    """Ask nvidia-smi, and the kernel where there is no nvidia-smi (it is missing in many containers)."""
    nodes = device_nodes()
    answer = ask(["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"], limit_s)
    if answer.outcome == "hung":
        return Driver(trouble=answer.text, hung=True, device_nodes=nodes)
    if answer.outcome == "answered":
        version = re.fullmatch(r"\d+(\.\d+)+", (answer.text.splitlines() or [""])[0].strip())
        if version:
            return Driver(version.group(), device_nodes=nodes)
        return Driver(
            trouble=f"nvidia-smi printed no driver version but {answer.text[:80].strip()!r}", device_nodes=nodes
        )
    try:
        found = re.search(r"Kernel Module.*?\s(\d+(?:\.\d+)+)\s", driver_file.read_text())
    except OSError:
        found = None
    if found:
        return Driver(found.group(1), device_nodes=nodes)
    return Driver(trouble=answer.text, device_nodes=nodes)


def gather_torch(limit_s: float = TORCH_LIMIT_S) -> TorchFacts:
    """Ask torch and Horovod in a process of their own."""
    checkout = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, (checkout, os.environ.get("PYTHONPATH"))))
    answer = ask([sys.executable, "-m", "hpc.preflight.gpu_facts"], limit_s, {**os.environ, "PYTHONPATH": path})
    return read_torch(answer)


def read_torch(answer: Answer) -> TorchFacts:
    """Read the facts out of the asked process's output; one that hung or died becomes a torch that does not work."""
    line = next((line for line in answer.text.splitlines() if line.startswith(_MARK)), None)
    if answer.outcome != "answered" or line is None:
        return TorchFacts(torch_error=answer.text.strip()[-300:] or "importing it printed nothing")
    facts = json.loads(line.removeprefix(_MARK))
    devices = tuple(
        Device(d["name"], (d["capability"][0], d["capability"][1]), d["memory_bytes"]) for d in facts["devices"]
    )
    return TorchFacts(**{**facts, "devices": devices, "arch_list": tuple(facts["arch_list"])})


def _torch_facts() -> TorchFacts:
    try:
        import torch
    except Exception as error:  # a wheel that does not fit the system fails with OSError, too
        return TorchFacts(torch_error=f"{type(error).__name__}: {error}")
    facts = TorchFacts(torch_version=torch.__version__, cuda_version=torch.version.cuda, horovod_nccl=_horovod_nccl())
    if facts.cuda_version is None:
        return facts
    facts = dataclasses.replace(facts, arch_list=tuple(torch.cuda.get_arch_list()), nccl_version=_nccl_version())
    try:
        start: Callable[[], object] = torch.cuda.init  # it says why there is no GPU; torch has no types for it
        start()
        every = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
    except Exception as error:  # torch raises RuntimeError, AssertionError or its own, by what is wrong
        return dataclasses.replace(facts, unavailable=(str(error).splitlines() or [type(error).__name__])[0])
    devices = tuple(Device(one.name, (one.major, one.minor), one.total_memory) for one in every)
    return dataclasses.replace(facts, devices=devices, unavailable=None if devices else "it counts 0 devices")


def _nccl_version() -> str | None:
    try:
        from torch.cuda import nccl

        version: Callable[[], tuple[object, ...]] = nccl.version
        return ".".join(str(part) for part in version())
    except Exception:  # a torch without NCCL has no such function
        return None


def _horovod_nccl() -> bool | None:
    try:
        import horovod.torch as hvd

        return bool(hvd.nccl_built())
    except Exception:  # not installed, or built for another torch: the check named horovod says which
        return None


def main() -> None:
    """Print the facts as one marked line of JSON, for `read_torch`."""
    print(_MARK + json.dumps(dataclasses.asdict(_torch_facts())), flush=True)


if __name__ == "__main__":
    main()
