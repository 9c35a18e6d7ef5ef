"""Copies, moved files, and files that became others: a content is there once, and never lost."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.media.datasets import moments, records_of, rows_of
from tests.unit.prepare.conftest import Render
from tests.unit.prepare.running import failures_of, killed_early, run, stored
from v2a.geometry import Geometry
from v2a.media.reading import MediaError
from v2a.prepare.bundle import Bundle, VideoTask, failure_of
from v2a.prepare.config import Config
from v2a.prepare.crash import AtWork
from v2a.prepare.failures import Failure, append_failure
from v2a.prepare.inputs import Input
from v2a.prepare.job import PrepareJob
from v2a.prepare.plan import make_plan
from v2a.prepare.progress import Progress
from v2a.shards.folder import shard_paths


@pytest.fixture
def videos(tmp_path: Path, render: Render) -> Path:
    """Two names for one content, and a third one that takes longer."""
    for name in ("a.mp4", "b.mp4"):
        render(tmp_path / "in" / name, 4.0, seed=1)
    render(tmp_path / "in" / "z.mp4", 30.0, seed=2)
    return tmp_path / "in"


def test_a_copy_stands_in_when_the_first_is_gone_before_its_clips_are_whole(videos: Path, tmp_path: Path):
    def listed(out: Path) -> bool:
        return any(b"duplicate" in path.read_bytes() for path in (out / ".prepare").glob("failures-*"))

    out = killed_early(listed, lambda out: shard_paths(out) == [], videos, tmp_path, "clips_per_shard=100")
    (videos / "a.mp4").unlink()
    assert run(videos, out) == 0
    assert {name for name, _ in moments(out)} == {"b.mp4", "z.mp4"}
    assert failures_of(out) == {}


def test_a_copy_stands_in_when_the_first_goes_in_the_middle(videos: Path, tmp_path: Path):
    """After the plan, before it is read."""
    job = PrepareJob(Config(videos=str(videos), out=str(tmp_path / "out")))
    plan = job.plan()
    job.close()
    [bundle] = [bundle for bundle in plan if len(bundle.tasks) == 2]
    assert [Path(task.video.path).name for task in bundle.tasks] == ["a.mp4", "b.mp4"]
    (videos / "a.mp4").unlink()
    link = _Link(bundle)
    PrepareJob(Config(videos=str(videos), out=str(tmp_path / "out"), preset="tiny")).work(link)
    assert [Path(record.source).name for record in records_of(tmp_path / "out")] == ["b.mp4"]


class _Link:
    """Gives one task."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle

    def tasks(self):
        """The one."""
        yield self._bundle

    def count(self, counts: object) -> None:
        """Nobody looks."""

    def durable(self) -> None:
        """Nobody looks."""

    def should_stop(self) -> bool:
        """Never."""
        return False


def test_a_copy_is_not_read(videos: Path, tmp_path: Path):
    """It would cost as much as the first, and find that all of its clips are there."""
    run(videos, tmp_path / "out")
    assert failures_of(tmp_path / "out")["b.mp4", ""].reason == (
        f"it has the same content as {videos / 'a.mp4'}, which is taken"
    )


def test_what_may_not_be_read_or_is_gone_is_tried_again(tmp_path: Path):
    """Nothing of the file itself tells when that has changed."""
    task = VideoTask(Input(str(tmp_path / "a")), 5, 6)
    for kind in ("missing", "not-permitted"):
        assert failure_of(task, MediaError(kind, "why")) == Failure(str(tmp_path / "a"), "", kind, "why")
    assert failure_of(task, MediaError("damaged", "why")).bytes == 5


def test_an_input_that_failed_and_then_gave_clips_has_clips(videos: Path, tmp_path: Path):
    """The first worker died after the failure, with its shard; the second one could read it."""
    out = tmp_path / "out"
    config = Config(
        videos=str(videos), out=str(out), preset="tiny", geometry=Geometry(width=64, height=36, segment_s=2.0)
    )
    job = PrepareJob(config, Progress())
    plan = job.plan()
    bundle = next(bundle for bundle in plan if len(bundle.tasks) == 2)
    for task in bundle.tasks:
        append_failure(out / ".prepare" / "failures-dead.jsonl", failure_of(task, MediaError("damaged", "why")))
    job.work(_Link(bundle))
    job.finish({}, stopped=False)
    job.close()
    assert {name: failure.kind for (name, _), failure in failures_of(out).items()} == {"b.mp4": "duplicate"}


def test_a_crash_says_which_of_the_bundle_it_was(videos: Path, tmp_path: Path):
    job = PrepareJob(Config(videos=str(videos), out=str(tmp_path / "out")))
    [bundle] = [bundle for bundle in job.plan() if len(bundle.tasks) == 2]
    with AtWork(tmp_path / "out" / ".prepare" / "at-work-dead.log") as at_work:
        at_work.begin(bundle.tasks[0])
    job.lost(bundle, f"signal {signal.SIGSEGV.name}")
    job.finish({}, stopped=False)
    job.close()
    failures = failures_of(tmp_path / "out")
    assert {name: failure.kind for (name, _), failure in failures.items()} == {"a.mp4": "crash", "b.mp4": "not-reached"}
    again = make_plan(
        [task.video for task in bundle.tasks], job._folder.done(), job._folder.failures(), Config(out=str(tmp_path))
    )
    assert [Path(task.video.path).name for bundle in again.tasks for task in bundle.tasks] == ["b.mp4"]


def test_a_good_video_that_became_a_broken_one_is_said(
    videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "out"
    run(videos, out)
    clips = stored(out)
    (videos / "z.mp4").write_bytes((videos / "z.mp4").read_bytes()[:300])
    for expected in ("1 to read", "failed before, 0 to read"):
        capsys.readouterr()
        assert run(videos, out) == 0
        said = capsys.readouterr().err
        assert expected in said
        assert "2 inputs gave no clip" in said
        assert {name for name, _ in failures_of(out)} == {"b.mp4", "z.mp4"}
    assert stored(out) == clips, "clips of the earlier content stay"


def test_a_video_that_changed_twice_is_done_each_time(videos: Path, tmp_path: Path, render: Render, capsys):
    out = tmp_path / "out"
    for seed in (5, 6, 5):
        render(videos / "z.mp4", 4.0, seed=seed)
        assert run(videos, out) == 0
    capsys.readouterr()
    run(videos, out)
    assert "2 done before, 1 failed before, 0 to read" in capsys.readouterr().err
    assert len(stored(out)) == len(set(stored(out))) == 6


def test_killed_and_renamed_in_mid_video_it_goes_on_without_a_clip_twice(tmp_path: Path, render: Render):
    render(tmp_path / "in" / "a.mp4", 60.0, seed=1)
    whole = tmp_path / "whole"
    run(tmp_path / "in", whole)
    out = killed_early(
        _has_five_shards, lambda out: records_of(out) == [], tmp_path / "in", tmp_path, "clips_per_shard=1"
    )
    (tmp_path / "in" / "a.mp4").rename(tmp_path / "in" / "b.mp4")
    assert run(tmp_path / "in", out, "clips_per_shard=20") == 0
    assert stored(out) == stored(whole)
    [record] = records_of(out)
    assert (Path(record.source).name, record.clips) == ("b.mp4", 30)
    assert {Path(row.source).name for row in rows_of(out)} == {"a.mp4", "b.mp4"}


def _has_five_shards(out: Path) -> bool:
    return out.exists() and len(shard_paths(out)) >= 5


def test_tasks_can_be_sent(tmp_path: Path):
    import pickle

    bundle = Bundle((VideoTask(Input(str(tmp_path), 1, 2, "l"), 3, 4),), "content", "group")
    assert pickle.loads(pickle.dumps(bundle)) == bundle
