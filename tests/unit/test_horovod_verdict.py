"""The verdict on an installed Horovod, the command line, and how the proof is launched."""

import dataclasses
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

import packaging
import pytest

from hpc import build_horovod
from hpc.build_horovod import cache as horovod_cache
from hpc.build_horovod import key as horovod_key
from hpc.build_horovod import prove as horovod_prove
from hpc.build_horovod.key import BuildKey
from hpc.build_horovod.verdict import mismatches
from tests.unit.horovod_builds import CPU, ROOT, alive, make_wheel


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
