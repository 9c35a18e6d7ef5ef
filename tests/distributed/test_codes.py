"""Stage `codes` over two real MPI ranks: the bytes of one process; ranks that are killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.distributed.launch import LAUNCHERS, launch, missing
from tests.house.source import CHECKOUT
from tests.unit.codes.making import make_run
from tests.unit.shards.making import make_dataset
from v2a.codes.__main__ import main
from v2a.shards.code_folder import verify_codes

pytestmark = pytest.mark.distributed
_SHARDS = 120


@pytest.fixture(autouse=True)
def _mpi() -> None:
    if reason := missing("mpirun"):
        pytest.skip(reason)


@pytest.fixture(name="settings")
def settings_fixture(tmp_path: Path) -> list[str]:
    """A model, and clips in many small shards."""
    run = make_run(tmp_path / "it's a run")
    make_dataset(tmp_path / "my clips (2)", 3 * _SHARDS, clips_per_shard=3)
    return [f"model={run}", f"data={tmp_path / 'my clips (2)'}"]


def _files(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.glob("codes-*")}


def _whole(out: Path) -> int:
    return len(list(out.glob("codes-*.h5")))


def _worker(folder: Path, out: Path, settings: list[str]) -> list[str]:
    return ["-m", "hpc.worker", "--run-dir", str(folder / "launch"), "stage=codes", *settings, f"out={out}"]


def test_two_ranks_give_the_bytes_of_one_process(settings: list[str], tmp_path: Path):
    assert main(["--workers", "0", *settings, f"out={tmp_path / 'one'}"]) == 0
    ended = launch("mpirun", _worker(tmp_path, tmp_path / "two", settings))
    assert ended.status == 0, ended.output
    assert _files(tmp_path / "two") == _files(tmp_path / "one")
    assert len(_files(tmp_path / "one")) == _SHARDS
    result = json.loads((tmp_path / "launch/result.json").read_text())
    assert (result["world_size"], result["clips"], result["encoded"]) == (2, 3 * _SHARDS, 3 * _SHARDS)
    seats = [path.name for path in (tmp_path / "two/.codes").glob("seat-*")]
    assert 1 <= len(seats) <= 2, (
        "a seat for each rank that had work; on a busy machine one may be done before the other begins"
    )


def test_an_error_of_one_rank_ends_all_with_its_sentence(settings: list[str], tmp_path: Path):
    make_dataset(tmp_path / "none", 0)
    other = make_run(tmp_path / "other", seed=9)
    assert main(["--workers", "0", *settings, f"out={tmp_path / 'out'}"]) == 0
    ended = launch("mpirun", _worker(tmp_path, tmp_path / "out", [f"model={other}", settings[1]]), timeout_s=60)
    assert ended.status != 0
    assert "worker: " in ended.output
    assert "holds codes of the encoder" in ended.output


def _run_and_kill(command: list[str], out: Path, whole: int, victim: int) -> int:
    """Start it, kill one of its ranks (-1: the launcher) when so many shards are whole; its exit status."""
    environ = {**os.environ, "OMPI_MCA_btl_vader_single_copy_mechanism": "none"}
    log = (out.parent / "log.txt").open("ab")
    process = subprocess.Popen(command, cwd=CHECKOUT, env=environ, stdout=log, stderr=subprocess.STDOUT)
    deadline = time.monotonic() + 120
    while process.poll() is None:
        assert time.monotonic() < deadline
        if _whole(out) >= whole:
            ranks = psutil.Process(process.pid).children(recursive=True)
            os.kill(ranks[victim].pid if victim >= 0 else process.pid, signal.SIGKILL)
            break
        time.sleep(0.002)
    return process.wait(timeout=60)


def test_killed_at_any_moment_and_the_same_command_again(settings: list[str], tmp_path: Path):
    assert main(["--workers", "0", *settings, f"out={tmp_path / 'one'}"]) == 0
    out = tmp_path / "two"
    out.mkdir()
    ranks = [*LAUNCHERS["mpirun"], sys.executable, *_worker(tmp_path, out, settings)]
    local = [sys.executable, "-m", "v2a.codes", "--workers", "0", *settings, f"out={out}"]
    counts = []
    for command, victim, more in ((ranks, 1, 5), (local, -1, 9)):
        assert _run_and_kill(command, out, _whole(out) + more, victim) != 0, (tmp_path / "log.txt").read_text()
        counts.append(_whole(out))
    assert 0 < counts[0] < counts[-1] < _SHARDS
    assert verify_codes(out).problems == []
    ended = launch("mpirun", _worker(tmp_path, out, settings))
    assert ended.status == 0, ended.output
    assert _files(out) == _files(tmp_path / "one")
