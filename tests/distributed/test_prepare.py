"""Stage `prepare` over two real MPI ranks: the clips of one process; ranks that are killed; a thousand inputs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.distributed.launch import LAUNCHERS, launch, missing
from tests.house.source import CHECKOUT
from tests.media.broken import WAYS
from tests.media.datasets import clips_of, moments, records_of
from tests.media.videos import write_video
from v2a.prepare.__main__ import main
from v2a.prepare.failures import read_failures

pytestmark = pytest.mark.distributed
TINY = ["preset=tiny", "clips_per_shard=4"]


@pytest.fixture(autouse=True)
def _mpi() -> None:
    if reason := missing("mpirun"):
        pytest.skip(reason)


def _worker(run: Path, videos: Path, out: Path) -> list[str]:
    return ["-m", "hpc.worker", "--run-dir", str(run), "stage=prepare", f"videos={videos}", f"out={out}", *TINY]


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """Nine videos, one copy and two that are none."""
    folder = tmp_path / "it's $HOME"
    for number in range(9):
        write_video(folder / f"{number}.mp4", 9.0, seed=number % 3, mark=number)
    write_video(folder / "copy.mp4", 9.0, seed=1, mark=4)
    (folder / "text.mp4").write_text("no video" * 99)
    (folder / "empty.mp4").touch()
    return folder


def test_two_ranks_give_the_clips_of_one_process(videos: Path, tmp_path: Path):
    assert main(["--workers", "0", f"videos={videos}", f"out={tmp_path / 'one'}", *TINY]) == 0
    ended = launch("mpirun", _worker(tmp_path / "run", videos, tmp_path / "two"))
    assert ended.status == 0, ended.output
    assert clips_of(tmp_path / "two") == clips_of(tmp_path / "one")
    assert len(moments(tmp_path / "two")) == 9 * 4
    assert (tmp_path / "two" / "failures.jsonl").read_text() == (tmp_path / "one" / "failures.jsonl").read_text()
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert (result["world_size"], result["clips"], result["videos"], result["failures"]) == (2, 36, 9, 3)
    assert len({path.name.rpartition("-")[0] for path in (tmp_path / "two").glob("clips-*.h5")}) == 2, (
        "both ranks write"
    )


def test_an_error_of_one_rank_ends_all_with_its_sentence(tmp_path: Path):
    (tmp_path / "nothing").mkdir()
    ended = launch("mpirun", _worker(tmp_path / "run", tmp_path / "nothing", tmp_path / "out"), timeout_s=60)
    assert ended.status != 0
    assert "worker: there is no video in" in ended.output


def _run_and_kill_a_rank(run: Path, videos: Path, out: Path, clips: int, rank: int) -> int:
    """Start two ranks, kill one of them when so many clips are whole; the launcher's exit status."""
    environ = {**os.environ, "OMPI_MCA_btl_vader_single_copy_mechanism": "none"}
    command = [*LAUNCHERS["mpirun"], sys.executable, *_worker(run, videos, out)]
    stale = set(out.glob(".prepare/at-work-*.log"))
    with (run.parent / "output.txt").open("ab") as output:
        process = subprocess.Popen(command, cwd=CHECKOUT, env=environ, stdout=output, stderr=subprocess.STDOUT)
    deadline = time.monotonic() + 300
    while process.poll() is None:
        assert time.monotonic() < deadline
        at_work = sorted(set(out.glob(".prepare/at-work-*.log")) - stale)
        if len(at_work) == 2 and len(moments(out)) >= clips:
            os.kill(int(at_work[rank].name.split("-")[-2]), signal.SIGKILL)
            break
        time.sleep(0.02)
    return process.wait(timeout=60)


def test_a_killed_rank_and_the_same_command_again(tmp_path: Path):
    videos, out = tmp_path / "videos", tmp_path / "two"
    for number in range(30):
        write_video(videos / f"{number}.mp4", 15.0, seed=number % 3, mark=number + 1)
    for rank in (0, 1):
        assert _run_and_kill_a_rank(tmp_path / "run", videos, out, 8 + 40 * rank, rank) != 0
    assert 48 <= len(moments(out)) < 210
    ended = launch("mpirun", _worker(tmp_path / "run", videos, out))
    assert ended.status == 0, ended.output
    assert len(moments(out)) == len(clips_of(out)) == 30 * 7
    assert len(records_of(out)) == 30


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_thousand_inputs_of_which_fifty_are_broken_in_ten_ways(tmp_path: Path):
    folder, out = tmp_path / "thousand", tmp_path / "out"
    for number in range(950):
        write_video(folder / str(number % 7) / f"good {number}.mp4", 3.0, seed=number % 10, mark=number + 1)
    for way in WAYS:
        (folder / way.__name__).mkdir()
        for number in range(5):
            way(folder / way.__name__ / f"bad-{way.__name__}-{number}.mp4", number)
    for rank, clips in ((1, 200), (0, 500)):
        assert _run_and_kill_a_rank(tmp_path / "run", folder, out, clips, rank) != 0
    ended = launch("mpirun", _worker(tmp_path / "run", folder, out), timeout_s=900)
    assert ended.status == 0, ended.output
    good = {Path(record.source).name for record in records_of(out)}
    failures = read_failures(out / "failures.jsonl")
    assert good == {f"good {number}.mp4" for number in range(950)}
    assert {Path(failure.source).name for failure in failures} == {
        f"bad-{w.__name__}-{n}.mp4" for w in WAYS for n in range(5)
    }
    assert len(failures) == 50
    assert len(records_of(out)) == len({(r.source, r.span) for r in records_of(out)}) == 950
    assert len(moments(out)) == len(set(moments(out)))
    assert all(len(failure.reason.split()) >= 3 for failure in failures), "a reason is a sentence"
