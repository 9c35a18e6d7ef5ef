"""`sbatch slurm/infer_array.sh` on the test cluster: a node cut off, a task preempted, and nothing is missing or made twice."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.cluster.testbed import CHECKOUT, Testbed, wait_until
from tests.media.broken import no_index, noise, text
from tests.media.videos import write_video
from tests.unit.audio.making import make_audio_run
from tests.unit.infer.running import lines, made, nothing_is_left, wav

pytestmark = pytest.mark.cluster
_VIDEOS = 37
_SCRIPT = str(CHECKOUT / "slurm/infer_array.sh")


@pytest.fixture
def place(shared_folder: Path) -> Path:
    """Forty videos of 2 s, three of them broken, and a model."""
    folder = shared_folder / "infer array"
    shutil.rmtree(folder, ignore_errors=True)
    for number in range(_VIDEOS):
        write_video(folder / f"my videos/{number % 3}" / f"{number}.mp4", 2.0, seed=number % 2, mark=number + 1)
    for number, way in enumerate((text, noise, no_index)):
        way(folder / "my videos" / f"broken-{number}.mp4", number)
    make_audio_run(folder / "model")
    return folder


def _submit(cluster: Testbed, place: Path, *options: str, out: str = "out") -> str:
    """The array's job id."""
    settings = (
        f"ALL,INPUT={place}/my videos,MODEL={place}/model,OUT={place}/{out},PYTHON={sys.executable},WORKERS=0,LEASE_S=8"
    )
    log = ["-o", f"{place}/log-%A_%a.txt"]
    return cluster.run("sbatch", "--parsable", *options, *log, f"--export={settings}", _SCRIPT).stdout.strip()


def _tasks(cluster: Testbed, job: str) -> dict[str, tuple[str, str]]:
    """State and node of each task of an array that Slurm still knows of."""
    shown = cluster.run("squeue", "-h", "-r", "-t", "all", "-j", job, "-o", "%K %T %N").stdout.splitlines()
    return {parts[0]: (parts[1], parts[2] if len(parts) > 2 else "") for parts in map(str.split, shown)}


def _ended(cluster: Testbed, job: str, away: set[str]) -> bool:
    """Whether all tasks but those that were taken away have ended."""
    return all(state == "COMPLETED" for task, (state, _) in _tasks(cluster, job).items() if task not in away)


def _queued_again(place: Path) -> set[str]:
    """Tasks that were preempted."""
    return {path.stem.partition("_")[2] for path in place.glob("log-*.txt") if "; queued again" in path.read_text()}


def _check(out: Path) -> None:
    report, failures = lines(out / "report.jsonl"), lines(out / "failures.jsonl")
    assert len(report) == len({line["input"] for line in report}) == _VIDEOS
    assert Counter(line["kind"] for line in failures) == {"not-media": 2, "no-index": 1}
    assert len(made(out)) == 2 * _VIDEOS
    for line in report:
        samples, rate = wav(out / line["outputs"]["sound"])
        assert (
            2.0 * rate <= len(samples) < 2.1 * rate
        )  # by its own last time stamp: these files show their last picture longer
        assert (out / line["outputs"]["video"]).stat().st_size > 1000
    summary = json.loads((out / "report.json").read_text())
    assert (summary["videos"], summary["failures"]) == (_VIDEOS, 3)


def test_forty_videos_a_node_cut_off_and_a_task_preempted(cluster: Testbed, place: Path) -> None:
    out = place / "out"
    job = _submit(cluster, place, "-p", "low", "-c", "4", "--array=0-7")
    claims = out / ".infer" / "claims"
    wait_until("all tasks are at work", lambda: claims.is_dir() and len(list(claims.glob("*.0*"))) >= 6, 90)
    where = _tasks(cluster, job)
    cut = {task for task, (_, node) in where.items() if node == "t4-2"}
    assert cut
    try:
        cluster.run("sbatch", "-p", "t4", "-w", "t4-3", "-n", "8", "-o", "/dev/null", "--wrap", "sleep 1")
        cluster("fault", "cut", "t4-2")
        wait_until("a task is preempted", lambda: bool(_queued_again(place)), 60)
        wait_until("the others end", lambda: _ended(cluster, job, cut | _queued_again(place)), 90)
        wait_until("all is done", lambda: nothing_is_left(out), 30)
        _check(out)
    finally:
        cluster("fault", "heal", "t4-2")
        cluster.run("scancel", job, check=False)
    said = "".join(path.read_text() for path in place.glob("log-*.txt"))
    assert sum(map(int, re.findall(r"^(\d+) videos made", said, re.MULTILINE))) <= _VIDEOS
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.wav")}
    again = _submit(cluster, place, "-p", "dgx", "--array=0-1")
    wait_until("it ends", lambda: _ended(cluster, again, set()), 60)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.wav")} == before
    _check(out)


def test_without_anything_it_says_what_to_do(cluster: Testbed, place: Path) -> None:
    log = place / "log.txt"
    cluster.run("sbatch", "--wait", "-o", str(log), _SCRIPT, check=False)
    assert "there are no videos at 'videos'" in log.read_text()
    more = ["-o", str(log), "--open-mode=truncate", f"--export=ALL,INPUT={place}/my videos"]
    cluster.run("sbatch", "--wait", *more, _SCRIPT, check=False)
    assert "python -m v2a.export runs/audio --out models/audio" in log.read_text()
