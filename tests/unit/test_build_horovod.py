"""hpc.build_horovod without compiling Horovod: key, environment, wrappers, cache, lock, verdicts, messages."""

import dataclasses
import io
import json
import os
import platform
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import packaging
import pytest

from hpc import build_horovod
from hpc.build_horovod import cache as horovod_cache
from hpc.build_horovod import compile as horovod_compile
from hpc.build_horovod import gpu as horovod_gpu
from hpc.build_horovod import key as horovod_key
from hpc.build_horovod import prove as horovod_prove
from hpc.build_horovod import scratch as horovod_scratch
from hpc.build_horovod import tools as horovod_tools
from hpc.build_horovod.key import BuildError, BuildKey, Torch
from hpc.build_horovod.verdict import mismatches

ROOT = Path(__file__).resolve().parents[2]
CPU = BuildKey("0.28.1", "2.13.0+cpu", True, "cp311", "openmpi4.1.4", None, None, (), 17, "x86_64", "glibc2.36")
GPU = dataclasses.replace(CPU, torch="2.10.0+cu128", cuda="12.8", nccl="2.27.5", archs=(70, 75))


# ---- key


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


# ---- GPU


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


# ---- environment and wrappers


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


# ---- cache


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


@pytest.fixture(name="stored")
def stored_fixture(tmp_path: Path) -> Path:
    return horovod_cache.store(make_wheel(tmp_path / "built"), tmp_path / "cache", CPU)


def test_a_stored_wheel_is_found_and_whole(stored: Path, tmp_path: Path) -> None:
    assert horovod_cache.cached_wheel(tmp_path / "cache", CPU) == stored
    assert horovod_cache.cached_wheel(tmp_path / "cache", GPU) is None
    assert horovod_cache.cached_wheels(tmp_path / "cache") == [stored]
    assert horovod_cache.damage(stored, CPU) is None
    with zipfile.ZipFile(stored) as archive:
        assert horovod_cache.key_of(archive.read("horovod/v2a_build.json")) == CPU
        assert archive.read("horovod/torch/lib.so") == bytes(range(256)) * 50


def test_a_wheel_of_another_key_is_damage(stored: Path) -> None:
    assert horovod_cache.damage(stored, GPU) == "it was built for another environment"


@pytest.mark.parametrize("cut", [0, 10, 500])
def test_a_cut_off_wheel_is_damage(stored: Path, cut: int) -> None:
    stored.write_bytes(stored.read_bytes()[:cut])
    assert "cannot be read" in str(horovod_cache.damage(stored, CPU))


def test_each_flipped_byte_in_a_files_content_is_damage(stored: Path) -> None:
    whole = stored.read_bytes()
    with zipfile.ZipFile(stored) as archive:
        item = archive.getinfo("horovod/torch/lib.so")
    first = item.header_offset + 30 + len(item.filename)
    for position in range(first, first + item.compress_size, 7):
        stored.write_bytes(whole[:position] + bytes([whole[position] ^ 0x10]) + whole[position + 1 :])
        assert horovod_cache.damage(stored, CPU) is not None, position


def test_a_file_that_was_put_in_later_is_damage(stored: Path) -> None:
    with zipfile.ZipFile(stored, "a") as archive:
        archive.writestr("horovod/extra.py", "print('hello')")
    assert horovod_cache.damage(stored, CPU) == "horovod/extra.py in it is not what was built"


def test_where_the_cache_is() -> None:
    assert horovod_cache.cache_root({"V2A_CACHE_DIR": "/a b", "XDG_CACHE_HOME": "/x"}) == Path("/a b")
    assert horovod_cache.cache_root({"XDG_CACHE_HOME": "/x", "HOME": "/h"}) == Path("/x/v2a-hpc")
    assert horovod_cache.cache_root({"HOME": "/h"}) == Path("/h/.cache/v2a-hpc")


_HOLD = """
import sys
from pathlib import Path
from tests.unit.test_build_horovod import CPU
from hpc.build_horovod.cache import locked
with locked(Path(sys.argv[1]), CPU, print):
    print("held", flush=True)
    sys.stdin.read()
"""


def holder(root: Path) -> "subprocess.Popen[str]":
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    process: subprocess.Popen[str] = subprocess.Popen([sys.executable, "-c", _HOLD, str(root)], env=env, **pipes)  # type: ignore[call-overload]
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_the_second_of_two_builds_waits_and_says_so(tmp_path: Path) -> None:
    with holder(tmp_path) as first:
        said: list[str] = []

        def say(text: str) -> None:
            said.append(text)
            assert first.stdin is not None
            first.stdin.close()  # the first ends only now, so the second did wait

        with horovod_cache.locked(tmp_path, CPU, say, poll_s=0.02):
            assert first.wait(timeout=10) == 0
    assert len(said) == 1
    assert f"process {first.pid} on" in said[0]
    assert "waiting" in said[0]


def test_a_killed_build_holds_no_lock(tmp_path: Path) -> None:
    with holder(tmp_path) as first:
        first.kill()
        first.wait(timeout=10)
        with horovod_cache.locked(tmp_path, CPU, pytest.fail):
            assert "process" in (tmp_path / "horovod" / f"{CPU.name}.lock").read_text()


@pytest.fixture(name="temporary")
def temporary_fixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_what_a_killed_build_left_is_removed(tmp_path: Path, temporary: Path) -> None:
    with horovod_scratch.scratch(tmp_path / "cache", CPU) as folder:
        assert folder.parent == temporary
    assert not folder.exists()
    stale = folder  # the folder of a build that was killed: the same name but for its random end
    with horovod_scratch.scratch(tmp_path / "another cache", CPU) as other:
        (other / "object.o").touch()
        stale.mkdir()
        (stale / "object.o").touch()
        orphan = subprocess.Popen(["sleep", "60"], env={"TMPDIR": str(stale)})
        bystander = subprocess.Popen(["sleep", "60"], env={"TMPDIR": str(other)})
        try:
            with horovod_scratch.scratch(tmp_path / "cache", CPU):
                assert orphan.wait(timeout=5) == -9
                assert not stale.exists()
            assert bystander.poll() is None
            assert (other / "object.o").exists()
        finally:
            for process in (orphan, bystander):
                process.kill()
                process.wait()


def test_a_temporary_folder_with_a_space_is_not_compiled_in(tmp_path: Path) -> None:
    spaced = tmp_path / "my folder"
    spaced.mkdir()
    assert "spaces" in str(horovod_scratch.unfit(spaced))
    assert horovod_scratch.unfit(tmp_path) is None
    assert horovod_scratch._first_fit([spaced, tmp_path / "missing", tmp_path]) == tmp_path
    with pytest.raises(BuildError, match=r"no folder to compile in; .*my folder: .*spaces") as error:
        horovod_scratch._first_fit([spaced])
    assert "TMPDIR" in error.value.fix


def test_room_is_looked_for_before_compiling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    horovod_cache.check_room(tmp_path)
    monkeypatch.setattr(horovod_cache, "WHEEL_BYTES", 10**18)
    with pytest.raises(BuildError, match="MB free, and a wheel and its log need 1000000000000"):
        horovod_cache.check_room(tmp_path)


def test_a_full_disk_leaves_no_partial_wheel(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path)
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("horovod/big", os.urandom(300_000))
    cache = tmp_path / "cache"
    # A file size limit stops a write in the middle as a full disk does
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, before[1]))
        with pytest.raises(OSError, match="File too large"):
            horovod_cache.store(wheel, cache, CPU)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert [file for file in cache.rglob("*") if file.is_file()] == []


# ---- running the compile, and its messages


@pytest.mark.parametrize(
    ("output", "what", "fix"),
    [
        ("fatal error: error writing to /tmp/x.s: No space left on device", "the disk is full", "V2A_CACHE_DIR"),
        ("c++: fatal error: Killed signal terminated program cc1plus", "ran out of memory", "-j 1"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM", "not the published one", "pip config list"),
        ("ERROR: No matching distribution found for horovod==0.28.1", "could not be downloaded", "PIP_FIND_LINKS"),
        ("pybind11.h:3: fatal error: Python.h: No such file or directory", "Python's headers", "python3-dev"),
        ("#error You need GCC 9 or newer; requires GCC 9", "too old for torch", "CXX"),
        ("Could NOT find MPI (missing: MPI_CXX_FOUND)", "no usable MPI", "libopenmpi-dev"),
        ("something nobody has seen", "did not compile (pip ended with code 7)", "first 'error:'"),
    ],
)
def test_a_failure_is_explained(tmp_path: Path, output: str, what: str, fix: str) -> None:
    log = tmp_path / "build.log"
    log.write_text("\n".join([*(f"line {n}" for n in range(100)), output]) + "\n\n")
    error = horovod_compile.failure(log, 7, 10**9)
    assert what in error.what
    assert fix in error.fix
    assert str(log) in error.what
    assert f"  | {output}" in error.what
    assert "  | line 86\n" in error.what
    assert "line 85" not in error.what


def test_a_disk_that_was_full_is_the_cause_whatever_the_tools_say(tmp_path: Path) -> None:
    log = tmp_path / "build.log"
    log.write_text("Error: could not load cache\n")
    assert "the disk is full" in horovod_compile.failure(log, 1, 4096).what
    assert "did not compile" in horovod_compile.failure(log, 1, 10**9).what


def test_the_first_error_is_shown_before_the_last_lines(tmp_path: Path) -> None:
    log = tmp_path / "build.log"
    lines = [
        "mpi.cc:3: error: no member named 'x'",
        *(f"line {n}" for n in range(40)),
        "error: subprocess-exited-with-error",
    ]
    log.write_text("\n".join(lines))
    what = horovod_compile.failure(log, 1, 10**9).what
    assert "  | mpi.cc:3: error: no member named 'x'\n  | line 26\n" in what


def test_progress_shows_the_last_step_on_plain_lines(tmp_path: Path) -> None:
    stream = io.StringIO()
    progress = horovod_compile.Progress(stream, tmp_path)
    progress.show()
    assert stream.getvalue() == ""  # not yet time: every 30 s where there is no terminal
    progress.every_s = 0
    progress.read("  [ 43%] Building CXX obj")
    progress.read("ect mpi.cc.o\n  cd /tmp && c++ -Wall\nmpi.cc:3: warning: x\n")
    progress.show()
    progress.end()
    assert stream.getvalue() == " 0:00  [ 43%] Building CXX object mpi.cc.o\n"


def test_a_long_step_is_shortened_in_the_middle() -> None:
    step = horovod_compile._short(
        "[ 43%] Building CXX object horovod/torch/CMakeFiles/pytorch.dir/" + "x/" * 40 + "mpi.cc.o"
    )
    assert len(step) <= 78
    assert step.startswith("[ 43%] Building CXX object")
    assert step.endswith("mpi.cc.o")


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_no_compiler_outlives_the_build(tmp_path: Path) -> None:
    command = ["sh", "-c", "sleep 60 >/dev/null 2>&1 & echo $!; exit 3"]
    with (tmp_path / "log").open("wb") as log:
        code = horovod_compile._run(
            command, os.environ, log.fileno(), horovod_compile.Progress(io.StringIO(), tmp_path)
        )
    assert code == 3
    pid = int((tmp_path / "log").read_text().splitlines()[-1])
    deadline = time.monotonic() + 5
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not alive(pid)


def test_pip_is_pinned_to_the_published_source() -> None:
    command = horovod_compile.wheel_command(Path("/a b"))
    assert {"--require-hashes", "--no-cache-dir", "--no-build-isolation", "--no-deps"} <= set(command)
    assert len(horovod_compile.SDIST_SHA256) == 64


# ---- the verdict


@pytest.fixture(name="site")
def site_fixture(tmp_path: Path) -> Path:
    """Packages folder with a torch of version 2.13.0+cpu and nothing else but what hpc imports."""
    site = tmp_path / "site"
    (site / "torch").mkdir(parents=True)
    (site / "torch/__init__.py").touch()
    (site / "torch/version.py").write_text("__version__ = '2.13.0+cpu'\ncuda = None\n")
    (site / "packaging").symlink_to(Path(packaging.__file__).parent)
    return site


def install(site: Path, record: str | None, torch_module: str | None = None) -> None:
    (site / "horovod").mkdir()
    (site / "horovod/__init__.py").touch()
    built = "".join(f"def {name}_built(): return {name != 'nccl'}\n" for name in ("mpi", "gloo", "nccl"))
    (site / "horovod/torch.py").write_text(built if torch_module is None else torch_module)
    if record is not None:
        (site / "horovod/v2a_build.json").write_text(record)
    (site / "horovod-0.28.1.dist-info").mkdir()
    (site / "horovod-0.28.1.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: horovod\nVersion: 0.28.1\n")


def here() -> BuildKey:
    return dataclasses.replace(CPU, python=horovod_key.python_tag(), mpi=horovod_key.find_mpi())


def ask(site: Path, *arguments: str, **env: str) -> "subprocess.CompletedProcess[str]":
    """The command in an interpreter that sees only these packages (-S: not its own)."""
    paths = os.pathsep.join([str(site), str(ROOT)])
    command = [sys.executable, "-S", "-m", "hpc.build_horovod", *arguments]
    # Should the command ever start to build here, which no test asks of it: not with this user's cache, nor to the end.
    safe = {"V2A_CACHE_DIR": str(site / "cache"), "CXX": "no-such-compiler"}
    env = {**os.environ, "PYTHONPATH": paths, **safe, **env}
    answer = subprocess.run(command, capture_output=True, text=True, env=env, cwd=site, check=False, timeout=60)
    assert "Traceback" not in answer.stderr
    return answer


def verdict(site: Path) -> tuple[int, dict[str, object]]:
    answer = ask(site, "--check", "--json")
    return answer.returncode, json.loads(answer.stdout)


def test_check_says_that_torch_is_missing(site: Path) -> None:
    shutil.rmtree(site / "torch")
    code, said = verdict(site)
    assert (code, said["fits"]) == (1, False)
    assert "torch is not installed" in str(said["sentence"])


def test_check_says_that_horovod_is_missing(site: Path) -> None:
    answer = ask(site, "--check")
    assert answer.returncode == 1
    assert answer.stdout == "Horovod is not installed (torch 2.13.0+cpu is)\nfix: python -m hpc.build_horovod\n"


def test_check_says_that_it_fits(site: Path) -> None:
    install(site, json.dumps(here().to_json()))
    code, said = verdict(site)
    assert (code, said["fits"], said["fix"]) == (0, True, None)
    assert said["operations"] == ["mpi", "gloo"]
    assert BuildKey.from_json(said["key"]) == here()


def test_check_says_for_which_torch_and_python_it_was_built(site: Path) -> None:
    install(site, json.dumps(dataclasses.replace(here(), torch="2.10.0+cu128", python="cp39").to_json()))
    code, said = verdict(site)
    assert (code, said["fix"]) == (1, "python -m hpc.build_horovod")
    assert "built for torch 2.10.0+cu128 and Python cp39, but here is torch 2.13.0+cpu and Python cp" in str(
        said["sentence"]
    )


@pytest.mark.parametrize("record", ["{", "{}", "[]", ""])
def test_check_says_that_the_record_is_damaged(site: Path, record: str) -> None:
    install(site, record)
    code, said = verdict(site)
    assert code == 1
    assert "v2a_build.json) is damaged" in str(said["sentence"])
    assert str(said["fix"]).endswith("--force")


def test_check_judges_somebody_elses_build_by_loading_it(site: Path) -> None:
    install(site, None)
    code, said = verdict(site)
    assert (code, said["key"]) == (0, None)
    assert "built by someone else; has mpi, gloo" in str(said["sentence"])


@pytest.mark.parametrize("ours", [True, False])
def test_check_says_why_it_does_not_load(site: Path, ours: bool) -> None:
    broken = "raise ImportError('mpi_lib_v2.so: undefined symbol: _ZN3c106detail')"
    install(site, json.dumps(here().to_json()) if ours else None, broken)
    code, said = verdict(site)
    assert code == 1
    assert "undefined symbol: _ZN3c106detail" in str(said["sentence"])
    assert ("was not built by hpc.build_horovod" in str(said["sentence"])) is not ours


@pytest.mark.parametrize(
    ("mpi", "wrong"),
    [("openmpi4.1.4", []), (None, []), ("openmpi5.0.3", [("MPI openmpi4.1.4", "MPI openmpi5.0.3")])],
)
def test_mpi_mismatch(mpi: str | None, wrong: list[tuple[str, str]]) -> None:
    assert mismatches(CPU, CPU.torch, True, CPU.python, mpi) == wrong


def test_abi_mismatch() -> None:
    assert mismatches(CPU, CPU.torch, False, CPU.python, None) == [("new C++ ABI", "old C++ ABI")]


# ---- the command


def test_a_dry_run_builds_nothing_and_shows_everything(site: Path, tmp_path: Path) -> None:
    answer = ask(site, "--dry-run", "--mpi", "off", "-j", "3", V2A_CACHE_DIR=str(tmp_path / "my cache"))
    assert answer.returncode == 0, answer.stderr
    assert "key: horovod0.28.1-torch2.13.0_cpu-cp" in answer.stdout
    assert "  MAKEFLAGS=-j3\n" in answer.stdout
    assert "  HOROVOD_WITHOUT_MPI=1\n" in answer.stdout
    assert " -m pip wheel " in answer.stdout
    assert not (tmp_path / "my cache").exists()


def test_without_torch_nothing_is_built(site: Path) -> None:
    shutil.rmtree(site / "torch")
    answer = ask(site)
    assert answer.returncode == 1
    assert answer.stderr == (
        "error: torch is not installed, and Horovod is compiled against it\nfix: pip install torch, then this again\n"
    )


def test_gpus_cannot_be_required_of_a_cpu_torch(site: Path) -> None:
    answer = ask(site, "--gpu", "require")
    assert answer.returncode == 1
    assert "torch 2.13.0+cpu has no CUDA" in answer.stderr


def test_a_cuda_torch_without_a_toolkit_is_built_for_the_cpu_and_told_so(site: Path) -> None:
    (site / "torch/version.py").write_text("__version__ = '2.99.0+cu990'\ncuda = '99.0'\n")
    answer = ask(site, "--dry-run")
    assert answer.returncode == 0
    assert "warning: CPU operations only" in answer.stderr
    assert "reduced through host memory" in answer.stderr
    assert "  cuda: None\n" in answer.stdout
    assert ask(site, "--dry-run", "--gpu", "require").returncode == 1


def test_force_keeps_the_old_wheel_when_the_build_fails(site: Path, tmp_path: Path) -> None:
    root = tmp_path / "cache"
    key = dataclasses.replace(here(), mpi=None, libc=horovod_key.libc_tag(), machine=platform.machine())
    wheel = horovod_cache.store(make_wheel(tmp_path / "built"), root, key)
    answer = ask(site, "--force", "--mpi", "off", V2A_CACHE_DIR=str(root))
    assert answer.returncode == 1
    assert "cannot be compiled without no-such-compiler" in answer.stderr
    assert horovod_cache.damage(wheel, key) is None


def test_a_damaged_wheel_is_deleted_and_said_so(site: Path, tmp_path: Path) -> None:
    root = tmp_path / "cache"
    key = dataclasses.replace(here(), mpi=None, libc=horovod_key.libc_tag(), machine=platform.machine())
    wheel = horovod_cache.store(make_wheel(tmp_path / "built"), root, key)
    wheel.write_bytes(wheel.read_bytes()[:-100])
    answer = ask(site, "--mpi", "off", V2A_CACHE_DIR=str(root))
    assert "the cached wheel is deleted and built again: it cannot be read" in answer.stderr
    assert not wheel.exists()


def test_an_unusable_cache_folder_is_a_plain_error(site: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    answer = ask(site, V2A_CACHE_DIR=str(tmp_path / "file/cache"))
    assert answer.returncode == 1
    assert "error: Not a directory" in answer.stderr
    assert "fix: set V2A_CACHE_DIR" in answer.stderr


@pytest.mark.parametrize("arguments", [["--json"], ["--prove"], ["-j", "0"], ["--cuda-archs", "T4"], ["--gpu", "yes"]])
def test_wrong_arguments(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        build_horovod.main([*arguments, "--list"])  # --list: nothing is built even if the arguments were taken
    assert stop.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_the_list_of_wheels(
    stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("V2A_CACHE_DIR", str(tmp_path / "cache"))
    assert build_horovod.main(["--list"]) == 0
    listed = capsys.readouterr().out
    assert str(stored) in listed
    assert "1 wheels in" in listed


# ---- the proof's launcher


def test_the_ranks_do_not_see_this_process_own_job() -> None:
    env = horovod_prove.launch_environment(
        "gloo", {"SLURM_JOB_ID": "1", "OMPI_COMM_WORLD_RANK": "3", "HOROVOD_RANK": "3", "A": "b"}
    )
    assert not {"SLURM_JOB_ID", "OMPI_COMM_WORLD_RANK", "HOROVOD_RANK"} & set(env)
    assert (env["A"], env["HOROVOD_CONTROLLER"], env["PYTHONPATH"]) == ("b", "gloo", str(ROOT))


def test_a_hang_ends_with_all_its_processes() -> None:
    env = horovod_prove.launch_environment("gloo")
    # setsid: a process that left the group, as horovodrun's ranks do
    code, output = horovod_prove._run(["sh", "-c", "setsid sleep 60 & echo $!; wait"], env, timeout_s=0.5)
    assert code is None
    deadline = time.monotonic() + 5
    while alive(int(output)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not alive(int(output))
