"""The tools and the environment with which Horovod's sources are compiled unchanged for a torch newer than they know.

Horovod 0.28.1 asks its compilers for C++14 and C++11, and looks for CUDA by itself. Small wrapper scripts in the build's
temporary folder stand before c++, nvcc, cmake and python, and change what is asked; no source is edited.
"""

import os
import shlex
import shutil
import stat
import sys
from collections.abc import Mapping
from pathlib import Path

from hpc.build_horovod.gpu import Gpu
from hpc.build_horovod.key import BuildError, BuildKey

# One compiler process on torch's headers: 1.3 GB measured with g++ 12, and some air.
_BYTES_PER_JOB = 2 * 1024**3
# Another project's or shell's settings must not change what is built for a key.
_DROPPED = (
    *("HOROVOD_", "CCL_", "CUDAARCHS", "NVCC_", "MAKEFLAGS", "MFLAGS"),
    *("CMAKE_GENERATOR", "CMAKE_BUILD", "CMAKE_C", "PIP_TARGET", "PIP_PREFIX", "PIP_USER"),
)

_COMPILER = """#!/bin/sh
# {name} that compiles C++{dialect} where an older dialect is asked for.
for argument do
  shift
  case "$argument" in
    {patterns}) argument=-std=c++{dialect} ;;
  esac
  set -- "$@" "$argument"
done
exec {command} "$@"
"""

_CMAKE = """#!/bin/sh
# cmake that finds exactly the CUDA that this build was decided to have.
case "$1" in --build|--version) exec {command} "$@" ;; esac
exec {command} "$@" {arguments}
"""

_PYTHON = """#!/bin/sh
# Horovod's cmake asks this interpreter whether torch has CUDA, and would then build GPU operations: for a CPU build, no.
if [ "$1" = -c ]; then
  code=$2
  shift 2
  exec {command} -c "import torch.version; torch.version.cuda = torch.version.hip = None
$code" "$@"
fi
exec {command} "$@"
"""


def check_tools(environ: Mapping[str, str] = os.environ) -> None:
    """See that compiler, make, cmake and the Python modules of the build are here.

    Raises:
        BuildError: names all that is missing, and the commands that install it.
    """
    missing, packages, modules = [], [], []
    path = search_path(environ)
    for program, package in ((cxx_command(environ)[0], "g++"), ("make", "make"), ("cmake", "cmake")):
        if shutil.which(program, path=path) is None:
            missing.append(program)
            packages.append(package)
    for name in ("pip", "setuptools", "wheel", "cffi", "packaging", "cloudpickle", "psutil", "yaml"):
        if not _module_here(name):
            modules.append({"yaml": "pyyaml"}.get(name, name))
    if not missing and not modules:
        return
    fixes = [f"apt-get install {' '.join(packages)} (on a cluster: module load gcc cmake)"] if missing else []
    if "pip" in modules:
        fixes.append(f"{sys.executable} -m ensurepip")
    if others := [name for name in modules if name != "pip"]:
        fixes.append(f"{sys.executable} -m pip install {' '.join(others)}")
    raise BuildError(f"Horovod cannot be compiled without {', '.join(missing + modules)}", "; ".join(fixes))


def _module_here(name: str) -> bool:
    from importlib.util import find_spec

    return find_spec(name) is not None


def cxx_command(environ: Mapping[str, str]) -> list[str]:
    """The C++ compiler to stand behind the wrapper: CXX as the user set it, or g++."""
    return shlex.split(environ.get("CXX", "")) or ["g++"]


def search_path(environ: Mapping[str, str]) -> str:
    """PATH, and after it this interpreter's own folder: cmake may be a package there without the environment activated."""
    return os.pathsep.join([environ.get("PATH", os.defpath), str(Path(sys.executable).parent)])


def jobs_that_fit(cores: int, available_bytes: int) -> int:
    """Compiler processes at once: as many as cores, while memory gives each 2 GiB; at least one."""
    return max(1, min(cores, available_bytes // _BYTES_PER_JOB))


def default_jobs() -> int:
    """Compiler processes at once for this machine, or for the share of it that a container or job was given."""
    available = [os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            available = [int(line.split()[1]) * 1024]
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        text = Path(limit).read_text().strip() if os.path.exists(limit) else "max"
        available += [int(text)] if text.isdecimal() else []
    return jobs_that_fit(len(os.sched_getaffinity(0)), min(available))


def write_compiler(path: Path, command: list[str], dialect: int) -> Path:
    """Write a wrapper before a compiler that raises the C++ dialect it is asked for to at least this one."""
    old = [11, 14] + [17] * (dialect > 17)
    patterns = "|".join(f"-std={kind}++{number}" for number in old for kind in ("c", "gnu"))
    text = _COMPILER.format(name=command[0], dialect=dialect, patterns=patterns, command=shlex.join(command))
    return _executable(path, text)


def _executable(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def build_environment(
    key: BuildKey, gpu: Gpu | None, folder: Path, jobs: int, environ: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """The environment of the compile; pure, so that `--dry-run` shows the very one. `write_tools` writes what it names.

    Args:
        key: what is built.
        gpu: where the pieces of a GPU build are; None for CPU operations.
        folder: the build's temporary folder.
        jobs: compiler processes at once.
        environ: the user's environment; what would change the result is dropped from it.
    """
    env = {name: value for name, value in environ.items() if not name.startswith(_DROPPED)}
    env |= {
        "TMPDIR": str(folder),
        "CXX": str(folder / "tools/c++"),
        "MAKEFLAGS": f"-j{jobs}",
        "CMAKE_POLICY_VERSION_MINIMUM": "3.5",  # CMake 4 refuses Gloo's cmake_minimum_required(VERSION 2.8.12)
        "HOROVOD_CMAKE": str(folder / "tools/cmake"),
        "HOROVOD_WITH_PYTORCH": "1",
        "HOROVOD_WITHOUT_TENSORFLOW": "1",
        "HOROVOD_WITHOUT_MXNET": "1",
        "HOROVOD_WITH_GLOO": "1",
        ("HOROVOD_WITH_MPI" if key.mpi else "HOROVOD_WITHOUT_MPI"): "1",
        "PATH": search_path(environ),
        "PYTHONUNBUFFERED": "1",
    }
    if gpu is not None:
        env |= {
            "HOROVOD_GPU_OPERATIONS": "NCCL",
            "HOROVOD_BUILD_CUDA_CC_LIST": ",".join(map(str, key.archs)),
            "HOROVOD_CUDA_HOME": str(folder / "cuda"),  # for its nvcc; libraries come from the real one below
            "CUDA_HOME": str(gpu.cuda_home),
            "CUDAARCHS": ";".join(map(str, key.archs)),
            "PATH": os.pathsep.join([str(folder / "cuda/bin"), env["PATH"]]),
        }
    return env


def write_tools(key: BuildKey, gpu: Gpu | None, folder: Path, environ: Mapping[str, str] = os.environ) -> None:
    """Write the wrappers, and for a GPU build the folders of CUDA and NCCL, that `build_environment` names."""
    tools = folder / "tools"
    write_compiler(tools / "c++", cxx_command(environ), key.dialect)
    cmake, arguments = shutil.which("cmake", path=search_path(environ)) or "cmake", []
    if gpu is None:
        _executable(tools / "python", _PYTHON.format(command=shlex.quote(sys.executable)))
        arguments = [
            f"-DPYTHON_EXECUTABLE:FILEPATH={tools / 'python'}",
            "-DCMAKE_CUDA_COMPILER=NOTFOUND",
            "-DCMAKE_DISABLE_FIND_PACKAGE_CUDAToolkit=ON",
        ]
    else:
        _write_nvcc(gpu, folder, key.dialect)
        # Real paths: they stay in the library as places to search, and a temporary folder there could be anybody's later.
        arguments = [f"-DNCCL_INCLUDE_DIR={gpu.nccl_header.parent}", f"-DNCCL_LIBRARY={gpu.nccl_library}"]
    _executable(tools / "cmake", _CMAKE.format(command=shlex.quote(cmake), arguments=shlex.join(arguments)))


def _write_nvcc(gpu: Gpu, folder: Path, dialect: int) -> None:
    """A folder of links to the toolkit, with a wrapper in the place of nvcc."""
    for source, target in ((gpu.cuda_home, folder / "cuda"), (gpu.cuda_home / "bin", folder / "cuda/bin")):
        target.mkdir()
        for entry in source.iterdir():
            if entry.name not in ("bin", "nvcc"):
                (target / entry.name).symlink_to(entry)
    write_compiler(folder / "cuda/bin/nvcc", [str(gpu.cuda_home / "bin/nvcc")], dialect)
