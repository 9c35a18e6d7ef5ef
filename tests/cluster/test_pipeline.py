"""From videos to a page in one command, on two hosts of the test cluster; and a chain whose first link fails."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from hpc.record import attempts
from tests.cluster.testbed import Testbed, wait_until
from v2a.synthetic.__main__ import main as make_videos

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(1800)]
STAGES = ("prepare", "vqvae", "codes", "audio", "evaluate", "report")


@pytest.fixture
def place(shared_folder: Path) -> Path:
    folder = shared_folder / "it's a pipeline; $HOME"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def _door(place: Path, *more: str) -> list[str]:
    """The pipeline of the videos in a place: small presets, few steps."""
    settings = [f"videos={place / 'my videos'}", f"data={place / 'clips'}", "preset=tiny", "prepare.split.test=0.2"]
    steps = ["vqvae.train.steps=20", "audio.train.steps=20"]
    return [
        sys.executable,
        "-m",
        "hpc.submit",
        "--nodes",
        "2",
        "--runs",
        str(place / "runs"),
        *more,
        "pipeline",
        *settings,
        *steps,
    ]


def _runs(place: Path) -> dict[str, Path]:
    return {
        path.name.rpartition("-")[0]: path
        for path in (place / "runs").glob("*-????????")
        if (path / "run.json").exists()
    }


def test_from_videos_to_the_page(cluster: Testbed, place: Path) -> None:
    size = ["n=20", "seed=1", "seconds=4", "width=128", "height=72"]
    assert make_videos(["flyby", f"out={place / 'my videos'}", *size]) == 0
    plan = cluster.run(*_door(place, "--dry-run")).stdout
    assert [line.split()[1] for line in plan.splitlines() if line[0].isdigit()] == list(STAGES)
    assert plan.count("to do") == 6
    assert not (place / "runs").exists()

    done = cluster.run(*_door(place, "--follow"), timeout=1500)
    assert "all links have finished" in done.stdout
    runs = _runs(place)
    assert sorted(runs) == sorted(STAGES)
    results = {stage: json.loads((run / "result.json").read_text()) for stage, run in runs.items()}
    assert results.pop("report")["world_size"] == 1
    assert {result["world_size"] for result in results.values()} == {2}
    assert (results["vqvae"]["step"], results["audio"]["step"]) == (20, 20)
    hosts = "".join(path.read_text() for path in runs["vqvae"].glob("submitit/*_log.out"))
    assert "on t4-1 (" in hosts
    assert "on t4-2 (" in hosts

    page = place / "runs" / f"report-of-{runs['evaluate'].name}.html"
    assert f"the page: {page}" in done.stdout
    assert "<video" in page.read_text()
    assert runs["audio"].name in page.read_text()

    jobs = cluster.run("squeue", "-h", "-t", "all", "-o", "%i").stdout
    again = cluster.run(*_door(place, "--follow"))
    assert again.stdout.count(": finished") == 6
    assert cluster.run("squeue", "-h", "-t", "all", "-o", "%i").stdout == jobs, "something was submitted twice"


def test_a_link_that_fails_stops_the_rest(cluster: Testbed, place: Path) -> None:
    (place / "my videos").mkdir()
    for number in range(3):
        (place / "my videos" / f"{number}.mp4").write_bytes(b"this is no video")
    done = cluster.run(*_door(place, "--follow"), check=False, timeout=600)
    assert done.returncode == 1
    runs = _runs(place)
    assert json.loads((runs["prepare"] / "result.json").read_text())["clips"] == 0
    assert f"pipeline: vqvae ({runs['vqvae'].name}) failed: " in done.stderr
    assert "has no clip to train on" in done.stderr
    assert "stopped with it: codes, audio, evaluate, report. The same command goes on" in done.stderr
    assert [event["event"] for event in attempts(runs["vqvae"])][-1] == "gave up", "it would fail again"
    for stage in STAGES[2:]:
        job = str(attempts(runs[stage])[0]["job_id"])
        wait_until(f"the job of {stage} is cancelled", lambda job=job: cluster.job_state(job) == "CANCELLED")
        assert not (runs[stage] / "result.json").exists()
