"""GPU judgements against the architecture lists that real wheels of torch carry, and programs that misbehave."""

import os
import sys
import time
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from hpc.preflight import gpu_facts
from hpc.preflight.driver import judge_driver, judge_nccl
from hpc.preflight.gpu import judge_architectures, judge_gpu, judge_sharing, runs_on
from hpc.preflight.gpu_facts import (
    Device,
    Driver,
    Grant,
    TorchFacts,
    gather_driver,
    gather_torch,
    read_grant,
    read_torch,
)
from hpc.preflight.limits import Answer

# torch.cuda.get_arch_list() of the wheels on the package index: 2.10 for CUDA 12.8, 2.13 for CUDA 13.0.
TORCH_2_10 = ("sm_70", "sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120")
TORCH_2_13 = ("sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120")

K80 = Device("Tesla K80", (3, 7), 12 * 2**30)
V100 = Device("Tesla V100-SXM2-32GB", (7, 0), 32 * 2**30)
T4 = Device("Tesla T4", (7, 5), 15 * 2**30)
A100 = Device("NVIDIA A100-SXM4-40GB", (8, 0), 40 * 2**30)
L4 = Device("NVIDIA L4", (8, 9), 23 * 2**30)
FUTURE = Device("NVIDIA X900", (15, 0), 99 * 2**30)

CPU = TorchFacts("2.13.0+cpu")
CUDA_12 = TorchFacts("2.10.0+cu128", cuda_version="12.8", arch_list=TORCH_2_10)
CUDA_13 = TorchFacts("2.13.0+cu130", cuda_version="13.0", arch_list=TORCH_2_13)
NONE_SEEN = "No CUDA GPUs are available"
ON_T4 = TorchFacts("2.10.0+cu128", cuda_version="12.8", devices=(T4,) * 4, arch_list=TORCH_2_10, nccl_version="2.27.5")
GRANTED = Grant("SLURM_STEP_GPUS=0,1,2,3", slurm=True)


@pytest.mark.parametrize(
    ("architecture", "capability", "runs"),
    [
        ("sm_70", (7, 0), True),
        ("sm_70", (7, 5), True),
        ("sm_75", (7, 0), False),
        ("sm_70", (8, 0), False),
        ("sm_86", (8, 9), True),
        ("sm_80", (9, 0), False),
        ("sm_100", (10, 3), True),
        ("sm_100", (12, 0), False),
        ("sm_90a", (9, 0), True),
        ("sm_100a", (10, 3), False),
        ("sm_100f", (10, 3), True),
        ("compute_70", (7, 0), True),
        ("compute_70", (12, 0), True),
        ("compute_75", (7, 0), False),
        ("gfx906", (9, 0), False),
        ("sm_", (7, 0), False),
    ],
)
def test_a_binary_runs_within_its_major_version_and_ptx_on_all_newer(architecture, capability, runs):
    assert runs_on(architecture, capability) is runs


@pytest.mark.parametrize("device", [V100, T4, A100, L4])
def test_torch_2_10_runs_on_everything_from_v100_on(device):
    found = judge_architectures([device], TORCH_2_10, "2.10.0+cu128", "12.8")
    assert found.level == "ok"
    assert device.name in found.sentence
    assert "fp16 with loss scaling" in found.sentence


@pytest.mark.parametrize("device", [T4, A100, L4])
def test_torch_2_13_runs_on_everything_from_t4_on(device):
    assert judge_architectures([device], TORCH_2_13, "2.13.0+cu130", "13.0").level == "ok"


def test_v100_under_torch_2_13_is_told_what_to_install():
    found = judge_architectures([V100, V100], TORCH_2_13, "2.13.0+cu130", "13.0")
    assert found.level == "fail"
    for part in ("Tesla V100-SXM2-32GB", "7.0", "torch 2.13.0+cu130", "sm_75, sm_80", "no kernel image"):
        assert part in found.sentence
    assert "constraints/v100.txt" in found.fix
    assert "torch 2.10" in found.fix


def test_one_unfit_device_among_fit_ones_fails():
    found = judge_architectures([T4, T4, V100], TORCH_2_13, "2.13.0+cu130", "13.0")
    assert found.level == "fail"
    assert "V100" in found.sentence


def test_too_old_and_too_new_devices_get_their_own_fix():
    old = judge_architectures([K80], TORCH_2_10, "2.10.0+cu128", "12.8")
    new = judge_architectures([FUTURE], TORCH_2_10, "2.10.0+cu128", "12.8")
    assert (old.level, new.level) == ("fail", "fail")
    assert "another node" in old.fix
    assert "newest tested" in new.fix


def test_devices_are_counted_by_kind_with_their_memory():
    found = judge_architectures([T4, T4, T4, T4], TORCH_2_10, "2.10.0+cu128", "12.8")
    assert "4 x Tesla T4 (compute capability 7.5) with 15 GiB" in found.sentence


def test_a_machine_without_a_gpu_is_no_complaint():
    found = judge_gpu(CPU, (), Grant())
    assert found.level == "skip"
    assert "no GPU" in found.sentence


def test_granted_gpus_under_a_cpu_build_warn_that_training_uses_the_cpu():
    found = judge_gpu(CPU, (), GRANTED)
    assert found.level == "warn"
    assert "SLURM_STEP_GPUS=0,1,2,3" in found.sentence
    assert "trains on the CPU" in found.sentence
    assert "pip" in found.fix


def test_a_cpu_build_on_a_machine_with_gpus_warns_unless_slurm_gave_none_or_they_are_hidden():
    nodes = ("/dev/nvidia0",)
    assert judge_gpu(CPU, nodes, Grant()).level == "warn"
    assert judge_gpu(CPU, nodes, Grant(slurm=True)).level == "skip"
    assert "CUDA_VISIBLE_DEVICES" in judge_gpu(CPU, nodes, Grant(hidden=True)).sentence


def test_granted_gpus_that_are_hidden_warn_and_need_no_driver():
    hidden = Grant("SLURM_STEP_GPUS=0", hidden=True, slurm=True)
    blind = TorchFacts("2.10.0+cu128", cuda_version="12.8", unavailable=NONE_SEEN)
    found = judge_gpu(blind, ("/dev/nvidia0",), hidden)
    assert found.level == "warn"
    assert "CUDA_VISIBLE_DEVICES hides them" in found.sentence
    assert judge_driver(Driver("550.54.15", device_nodes=("/dev/nvidia0",)), blind, hidden).level == "skip"


def test_torch_that_cannot_be_imported_is_left_to_its_own_check():
    assert judge_gpu(TorchFacts(torch_error="OSError: libcudart.so"), (), GRANTED).level == "skip"


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, Grant()),
        ({"CUDA_VISIBLE_DEVICES": "0,1"}, Grant("CUDA_VISIBLE_DEVICES=0,1")),
        ({"CUDA_VISIBLE_DEVICES": ""}, Grant(hidden=True)),
        ({"CUDA_VISIBLE_DEVICES": "-1"}, Grant(hidden=True)),
        ({"SLURM_JOB_ID": "7", "CUDA_VISIBLE_DEVICES": "NoDevFiles"}, Grant(hidden=True, slurm=True)),
        (
            {"SLURM_JOB_ID": "7", "SLURM_JOB_GPUS": "2", "CUDA_VISIBLE_DEVICES": ""},
            Grant("SLURM_JOB_GPUS=2", hidden=True, slurm=True),
        ),
        ({"SLURM_JOB_ID": "7", "SLURM_JOB_GPUS": "2"}, Grant("SLURM_JOB_GPUS=2", slurm=True)),
        (
            {"SLURM_JOB_ID": "7", "SLURM_STEP_GPUS": "2", "SLURM_JOB_GPUS": "2,3", "SLURM_GPUS_PER_TASK": "1"},
            Grant("SLURM_STEP_GPUS=2", slurm=True, own_gpu=True),
        ),
        (
            {"SLURM_JOB_ID": "7", "SLURM_STEP_GPUS": "1", "SLURMD_TRES_BIND": "gpu:per_task:1"},
            Grant("SLURM_STEP_GPUS=1", slurm=True, own_gpu=True),
        ),
        ({"SLURM_JOB_ID": "7", "SLURM_TRES_BIND": "gpu:none"}, Grant(slurm=True)),
        ({"SLURM_JOB_ID": "7", "SLURM_TRES_PER_TASK": "gres:gpu:1"}, Grant(slurm=True, own_gpu=True)),
    ],
)
def test_the_grant_is_read_from_slurm_and_cuda(environ, expected):
    assert read_grant(environ) == expected


def test_fewer_gpus_than_processes_warn_unless_each_task_has_its_own():
    shared = judge_sharing(2, 4, GRANTED)
    assert shared.level == "warn"
    assert "4 processes on this node see 2 GPUs" in shared.sentence
    assert "--ntasks-per-node=2" in shared.fix
    assert judge_sharing(4, 4, GRANTED) is None
    assert judge_sharing(1, 4, Grant("SLURM_STEP_GPUS=0", slurm=True, own_gpu=True)) is None
    assert judge_sharing(0, 4, Grant()) is None


@pytest.mark.parametrize(
    ("driver", "facts", "level"),
    [
        ("525.60.13", ON_T4, "ok"),
        ("525.60.12", ON_T4, "fail"),
        ("470.256.02", ON_T4, "fail"),
        ("580.65.06", TorchFacts("2.13.0", cuda_version="13.0", devices=(T4,)), "ok"),
        ("580.65.5", TorchFacts("2.13.0", cuda_version="13.0", devices=(T4,)), "fail"),
        ("600.1", TorchFacts("9.0", cuda_version="99.0", devices=(T4,)), "ok"),
    ],
)
def test_the_driver_must_be_as_new_as_torchs_cuda_needs(driver, facts, level):
    found = judge_driver(Driver(driver), facts, GRANTED)
    assert found.level == level
    assert driver in found.sentence


def test_a_driver_of_the_cuda_12_time_can_keep_torch_2_10_and_an_older_one_cannot():
    assert "constraints/v100.txt" in judge_driver(Driver("550.54.15"), CUDA_13, GRANTED).fix
    assert "administrator" in judge_driver(Driver("470.256.02"), CUDA_13, GRANTED).fix


def test_device_files_without_a_gpu_for_torch_fail_with_torchs_reason():
    blind = TorchFacts("2.10.0+cu128", cuda_version="12.8", unavailable=NONE_SEEN)
    found = judge_driver(Driver("550.54.15", device_nodes=("/dev/nvidia0",)), blind, Grant())
    assert found.level == "fail"
    assert NONE_SEEN in found.sentence
    assert "see driver" in judge_gpu(blind, ("/dev/nvidia0",), Grant()).sentence


def test_a_driver_that_hangs_or_is_missing_fails_where_gpus_are_to_be_used_and_only_there():
    hung = Driver(trouble="nvidia-smi did not answer within 20 s", hung=True)
    gone = Driver(trouble="nvidia-smi is not on PATH")
    blind = TorchFacts("2.10.0+cu128", cuda_version="12.8", unavailable=NONE_SEEN)
    for driver in (hung, gone):
        assert judge_driver(driver, blind, GRANTED).level == "fail"
        assert driver.trouble in judge_driver(driver, blind, GRANTED).sentence
        assert judge_driver(driver, blind, Grant()).level == "skip"
        assert judge_driver(driver, CPU, GRANTED).level == "skip"
    assert judge_driver(hung, ON_T4, GRANTED).level == "fail"  # torch still sees the GPUs; it will not for long
    assert judge_driver(gone, ON_T4, GRANTED).level == "ok"  # a container without nvidia-smi


def test_horovod_without_nccl_on_a_gpu_node_is_rebuilt():
    facts = TorchFacts("2.10.0+cu128", cuda_version="12.8", devices=(T4,), nccl_version="2.27.5", horovod_nccl=False)
    found = judge_nccl(facts, 8)
    assert found.level == "warn"
    assert found.fix == "python -m hpc.build_horovod --gpu require"


def test_nccl_does_not_matter_without_gpus_and_is_fine_when_built_in():
    built = TorchFacts("2.10.0+cu128", cuda_version="12.8", devices=(T4,), nccl_version="2.27.5", horovod_nccl=True)
    assert judge_nccl(CPU, 8).level == "skip"
    assert judge_nccl(built, 8).level == "ok"
    assert "2.27.5" in judge_nccl(built, 8).sentence
    assert judge_nccl(ON_T4, 8).level == "skip"  # Horovod cannot be imported: the check named horovod complains


def _put_on_path(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def test_nvidia_smi_gives_the_driver_version(tmp_path, monkeypatch):
    _put_on_path(tmp_path, monkeypatch, "echo 550.54.15; echo 550.54.15")
    assert gather_driver().version == "550.54.15"


def test_nvidia_smi_that_hangs_with_a_child_is_ended_in_time(tmp_path, monkeypatch):
    _put_on_path(tmp_path, monkeypatch, f"echo $$ > {tmp_path}/pid; sleep 60 & sleep 60")
    started = time.monotonic()
    driver = gather_driver(limit_s=0.5)
    assert time.monotonic() - started < 5
    assert driver.hung
    assert "did not answer within 0.5 s" in driver.trouble
    group = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 5
    while _alive(group) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert _alive(group) == []


def _alive(group: int) -> list[int]:
    """Processes of a group, without those that are dead and only wait to be counted."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except (psutil.NoSuchProcess, ProcessLookupError):
            continue
    return found


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo '\x1b[31mNo devices were found'; exit 0", "printed no driver version"),
        ("exit 0", "printed no driver version"),
        ("echo 'cannot communicate with the NVIDIA driver' >&2; exit 9", "status 9: cannot communicate"),
        ("kill -SEGV $$", "SIGSEGV"),
    ],
)
def test_nvidia_smi_that_prints_garbage_or_fails_is_trouble_and_not_a_version(tmp_path, monkeypatch, script, words):
    _put_on_path(tmp_path, monkeypatch, script)
    driver = gather_driver(driver_file=tmp_path / "none")
    assert driver.version is None
    assert words in driver.trouble


def test_without_nvidia_smi_the_kernel_knows_the_version(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    kernel = tmp_path / "version"
    for line in (
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun May 12 19:39:15 UTC 2024",
        "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  535.183.01  Release Build  (builder@host)",
    ):
        kernel.write_text(f"{line}\nGCC version:  gcc version 12.2.0 (Debian 12.2.0-14)\n")
        assert gather_driver(driver_file=kernel).version == "535.183.01"
    assert gather_driver(driver_file=tmp_path / "none").trouble == "nvidia-smi is not on PATH"


def test_torch_is_asked_in_another_process():
    before = set(sys.modules)
    facts = gather_torch()
    assert (
        facts.torch_version.split("+")[0] == version("torch").split("+")[0]
    )  # a CUDA wheel: 2.13.0, inside 2.13.0+cu130
    assert not {name for name in set(sys.modules) - before if name.startswith("torch")}


@pytest.mark.parametrize(
    "answer",
    [
        Answer("hung", "python did not answer within 180 s"),
        Answer("failed", "python ended with SIGSEGV: it said nothing"),
        Answer("answered", "something else\n"),
        Answer("answered", ""),
    ],
)
def test_a_torch_that_hangs_dies_or_says_nothing_is_a_torch_that_does_not_work(answer):
    facts = read_torch(answer)
    assert facts.torch_version is None
    assert facts.torch_error


def _fake_torch(init) -> SimpleNamespace:
    cuda = SimpleNamespace(
        init=init,
        device_count=lambda: 2,
        get_arch_list=lambda: list(TORCH_2_10),
        get_device_properties=lambda _: SimpleNamespace(name="Tesla T4", major=7, minor=5, total_memory=15 * 2**30),
    )
    return SimpleNamespace(__version__="2.10.0+cu128", version=SimpleNamespace(cuda="12.8"), cuda=cuda)


def test_devices_of_a_cuda_torch_survive_the_way_through_json(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch", _fake_torch(lambda: None))
    monkeypatch.setitem(sys.modules, "torch.cuda", SimpleNamespace(nccl=SimpleNamespace(version=lambda: (2, 27, 5))))
    monkeypatch.setitem(sys.modules, "horovod.torch", None)
    gpu_facts.main()
    facts = read_torch(Answer("answered", "a library's greeting\n" + capsys.readouterr().out))
    assert facts == TorchFacts(
        "2.10.0+cu128", None, "12.8", None, (T4, T4), TORCH_2_10, nccl_version="2.27.5", horovod_nccl=None
    )


def test_torchs_reason_for_seeing_no_gpu_is_kept_in_one_line(monkeypatch, capsys):
    def init():
        raise RuntimeError("Found no NVIDIA driver on your system.\nPlease check\nmore")

    monkeypatch.setitem(sys.modules, "torch", _fake_torch(init))
    monkeypatch.setitem(sys.modules, "torch.cuda", None)
    monkeypatch.setitem(sys.modules, "horovod.torch", None)
    gpu_facts.main()
    facts = read_torch(Answer("answered", capsys.readouterr().out))
    assert facts.unavailable == "Found no NVIDIA driver on your system."
    assert facts.devices == ()
    assert facts.nccl_version is None
