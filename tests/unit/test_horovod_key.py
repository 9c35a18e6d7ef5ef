"""What a build depends on, the GPU part of it, and the environment and wrappers that the compilers get."""

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hpc.build_horovod import gpu as horovod_gpu
from hpc.build_horovod import key as horovod_key
from hpc.build_horovod import tools as horovod_tools
from hpc.build_horovod.key import BuildError, BuildKey, Torch
from tests.unit.horovod_builds import CPU, GPU, ROOT, cuda_torch, toolkit


def test_the_name_is_a_file_name_whatever_the_versions_say() -> None:
    hostile = dataclasses.replace(CPU, torch="2.13.0+git/../x; rm '", mpi="open mpi\n4")
    assert re.fullmatch(r"[A-Za-z0-9._-]+", hostile.name)
    assert CPU.name == "horovod0.28.1-torch2.13.0_cpu-cp311-openmpi4.1.4-cpu-cxx17abi1-x86_64-glibc2.36"
    assert "cuda12.8-nccl2.27.5-sm70.75" in GPU.name


@pytest.mark.parametrize(
    "change",
    [
        {"horovod": "0.29.0"},
        {"torch": "2.13.0+cu130"},
        {"cxx11_abi": False},
        {"python": "cp312"},
        {"mpi": None},
        {"cuda": "12.9"},
        {"nccl": "2.28.1"},
        {"archs": (75,)},
        {"dialect": 20},
        {"machine": "aarch64"},
        {"libc": "glibc2.28"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_each_field_changes_the_name(change: dict[str, object]) -> None:
    assert dataclasses.replace(GPU, **change).name != GPU.name  # type: ignore[arg-type]


@pytest.mark.parametrize("key", [CPU, GPU], ids=["cpu", "gpu"])
def test_a_key_comes_back_from_its_json(key: BuildKey) -> None:
    assert BuildKey.from_json(json.loads(json.dumps(key.to_json()))) == key


@pytest.mark.parametrize("values", [{}, [], {**CPU.to_json(), "more": 1}, {**CPU.to_json(), "archs": "70"}])
def test_json_that_is_no_key_is_refused(values: object) -> None:
    with pytest.raises(ValueError, match="expected the fields"):
        BuildKey.from_json(values)


def test_a_key_that_is_half_gpu_is_refused() -> None:
    with pytest.raises(ValueError, match="all given or all absent"):
        dataclasses.replace(GPU, nccl=None)


@pytest.mark.parametrize(
    ("torch", "dialect"),
    [
        ("2.6.0", 17),
        ("2.13.0+cpu", 17),
        ("2.13.1+cu130", 17),
        ("2.14.0", 20),
        ("2.14.0.dev20261101+cu130", 20),
        ("3.0", 20),
    ],
)
def test_dialect(torch: str, dialect: int) -> None:
    assert horovod_key.dialect_for(torch) == dialect


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("mpicxx: Open MPI 4.1.4 (Language: C++)", "openmpi4.1.4"),
        ("mpirun (Open MPI) 5.0.3\n\nReport bugs to", "openmpi5.0.3"),
        ("HYDRA build details:\n    Version:                                 4.0.2\n    Release Date:", "mpich4.0.2"),
        ("Intel(R) MPI Library for Linux* OS, Version 2021.10 Build 20230619", "intelmpi2021.10"),
        ("g++: error: unrecognized command-line option '--showme:version'", None),
    ],
)
def test_mpi_name(text: str, name: str | None) -> None:
    assert horovod_key.mpi_name(text) == name


def test_torch_is_read_without_importing_it() -> None:
    import torch

    found = horovod_key.find_torch()
    assert found is not None
    assert (found.version, found.cuda) == (torch.__version__, torch.version.cuda)
    assert found.cxx11_abi == torch.compiled_with_cxx11_abi()


def test_the_old_abi_is_read_from_torchs_cmake_file(tmp_path: Path) -> None:
    file = tmp_path / "share/cmake/Torch/TorchConfig.cmake"
    file.parent.mkdir(parents=True)
    file.write_text('set(TORCH_CXX_FLAGS "-D_GLIBCXX_USE_CXX11_ABI=0")')
    assert not horovod_key._cxx11_abi(tmp_path)
    file.write_text('set(TORCH_CXX_FLAGS "-D_GLIBCXX_USE_CXX11_ABI=1")')
    assert horovod_key._cxx11_abi(tmp_path)


def test_importing_needs_neither_torch_nor_horovod() -> None:
    code = "import sys; sys.modules.update(torch=None, horovod=None); import hpc.build_horovod as b; print(b.parser().prog)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert answer.stdout == "python -m hpc.build_horovod\n", answer.stderr


@pytest.mark.parametrize(
    ("wanted", "torch", "nvcc", "archs", "note"),
    [
        (None, (70, 75, 80), (52, 70, 75, 90), (70, 75), None),
        (None, (75, 80), (70, 75), (75,), "this torch has dropped it; for V100 install with constraints/v100.txt"),
        (None, (70, 75), (75, 80), (75,), "not built for sm_70 (V100): this CUDA toolkit has dropped it"),
        (None, (), (70, 75), (70, 75), None),
        ((80,), (75, 80), (75, 80), (80,), None),
        ((90, 75), (75,), (75, 90), (75, 90), "torch itself has no kernels for sm_90"),
    ],
)
def test_architectures(
    wanted: tuple[int, ...] | None,
    torch: tuple[int, ...],
    nvcc: tuple[int, ...],
    archs: tuple[int, ...],
    note: str | None,
) -> None:
    got, notes = horovod_gpu.choose_archs(wanted, torch, nvcc)
    assert got == archs
    assert (note in " ".join(notes)) if note else (notes == ())


def test_an_architecture_that_the_toolkit_lacks_is_refused() -> None:
    with pytest.raises(BuildError, match=r"cannot compile for 70; it has 75, 80") as error:
        horovod_gpu.choose_archs((70, 75), (70, 75), (75, 80))
    assert "CUDA 13 dropped 70" in error.value.fix


def test_no_architecture_left_is_refused() -> None:
    with pytest.raises(BuildError, match="neither T4"):
        horovod_gpu.choose_archs(None, (80, 90), (80, 90))


def test_toolkit_and_nccl_are_found(tmp_path: Path) -> None:
    home = toolkit(tmp_path / "cuda 12")
    gpu = horovod_gpu.find_gpu(cuda_torch(tmp_path / "site"), None, {"CUDA_HOME": str(home), "PATH": ""})
    assert (gpu.cuda_home, gpu.nccl) == (home, "2.27.5")
    assert gpu.archs in ((70, 75), (75,))  # the torch that runs this test may have dropped 70
    assert gpu.nccl_library == tmp_path / "site/nvidia/nccl/lib/libnccl.so.2"


def test_a_toolkit_of_another_major_version_is_not_used(tmp_path: Path) -> None:
    old = toolkit(tmp_path / "cuda11", "11.8")
    with pytest.raises(BuildError, match=f"need a toolkit .* of CUDA 12: .*{old} is CUDA 11.8") as error:
        horovod_gpu.find_gpu(cuda_torch(tmp_path / "site"), None, {"CUDA_PATH": str(old), "PATH": ""})
    assert "module load cuda/12.8" in error.value.fix


def test_missing_nccl_is_named(tmp_path: Path) -> None:
    torch = Torch("2.10.0+cu128", "12.8", True, tmp_path / "torch")
    if Path("/usr/include/nccl.h").exists():
        pytest.skip("this machine has NCCL in /usr")
    with pytest.raises(BuildError, match=r"nccl\.h") as error:
        horovod_gpu.find_gpu(torch, None, {"CUDA_HOME": str(toolkit(tmp_path / "cuda")), "PATH": ""})
    assert "pip install nvidia-nccl-cu12" in error.value.fix


def test_the_environment_is_ours_alone(tmp_path: Path) -> None:
    user = {"PATH": "/bin", "HOROVOD_GPU_OPERATIONS": "MPI", "CCL_ROOT": "/x", "MAKEFLAGS": "-j99", "LANG": "C"}
    env = horovod_tools.build_environment(CPU, None, tmp_path, 3, user)
    assert env["LANG"] == "C"
    assert env["MAKEFLAGS"] == "-j3"
    assert env["HOROVOD_WITH_MPI"] == env["HOROVOD_WITH_GLOO"] == env["HOROVOD_WITH_PYTORCH"] == "1"
    assert env["TMPDIR"] == str(tmp_path)
    assert not {"HOROVOD_GPU_OPERATIONS", "CCL_ROOT", "HOROVOD_WITHOUT_MPI"} & set(env)


def test_without_mpi_it_is_switched_off(tmp_path: Path) -> None:
    env = horovod_tools.build_environment(dataclasses.replace(CPU, mpi=None), None, tmp_path, 1, {})
    assert env["HOROVOD_WITHOUT_MPI"] == "1"
    assert "HOROVOD_WITH_MPI" not in env


def run(*command: object, **env: str) -> str:
    made = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=True, env={**os.environ, **env}
    )
    return made.stdout


@pytest.mark.parametrize(
    ("dialect", "asked", "given"),
    [
        (17, "-std=c++14", "-std=c++17"),
        (17, "-std=gnu++14", "-std=c++17"),
        (17, "-std=c++11", "-std=c++17"),
        (17, "-std=c++17", "-std=c++17"),
        (17, "-std=c++20", "-std=c++20"),
        (17, "-std=c11", "-std=c11"),
        (20, "-std=c++14", "-std=c++20"),
        (20, "-std=gnu++17", "-std=c++20"),
    ],
)
def test_the_compiler_wrapper_raises_the_dialect_only(tmp_path: Path, dialect: int, asked: str, given: str) -> None:
    wrapper = horovod_tools.write_compiler(tmp_path / "a b/c++", ["printf", "%s\n"], dialect)
    others = ['-DNAME="two words"', "-I/my clips (2)/$HOME;`id`", "", "*", "x.cc"]
    assert run(wrapper, *others, asked).split("\n")[:-1] == [*others, given]


def test_cmake_is_told_that_there_is_no_cuda(tmp_path: Path) -> None:
    fake = tmp_path / "bin/cmake"
    fake.parent.mkdir()
    fake.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    fake.chmod(0o755)
    folder = tmp_path / "build folder"
    horovod_tools.write_tools(CPU, None, folder, {"PATH": f"{fake.parent}:/usr/bin:/bin"})
    arguments = run(folder / "tools/cmake", ".", "-DPYTHON_EXECUTABLE:FILEPATH=/real").splitlines()
    assert arguments[-3:] == [
        f"-DPYTHON_EXECUTABLE:FILEPATH={folder}/tools/python",
        "-DCMAKE_CUDA_COMPILER=NOTFOUND",
        "-DCMAKE_DISABLE_FIND_PACKAGE_CUDAToolkit=ON",
    ]
    assert run(folder / "tools/cmake", "--build", ".").splitlines() == ["--build", "."]


def test_a_cpu_build_sees_a_torch_without_cuda(tmp_path: Path) -> None:
    package = tmp_path / "site/torch"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("from . import version\n")
    (package / "version.py").write_text("__version__ = '2.13.0+cu130'\ncuda = '13.0'\nhip = None\n")
    horovod_tools.write_tools(CPU, None, tmp_path / "build")
    code = "import sys, torch; print(torch.__name__, torch.version.cuda, sys.argv[1:])"
    answer = run(tmp_path / "build/tools/python", "-c", code, "two words", PYTHONPATH=str(package.parent))
    assert answer == "torch None ['two words']\n"


def test_a_gpu_build_has_its_own_nvcc_and_nccl(tmp_path: Path) -> None:
    torch = cuda_torch(tmp_path / "site")
    home = toolkit(tmp_path / "cuda")
    nccl = tmp_path / "site/nvidia/nccl"
    gpu = horovod_gpu.Gpu(home, "2.27.5", nccl / "include/nccl.h", nccl / "lib/libnccl.so.2", (70, 75))
    folder = tmp_path / "a build"
    folder.mkdir()
    horovod_tools.write_tools(GPU, gpu, folder)
    env = horovod_tools.build_environment(GPU, gpu, folder, 1)
    assert torch.cuda == "12.8"
    assert env["HOROVOD_GPU_OPERATIONS"] == "NCCL"
    assert env["HOROVOD_BUILD_CUDA_CC_LIST"] == "70,75"
    nvcc = shutil.which("nvcc", path=env["PATH"])
    assert nvcc == f"{env['HOROVOD_CUDA_HOME']}/bin/nvcc"
    assert run(nvcc, "-std=c++11", "x.cu").splitlines() == ["-std=c++17", "x.cu"]
    assert Path(env["HOROVOD_CUDA_HOME"], "include/cuda_runtime.h").exists()
    assert env["CUDA_HOME"] == str(home)
    cmake = (folder / "tools/cmake").read_text()
    assert f"-DNCCL_INCLUDE_DIR={nccl}/include" in cmake
    assert f"-DNCCL_LIBRARY={nccl}/lib/libnccl.so.2" in cmake
    assert "NOTFOUND" not in cmake


@pytest.mark.parametrize(("cores", "gib", "jobs"), [(2, 24, 2), (72, 20, 10), (8, 3, 1), (8, 0, 1)])
def test_jobs(cores: int, gib: int, jobs: int) -> None:
    assert horovod_tools.jobs_that_fit(cores, gib * 1024**3) == jobs


def test_missing_programs_are_named_with_the_command(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"cannot be compiled without no-such-c\+\+, make") as error:
        horovod_tools.check_tools({"PATH": str(tmp_path), "CXX": "no-such-c++ -m64"})
    assert "apt-get install g++ make" in error.value.fix
