"""What a build of Horovod with GPU operations needs: a CUDA toolkit of torch's major version, NCCL, and architectures."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hpc.build_horovod.key import BuildError, Torch

# T4 is 75, V100 is 70: the GPUs of the cluster that the paper names.
DEFAULT_ARCHS = (70, 75)


@dataclass(frozen=True)
class Gpu:
    """Where the pieces of a GPU build are, and what it is built for.

    Attributes:
        cuda_home: the toolkit, with bin/nvcc and include/cuda_runtime.h.
        nccl: NCCL's version, such as "2.29.7".
        nccl_header: path of nccl.h.
        nccl_library: path of libnccl.so or libnccl.so.2.
        archs: CUDA architectures in rising order, such as (70, 75).
        notes: sentences for the user, such as an architecture that was left out.
    """

    cuda_home: Path
    nccl: str
    nccl_header: Path
    nccl_library: Path
    archs: tuple[int, ...]
    notes: tuple[str, ...] = ()


def find_gpu(torch: Torch, wanted: Sequence[int] | None, environ: Mapping[str, str] = os.environ) -> Gpu:
    """Find the toolkit, NCCL and the architectures for this torch, which has CUDA.

    Raises:
        BuildError: a piece is missing; says which, where it was looked for, and what to do.
    """
    cuda_home = _find_toolkit(torch, environ)
    header, library = _find_nccl(torch, cuda_home, environ)
    archs, notes = choose_archs(wanted, _torch_archs(), _nvcc_archs(cuda_home))
    return Gpu(cuda_home, _nccl_version(header), header, library, archs, notes)


def _toolkits(environ: Mapping[str, str]) -> Iterator[Path]:
    for name in ("CUDA_HOME", "CUDA_PATH"):
        if environ.get(name):
            yield Path(environ[name])
    nvcc = shutil.which("nvcc", path=environ.get("PATH"))
    if nvcc:
        yield Path(nvcc).resolve().parent.parent
    yield Path("/usr/local/cuda")
    yield from sorted(Path("/usr/local").glob("cuda-*"), reverse=True)


def _find_toolkit(torch: Torch, environ: Mapping[str, str]) -> Path:
    major = str(torch.cuda).split(".", maxsplit=1)[0]
    others = []
    for home in _toolkits(environ):
        # nvcc alone may be a wrapper script in a bin folder without a toolkit around it.
        if not (home / "bin/nvcc").is_file() or not (home / "include/cuda_runtime.h").is_file():
            continue
        release = re.search(r"release (\d+)\.(\d+)", _output([str(home / "bin/nvcc"), "--version"]))
        if release and release[1] == major:
            return home
        others.append(f"{home} is CUDA {release[1]}.{release[2]}" if release else f"{home}/bin/nvcc does not run")
    seen = "; ".join(dict.fromkeys(others)) or "none in CUDA_HOME, CUDA_PATH, PATH or /usr/local/cuda"
    raise BuildError(
        f"torch {torch.version} has CUDA {torch.cuda}, and its operations need a toolkit (nvcc) of CUDA {major}: {seen}",
        f"load one on this node (`module load cuda/{torch.cuda}`) or set CUDA_HOME to one, then run this again",
    )


def _find_nccl(torch: Torch, cuda_home: Path, environ: Mapping[str, str]) -> tuple[Path, Path]:
    named = [Path(environ[name]) for name in ("HOROVOD_NCCL_HOME", "NCCL_HOME") if environ.get(name)]
    for home in (*named, torch.folder.parent / "nvidia/nccl", cuda_home, Path("/usr")):
        header = home / "include/nccl.h"
        for folder in ("lib", "lib64", "lib/x86_64-linux-gnu"):
            for file in ("libnccl.so", "libnccl.so.2"):
                if header.is_file() and (home / folder / file).is_file():
                    return header, home / folder / file
    raise BuildError(
        "NCCL's nccl.h and libnccl.so.2 were found neither in HOROVOD_NCCL_HOME, NCCL_HOME, beside torch, "
        f"in {cuda_home} nor in /usr",
        f"pip install nvidia-nccl-cu{str(torch.cuda).split('.', maxsplit=1)[0]}, or set NCCL_HOME to NCCL's folder",
    )


def _nccl_version(header: Path) -> str:
    text = header.read_text(errors="replace")
    parts = [re.search(rf"#define\s+NCCL_{part}\s+(\d+)", text) for part in ("MAJOR", "MINOR", "PATCH")]
    return ".".join(part[1] for part in parts if part) or "unknown"


def choose_archs(
    wanted: Sequence[int] | None, torch_archs: Sequence[int], nvcc_archs: Sequence[int]
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Architectures to compile for, and what to tell the user about those left out.

    Args:
        wanted: the user's own list, or None for T4 and V100 as far as torch and the toolkit have them.
        torch_archs: what torch's kernels were compiled for; empty when torch does not say.
        nvcc_archs: what the toolkit can compile for.

    Raises:
        BuildError: an architecture that was asked for is unknown to the toolkit, or none is left.
    """
    valid = ", ".join(map(str, nvcc_archs))
    if wanted is not None:
        if missing := sorted(set(wanted) - set(nvcc_archs)):
            raise BuildError(
                f"--cuda-archs {','.join(map(str, wanted))}: this CUDA toolkit cannot compile for {missing[0]}; it has {valid}",
                "choose from those, or load another CUDA toolkit (CUDA 13 dropped 70, V100: use CUDA 12)",
            )
        strange = sorted(set(wanted) - set(torch_archs)) if torch_archs else []
        notes = tuple(f"torch itself has no kernels for sm_{arch}: on that GPU it cannot compute" for arch in strange)
        return tuple(sorted(set(wanted))), notes
    dropped = {arch: "this CUDA toolkit" for arch in DEFAULT_ARCHS if arch not in nvcc_archs}
    dropped |= {arch: "this torch" for arch in DEFAULT_ARCHS if torch_archs and arch not in torch_archs}
    archs = tuple(arch for arch in DEFAULT_ARCHS if arch not in dropped)
    if not archs:
        raise BuildError(
            f"neither T4 (75) nor V100 (70) is known to both this torch ({_list(torch_archs)}) and this CUDA toolkit ({valid})",
            "name your GPU's architecture: --cuda-archs 80 for A100, 90 for H100",
        )
    names = {70: "V100", 75: "T4"}
    advice = {70: "; for V100 install with constraints/v100.txt", 75: ""}
    notes = tuple(f"not built for sm_{a} ({names[a]}): {why} has dropped it{advice[a]}" for a, why in dropped.items())
    return archs, notes


def _list(archs: Sequence[int]) -> str:
    return ", ".join(map(str, archs)) or "not said"


def _torch_archs() -> tuple[int, ...]:
    # torch.cuda.get_arch_list() may be empty where there is no GPU; the flags are compiled in.
    code = "import torch; print(torch._C._cuda_getArchFlags())"
    return tuple(int(arch) for arch in re.findall(r"sm_(\d+)", _output([sys.executable, "-c", code])))


def _nvcc_archs(cuda_home: Path) -> tuple[int, ...]:
    # The manual page of nvcc lists real architectures under --gpu-code since long before --list-gpu-arch (11.0) existed.
    text = _output([str(cuda_home / "bin/nvcc"), "--help"])
    return tuple(sorted({int(arch) for arch in re.findall(r"\bsm_(\d+)\b", text)}))


def _output(command: list[str]) -> str:
    """What a command prints; nothing when it cannot run."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
