"""Files, settings and workers that change or go in the middle: nothing twice, nothing lost."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.house.source import CHECKOUT
from tests.media.datasets import moments, records_of, rows_of
from tests.unit.prepare.conftest import Render
from tests.unit.prepare.running import TINY, failures_of, run, stored
from v2a.prepare import work
from v2a.shards.folder import shard_paths


def test_a_worker_that_dies_leaves_its_clips_to_the_next(tmp_path: Path, render: Render):
    """Killed from outside when it has finished shards of a video that it still reads; another worker reads on."""
    render(tmp_path / "in" / "big.mp4", 120.0, seed=1)
    render(tmp_path / "in" / "small.mp4", 4.0, seed=2)
    out = tmp_path / "out"
    command = [sys.executable, "-m", "v2a.prepare", "--workers", "2", f"videos={tmp_path / 'in'}", f"out={out}", *TINY]
    process = subprocess.Popen(command, cwd=CHECKOUT, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (victim := _reader_of(out, "big.mp4")) or len(shard_paths(out)) < 5:
        assert process.poll() is None, "it ended before its worker was killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.kill(victim, signal.SIGKILL)
    assert process.wait(timeout=120) == 0
    assert len(moments(out)) == len(set(moments(out))) == 60 + 2
    assert failures_of(out) == {}
    assert {Path(record.source).name: record.clips for record in records_of(out)} == {"big.mp4": 60, "small.mp4": 2}


def _reader_of(out: Path, name: str) -> int:
    """The process that is at work on a video, by its log's name; 0 when none is."""
    for log in (out / ".prepare").glob("at-work-*.log"):
        if name.encode() in log.read_bytes():
            return int(re.findall(r"-(\d+)-[0-9a-f]+\.log$", log.name)[0])
    return 0


def test_a_file_replaced_while_it_is_hashed_is_not_taken_for_the_new_one(
    tmp_path: Path, render: Render, monkeypatch: pytest.MonkeyPatch
):
    video, other, out = tmp_path / "in" / "z.mp4", tmp_path / "other.mp4", tmp_path / "out"
    render(video, 4.0, seed=1)
    render(other, 4.0, seed=2)
    real = work.content_hash

    def replaced(*given: object) -> str:
        name = real(*given)  # type: ignore[arg-type]
        os.replace(other, video)
        return name

    monkeypatch.setattr(work, "content_hash", replaced)
    assert run(video.parent, out) == 0
    monkeypatch.undo()
    assert run(video.parent, out) == 0
    assert len(stored(out)) == len(set(stored(out))) == 4
    assert len({row.content for row in rows_of(out)}) == 2


def test_a_file_written_to_while_it_is_read_is_tried_again(
    tmp_path: Path, render: Render, monkeypatch: pytest.MonkeyPatch
):
    video, out = tmp_path / "in" / "z.mp4", tmp_path / "out"
    render(video, 4.0, seed=1)
    real = work.content_hash

    def written(*given: object) -> str:
        name = real(*given)  # type: ignore[arg-type]
        with video.open("ab") as file:
            file.write(b"more")
        return name

    monkeypatch.setattr(work, "content_hash", written)
    assert run(video.parent, out) == 0
    [failure] = failures_of(out).values()
    assert failure.kind == "changed"
    assert rows_of(out) == []
    monkeypatch.undo()
    assert run(video.parent, out) == 0
    assert failures_of(out) == {}
    assert len(moments(out)) == 2


def test_no_clip_is_stored_after_a_file_was_written_to(tmp_path: Path, render: Render, monkeypatch: pytest.MonkeyPatch):
    video, out = tmp_path / "in" / "z.mp4", tmp_path / "out"
    render(video, 10.0, seed=1)
    real = work._Worker._sort

    def written(self: work._Worker, *given: object) -> None:
        real(self, *given)  # type: ignore[arg-type]
        with video.open("ab") as file:
            file.write(b"more")

    monkeypatch.setattr(work._Worker, "_sort", written)
    assert run(video.parent, out) == 0
    assert [failure.kind for failure in failures_of(out).values()] == ["changed"]
    assert moments(out) == [("z.mp4", 0.0)]


def test_a_file_replaced_between_plan_and_read_is_known_by_what_was_read(
    tmp_path: Path, render: Render, monkeypatch: pytest.MonkeyPatch
):
    video, other, out = tmp_path / "in" / "z.mp4", tmp_path / "other.mp4", tmp_path / "out"
    render(video, 4.0, seed=1)
    render(other, 6.0, seed=2)
    real = work._Worker.take

    def late(self: work._Worker, *given: object) -> None:
        if other.exists():
            os.replace(other, video)
        real(self, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(work._Worker, "take", late)
    assert run(video.parent, out) == 0
    assert run(video.parent, out) == 0
    assert moments(out) == [("z.mp4", 0.0), ("z.mp4", 2.0), ("z.mp4", 4.0)]
    assert [record.bytes for record in records_of(out)] == [video.stat().st_size]


def test_other_settings_try_again_what_failed(tmp_path: Path, render: Render):
    render(tmp_path / "in" / "x.mp4", 4.0, seed=1, sound=False)
    out = tmp_path / "out"
    assert run(tmp_path / "in", out, "keep.silent=drop") == 0
    assert [failure.kind for failure in failures_of(out).values()] == ["filtered"]
    assert run(tmp_path / "in", out) == 0
    assert failures_of(out) == {}
    assert len(moments(out)) == 2


def test_other_limits_try_again_what_failed(tmp_path: Path, render: Render):
    render(tmp_path / "in" / "x.mp4", 4.0, seed=1)
    out = tmp_path / "out"
    assert run(tmp_path / "in", out, "limit.megapixels=0.0001") == 0
    assert len(failures_of(out)) == 1
    assert run(tmp_path / "in", out) == 0
    assert failures_of(out) == {}


def test_two_files_that_swap_their_names_are_both_done(tmp_path: Path, render: Render):
    """Padded to one size, so that only their bytes tell them apart."""
    one, two, out = tmp_path / "in" / "1.mp4", tmp_path / "in" / "2.mp4", tmp_path / "out"
    for path, seed in ((one, 1), (two, 2)):
        render(path, 4.0, seed=seed)
    size = max(one.stat().st_size, two.stat().st_size) + 64
    for path in (one, two):
        with path.open("ab") as file:
            free = size - path.stat().st_size
            file.write(free.to_bytes(4, "big") + b"free" + bytes(free - 8))  # a box that says nothing
    assert run(tmp_path / "in", out) == 0
    before = stored(out)
    for source, target in ((one, tmp_path / "t"), (two, one), (tmp_path / "t", two)):
        os.replace(source, target)
    assert run(tmp_path / "in", out) == 0
    assert failures_of(out) == {}
    assert stored(out) == before
    assert len(before) == 4


def test_a_copy_takes_over_from_a_first_that_became_another_file(tmp_path: Path, render: Render):
    first, copy, out = tmp_path / "in" / "a.mp4", tmp_path / "in" / "b.mp4", tmp_path / "out"
    render(first, 4.0, seed=1)
    copy.write_bytes(first.read_bytes())
    assert run(tmp_path / "in", out) == 0
    assert {name for name, _ in failures_of(out)} == {"b.mp4"}
    first.write_bytes(os.urandom(5000))
    assert run(tmp_path / "in", out) == 0
    assert {name for name, _ in failures_of(out)} == {"a.mp4"}
    first.unlink()
    assert run(tmp_path / "in", out) == 0
    assert failures_of(out) == {}
    assert len(moments(out)) == 2
