"""How much the GPUs of a run work, by a program that plays `nvidia-smi`."""

import json
import os
import threading
import time
from pathlib import Path

import pytest

from hpc import gpu_share
from hpc.glance import glance, table
from hpc.gpu_share import GpuShare, look
from hpc.record import append
from hpc.states import state_of
from hpc.worker import run


@pytest.fixture
def smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program that answers what is in `answer`, refuses other questions, and keeps the number of looks in `looks`."""
    folder = tmp_path / "programs"
    folder.mkdir()
    program = folder / "nvidia-smi"
    program.write_text(
        f"#!/bin/sh\ncd '{folder}'\n"
        'case "$*" in *--query-gpu=utilization.gpu*) ;; *) exit 6 ;; esac\n'
        'echo "$*" >>looks\n. ./answer\n'
    )
    program.chmod(0o755)
    (folder / "answer").write_text("echo 90; echo 50")
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return folder


def _looks(smi: Path) -> list[str]:
    return (smi / "looks").read_text().splitlines() if (smi / "looks").exists() else []


def _wait(smi: Path, looks: int) -> None:
    deadline = time.monotonic() + 60
    while len(_looks(smi)) < looks:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_it_is_the_mean_of_the_gpus_that_the_job_may_use(smi: Path, monkeypatch: pytest.MonkeyPatch):
    assert look() == pytest.approx(0.7)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    look()
    assert ["--id=2,3" in line for line in _looks(smi)] == [False, True]


@pytest.mark.parametrize(
    "answer", ["echo No devices were found; exit 6", "echo '[N/A]'", "true", "echo 90; kill -SEGV $$", "sleep 60"]
)
def test_what_says_nothing_is_nothing(answer: str, smi: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gpu_share, "_LIMIT_S", 0.5)
    (smi / "answer").write_text(answer)
    assert look() is None
    with GpuShare(0, every_s=0.01) as gpus:
        _wait(smi, 4)
        assert gpus.measured() == {}
        _ended("gpu share")
    assert len(_looks(smi)) == 4, "it does not ask for ever"


def _ended(name: str) -> None:
    for thread in threading.enumerate():
        if thread.name == name:
            thread.join(60)
            assert not thread.is_alive()


def test_looks_since_the_last_record_count_once(smi: Path):
    with GpuShare(0, every_s=0.01) as gpus:
        _wait(smi, 3)
        (smi / "answer").write_text("echo 10")
        _wait(smi, len(_looks(smi)) + 2)  # one look that saw the old answer may be on its way
        gpus.measured()
        _wait(smi, len(_looks(smi)) + 2)
        assert gpus.measured() == {"gpu_share": pytest.approx(0.1)}
    _ended("gpu share")
    gpus.measured()
    assert gpus.measured() == {"gpu_share": pytest.approx(0.1)}, "between two looks it is what was said last"


def test_where_there_is_no_gpu_nothing_is_started(smi: Path, monkeypatch: pytest.MonkeyPatch):
    before = threading.active_count()
    with GpuShare(1) as other_rank:
        assert other_rank.measured() == {}
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with GpuShare(0) as hidden:
        assert hidden.measured() == {}
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setenv("PATH", str(smi / "nowhere"))
    with GpuShare(0) as without:
        assert threading.active_count() == before
        assert without.measured() == {}
    assert _looks(smi) == []


def test_a_run_records_it_and_its_status_shows_it(smi: Path, tmp_path: Path):
    run_dir = tmp_path / "runs" / "selftest-1"
    run("selftest", ["steps=20"], run_dir)
    lines = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    assert lines[-2]["gpu_share"] == pytest.approx(0.7)
    append(run_dir, "submitted", where="local", host="elsewhere", pid=1)
    one = glance(state_of(run_dir))
    assert one.as_dict()["gpu_share"] == pytest.approx(0.7)
    head, row = table([one], None)
    assert "gpu" in head
    assert "70%" in row
