"""Stage `codes` over two real MPI ranks: the bytes of one process; ranks that are killed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.distributed.launch import launch, missing
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


def test_killed_at_any_moment_and_the_same_command_again(settings: list[str], tmp_path: Path):
    assert main(["--workers", "0", *settings, f"out={tmp_path / 'one'}"]) == 0
    out = tmp_path / "two"
    out.mkdir()
    dying = ["-m", "tests.distributed.killed_codes"]
    for killed in (1, 0):
        ended = launch("mpirun", [*dying, "5", str(killed), *_worker(tmp_path, out, settings)[1:]])
        assert ended.status != 0, ended.output
    by_ranks = _whole(out)
    assert 10 <= by_ranks <= 20
    alone = [sys.executable, *dying, "9", "0", "v2a.codes", "--workers", "0", *settings, f"out={out}"]
    assert subprocess.run(alone, cwd=CHECKOUT, timeout=120, check=False).returncode == -signal.SIGKILL
    assert _whole(out) == by_ranks + 9
    assert verify_codes(out).problems == []
    ended = launch("mpirun", _worker(tmp_path, out, settings))
    assert ended.status == 0, ended.output
    assert _files(out) == _files(tmp_path / "one")
