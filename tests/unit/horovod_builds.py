"""Made-up keys, toolkits, torches and wheels for the tests of building Horovod."""

import dataclasses
import zipfile
from pathlib import Path

from hpc.build_horovod import cache as horovod_cache
from hpc.build_horovod.key import BuildKey, Torch

ROOT = Path(__file__).resolve().parents[2]


CPU = BuildKey("0.28.1", "2.13.0+cpu", True, "cp311", "openmpi4.1.4", None, None, (), 17, "x86_64", "glibc2.36")


GPU = dataclasses.replace(CPU, torch="2.10.0+cu128", cuda="12.8", nccl="2.27.5", archs=(70, 75))


def toolkit(folder: Path, release: str = "12.8") -> Path:
    """A toolkit whose nvcc answers as NVIDIA's does, and otherwise prints its arguments."""
    (folder / "include").mkdir(parents=True)
    (folder / "include/cuda_runtime.h").touch()
    nvcc = folder / "bin/nvcc"
    nvcc.parent.mkdir()
    nvcc.write_text(
        f'#!/bin/sh\ncase "$1" in --version) echo "release {release}, V{release}.1";; --help) echo "sm_70 sm_75";;\n'
        '*) printf "%s\\n" "$@";; esac\n'
    )
    nvcc.chmod(0o755)
    return folder


def cuda_torch(folder: Path) -> Torch:
    """A torch of CUDA 12.8 with NCCL's package beside it, as pip lays them out."""
    nccl = folder / "nvidia/nccl"
    (nccl / "include").mkdir(parents=True)
    (nccl / "lib").mkdir()
    (nccl / "lib/libnccl.so.2").touch()
    (nccl / "include/nccl.h").write_text("#define NCCL_MAJOR 2\n#define NCCL_MINOR 27\n#define NCCL_PATCH 5\n")
    (folder / "torch").mkdir()
    return Torch("2.10.0+cu128", "12.8", True, folder / "torch")


def make_wheel(folder: Path) -> Path:
    """A small wheel as pip makes one: hashes of its files in RECORD."""
    files = {"horovod/__init__.py": b"__version__ = '0.28.1'\n", "horovod/torch/lib.so": bytes(range(256)) * 50}
    record = "".join(f"{name},{horovod_cache._digest(content)},{len(content)}\n" for name, content in files.items())
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / "horovod-0.28.1-cp311-cp311-linux_x86_64.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        archive.writestr("horovod-0.28.1.dist-info/RECORD", record + "horovod-0.28.1.dist-info/RECORD,,\n")
    return wheel


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
