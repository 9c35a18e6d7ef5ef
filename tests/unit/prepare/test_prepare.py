"""The whole stage on small real videos: every input ends in clips or in a line with its reason, once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.house.source import CHECKOUT
from tests.media.datasets import clips_of, moments, records_of, rows_of
from tests.unit.prepare.conftest import Render
from v2a.prepare.__main__ import main
from v2a.prepare.failures import read_failures
from v2a.shards.folder import shard_paths
from v2a.shards.manifest import read_manifest

TINY = ["preset=tiny", "clips_per_shard=3"]


def run(videos: Path, out: Path, *more: str) -> int:
    """The command, in this process."""
    return main(["--workers", "0", f"videos={videos}", f"out={out}", *TINY, *more])


@pytest.fixture
def videos(tmp_path: Path, render: Render) -> Path:
    """Three videos, one of them silent, and three files that are none."""
    folder = tmp_path / "my videos (2)"
    render(folder / "a.mp4", 5.0, seed=1)
    render(folder / "sub" / "b.mp4", 2.0, seed=2)
    render(folder / "-silent'\n.mp4", 2.0, seed=3, sound=False)
    (folder / "text.mp4").write_text("this is no video\n" * 50)
    (folder / "empty.mp4").touch()
    render(folder / "copy of a.mp4", 5.0, seed=1)
    return folder


def test_each_input_ends_in_clips_or_in_a_reason(videos: Path, tmp_path: Path):
    out = tmp_path / "clips"
    assert run(videos, out) == 0
    assert moments(out) == [("-silent'\n.mp4", 0.0), ("a.mp4", 0.0), ("a.mp4", 2.0), ("b.mp4", 0.0)]
    failures = {Path(failure.source).name: failure for failure in read_failures(out / "failures.jsonl")}
    assert {name: failure.kind for name, failure in failures.items()} == {
        "copy of a.mp4": "duplicate",
        "empty.mp4": failures["empty.mp4"].kind,
        "text.mp4": failures["text.mp4"].kind,
    }
    assert all(len(failure.reason) > 10 for failure in failures.values())
    sources = {record.source for record in records_of(out)}
    assert sources.isdisjoint(failure.source for failure in failures.values())
    assert len(sources) + len(failures) == 6


def test_the_table_says_what_the_clips_are(videos: Path, tmp_path: Path):
    out = tmp_path / "clips"
    run(videos, out)
    rows = {(Path(row.source).name, row.segment): row for row in rows_of(out)}
    first, silent = rows["a.mp4", 0], rows["-silent'\n.mp4", 0]
    assert (first.frames, first.has_audio, silent.has_audio) == (20, True, False)
    assert -24 < first.level_db < -17, "ffmpeg's sine is 1/8 of full scale: -21 dB RMS"
    assert (silent.level_db, first.group) == (float("-inf"), first.content)
    assert first.motion > 1
    record = next(record for record in records_of(out) if record.source.endswith("/a.mp4"))
    assert (record.clips, record.dropped) == (2, {"remainder": 1})
    assert record.remainder_s == pytest.approx(1.0, abs=0.11)
    assert record.facts["width"] == 96
    assert read_manifest(out).total.clips == 4


def test_the_picture_is_the_videos(videos: Path, tmp_path: Path):
    out = tmp_path / "clips"
    run(videos, out)
    clip = np.frombuffer(clips_of(out)["b.mp4", 0.0][: 20 * 36 * 64 * 3], np.uint8).reshape(20, 36, 64, 3)
    command = ["ffmpeg", "-v", "error", "-i", videos / "sub" / "b.mp4", "-vf", "fps=10:round=up,scale=64:36:flags=area"]
    raw = subprocess.run([*command, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"], check=True, capture_output=True).stdout
    truth = np.frombuffer(raw, np.uint8).reshape(-1, 36, 64, 3)[:20]
    assert np.abs(clip.astype(int) - truth.astype(int)).mean() < 4


def test_the_same_command_again_does_nothing(videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "clips"
    run(videos, out)
    before = {path: path.stat().st_mtime_ns for path in shard_paths(out)}
    failures = (out / "failures.jsonl").read_text()
    assert run(videos, out) == 0
    assert {path: path.stat().st_mtime_ns for path in shard_paths(out)} == before
    assert (out / "failures.jsonl").read_text() == failures
    assert "0 to read" in capsys.readouterr().err


def test_videos_that_come_later_are_added_and_splits_stay(videos: Path, tmp_path: Path, render: Render):
    out = tmp_path / "clips"
    run(videos, out)
    before = {row.source: row.group for row in rows_of(out)}
    render(videos / "later.mp4", 2.0, seed=9)
    (videos / "empty.mp4").write_bytes((videos / "later.mp4").read_bytes() + b"\0" * 9)
    assert run(videos, out) == 0
    assert {name for name, _ in moments(out)} == {"-silent'\n.mp4", "a.mp4", "b.mp4", "later.mp4", "empty.mp4"}
    assert before.items() <= {row.source: row.group for row in rows_of(out)}.items()
    assert "empty.mp4" not in (out / "failures.jsonl").read_text()


@pytest.mark.parametrize(
    ("settings", "names", "kinds"),
    [
        (["keep.silent=drop"], {"a.mp4", "b.mp4"}, {"-silent'\n.mp4": "filtered"}),
        (["keep.min_level_db=-10"], {"-silent'\n.mp4"}, {"a.mp4": "filtered", "b.mp4": "filtered"}),
        (["keep.min_motion=200"], set(), {"a.mp4": "filtered", "b.mp4": "filtered", "-silent'\n.mp4": "filtered"}),
        (["geometry.segment_s=4", "keep.short=drop"], {"a.mp4"}, {"b.mp4": "filtered", "-silent'\n.mp4": "filtered"}),
    ],
)
def test_filters(videos: Path, tmp_path: Path, settings: list[str], names: set[str], kinds: dict[str, str]):
    out = tmp_path / "clips"
    assert run(videos, out, *settings) == 0
    assert {name for name, _ in moments(out)} == names
    failures = {Path(failure.source).name: failure.kind for failure in read_failures(out / "failures.jsonl")}
    assert kinds.items() <= failures.items()


def test_the_remainder_is_kept_when_enough_of_it_is_real(videos: Path, tmp_path: Path):
    out = tmp_path / "clips"
    run(videos, out, "keep.min_fill=0.4")
    rows = {(Path(row.source).name, row.start_s): row for row in rows_of(out)}
    assert 9 <= rows["a.mp4", 4.0].frames <= 11
    assert rows["a.mp4", 2.0].frames == 20


def test_groups_hold_cuts_of_one_recording_together(tmp_path: Path, render: Render):
    for number in range(6):
        render(tmp_path / "videos" / f"rec{number // 2}_{number}.mp4", 2.0, seed=number)
    run(tmp_path / "videos", tmp_path / "clips", r"split.group=^(rec\d+)_")
    assert sorted(row.group for row in rows_of(tmp_path / "clips")) == ["rec0", "rec0", "rec1", "rec1", "rec2", "rec2"]


def test_a_split_that_is_needed_and_empty_is_an_error_and_the_clips_stay(
    tmp_path: Path, render: Render, capsys: pytest.CaptureFixture[str]
):
    render(tmp_path / "videos" / "one_1.mp4", 4.0, seed=1)
    out, needed = tmp_path / "clips", "split.required=train,test"
    assert run(tmp_path / "videos", out, needed, "split.group=^one", "split.test=0.01") == 1
    said = capsys.readouterr().err
    assert f"no clip of {out} is in split test, which is needed here: 1 videos and split.test=0.01 gave it none" in said
    assert len(rows_of(out)) == 2
    assert run(tmp_path / "videos", out, "split.group=^one", "split.test=0.01") == 0
    assert run(tmp_path / "videos", out, "split.required=train", "split.group=^one", "split.test=0.01") == 0


def test_where_no_input_gives_a_clip_that_is_said_and_not_how_to_split(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "text.mp4").write_text("no video")
    assert run(tmp_path / "videos", tmp_path / "clips", "split.required=train,test") == 1
    assert f"no input gave one, and {tmp_path}/clips/failures.jsonl says why" in capsys.readouterr().err


def test_splits_that_are_needed_need_sound(tmp_path: Path, render: Render, capsys: pytest.CaptureFixture[str]):
    """A pipeline would train stage 1 before stage 2 finds nothing to hear, or all of it before the evaluation does."""
    render(tmp_path / "videos" / "silent.mp4", 4.0, seed=1, sound=False)
    out, needed = tmp_path / "clips", ("split.required=train", "split.test=0", "split.validation=0")
    assert run(tmp_path / "videos", out, *needed) == 1
    said = capsys.readouterr().err
    assert (
        f"at least 2 clips with sound in split train, for sound is learned and measured here, but 0 of its 2 in {out} have any"
        in said
    )
    assert run(tmp_path / "videos", out, *needed[1:]) == 0
    render(tmp_path / "videos" / "loud.mp4", 4.0, seed=2)
    assert run(tmp_path / "videos", out, *needed) == 0


def test_spans_of_a_csv(tmp_path: Path, render: Render):
    render(tmp_path / "a.mp4", 9.0, seed=1)
    (tmp_path / "list.csv").write_text(
        "path,start_s,end_s,label\na.mp4,1,5,jet\na.mp4,5,7,bird\na.mp4,100,110,late\nno.mp4,,,x\n"
    )
    out = tmp_path / "clips"
    assert run(tmp_path / "list.csv", out) == 0
    rows = sorted((row.start_s, row.label, row.frames) for row in rows_of(out))
    assert rows == [(1.0, "jet", 20), (3.0, "jet", 20), (5.0, "bird", 20)]
    failures = {
        (Path(failure.source).name, failure.span): failure.kind for failure in read_failures(out / "failures.jsonl")
    }
    assert set(failures) == {("a.mp4", "100-110"), ("no.mp4", "")}
    assert {record.span for record in records_of(out)} == {"1-5", "5-7"}


def test_other_settings_need_another_folder(videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "clips"
    run(videos, out)
    assert run(videos, out, "fit=crop", "geometry.width=32") == 1
    said = capsys.readouterr().err
    assert "fit is stretch, but crop was asked for" in said
    assert "geometry.width is 64, but 32 was asked for" in said
    assert run(videos, out, "retry_failures=true") == 0


def test_two_at_once_is_refused(videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    from v2a.prepare.folder import Folder

    first = Folder(tmp_path / "clips")
    first.acquire()
    assert run(videos, tmp_path / "clips") == 1
    assert f"another prepare is at work in {tmp_path / 'clips'}" in capsys.readouterr().err
    first.release()
    assert run(videos, tmp_path / "clips") == 0


def test_a_damaged_shard_is_named(videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "clips"
    run(videos, out)
    complete = clips_of(out)
    shard = shard_paths(out)[0]
    shard.write_bytes(shard.read_bytes()[: shard.stat().st_size // 2])
    assert run(videos, out) == 1
    said = capsys.readouterr().err
    assert shard.name in said
    assert "Move that file away" in said
    shard.unlink()
    assert run(videos, out) == 0
    assert clips_of(out) == complete


def test_a_lost_shard_is_made_again(many: Path, tmp_path: Path):
    out = tmp_path / "clips"
    run(many, out)
    complete = clips_of(out)
    for shard in shard_paths(out)[1::5]:
        shard.unlink()
    assert len(clips_of(out)) < len(complete)
    assert run(many, out) == 0
    assert clips_of(out) == complete
    assert len(moments(out)) == len(complete), "a clip twice"


def test_hidden_files_are_said_to_be_hidden(videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (videos / "._a.mp4").write_text("what macOS leaves")
    (videos / "notes.txt").touch()
    assert main(["--dry-run", f"videos={videos}", f"out={tmp_path / 'clips'}", *TINY]) == 0
    assert "not looked at: 1 hidden, 1 .txt" in capsys.readouterr().out


def test_dry_run_writes_nothing(videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "clips"
    assert main(["--dry-run", f"videos={videos}", f"out={out}", *TINY]) == 0
    assert "6 inputs: 1 left out, 1 with the content of another, 4 to read" in capsys.readouterr().out
    assert not out.exists()
    run(videos, out)
    assert main(["--dry-run", f"videos={videos}", f"out={out}", *TINY]) == 0
    assert "3 done before, 2 failed before, 1 left out, 0 to read" in capsys.readouterr().out


def test_processes_and_readers_give_the_same_set(videos: Path, tmp_path: Path):
    one, two = tmp_path / "one", tmp_path / "two"
    run(videos, one)
    assert main(["--workers", "2", f"videos={videos}", f"out={two}", *TINY]) == 0
    assert clips_of(one) == clips_of(two)
    assert len(clips_of(one)) == 4


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["videos="], "say videos=PATH"),
        (["videos=/nowhere/at/all"], "there is no folder or file /nowhere/at/all"),
        (["videos=.", "fit=squeeze"], "there is no fit 'squeeze'"),
        (["videos=.", "geometry.segment_s=0.33"], "expected a whole number of frames in a segment"),
        (["videos=.", "split.validation=0.6", "split.test=0.4"], "under 1 together"),
        (["videos=.", "split.required=exam"], "there is no split.required 'exam'"),
        (["videos=.", "split.required=test", "split.test=0"], "split test is needed, but got split.test=0"),
        (["videos=.", "split.group=("], "expected a regular expression in split.group"),
        (["videos=.", "split.validation=nan"], "under 1 together, but got nan and 0.1"),
        (["videos=.", "split.test=nan"], "under 1 together, but got 0.1 and nan"),
        (["videos=.", "limit.gigabytes=inf"], "expected limit.gigabytes above 0 and at most 1000000, but got inf"),
        (["videos=.", "limit.megapixels=inf"], "expected limit.megapixels above 0 and at most 1000000, but got inf"),
        (["videos=.", "limit.minutes=nan"], "expected limit.minutes above 0"),
        (["videos=.", "keep.min_level_db=nan"], "expected keep.min_level_db"),
        (["videos=.", "geometry.segment_s=nan"], "segment"),
        (["videos=.", "geometry.segment_s=inf"], "segment"),
        (["videos=.", "compression=gzip"], "there is no compression 'gzip'; there are: lz4, none, zstd"),
        (["videos=.", "video=x"], "did you mean videos"),
    ],
)
def test_what_is_wrong_is_a_sentence(
    settings: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    for more in ([], ["--dry-run"]):
        assert main([*more, *settings, f"out={tmp_path / 'out'}"]) == 1
        said = capsys.readouterr().err
        assert said.startswith("prepare: ")
        assert message in said
        assert not (tmp_path / "out").exists()


def _start(videos: Path, out: Path, *more: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "v2a.prepare", "--workers", "2", f"videos={videos}", f"out={out}", *TINY, *more]
    return subprocess.Popen(command, cwd=CHECKOUT, stderr=subprocess.DEVNULL, start_new_session=True)


def _wait_for_a_shard(out: Path, process: subprocess.Popen[bytes], count: int) -> None:
    deadline = time.monotonic() + 60
    while process.poll() is None and (not out.exists() or len(shard_paths(out)) < count):
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def many(tmp_path: Path, render: Render) -> Path:
    """Twelve videos of several clips."""
    for number in range(12):
        render(tmp_path / "many" / f"{number}.mp4", 15.0, seed=number % 4, mark=number + 1)
    return tmp_path / "many"


def test_killed_at_any_moment_it_goes_on(many: Path, tmp_path: Path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert run(many, whole) == 0
    for shards in (1, 3, 5, 8):
        process = _start(many, broken)
        _wait_for_a_shard(broken, process, shards)
        process.kill()
        process.wait()
    assert run(many, broken) == 0
    assert clips_of(broken) == clips_of(whole)
    assert len(moments(broken)) == len(clips_of(broken)) == 12 * 7, "a clip twice"
    assert len(records_of(broken)) == 12
    assert list(broken.glob("*.tmp*")) == []
    assert [path.name for path in (broken / ".prepare").glob("at-work*")] == []


def test_one_signal_stops_cleanly_and_keeps_what_was_read(many: Path, tmp_path: Path):
    whole, out = tmp_path / "whole", tmp_path / "out"
    run(many, whole)
    process = _start(many, out, "clips_per_shard=50")
    deadline = time.monotonic() + 60
    while not list(out.glob("clips-*")) if out.exists() else True:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(2)
    assert process.wait(timeout=30) in (130, 0)
    kept = len(moments(out))
    assert kept > 0, "shards that were not full are kept too"
    assert json.loads((out / "dataset.json").read_text())
    assert run(many, out, "clips_per_shard=50") == 0
    assert clips_of(out) == clips_of(whole)
    assert len(moments(out)) == 84


def test_a_full_disk_stops_with_a_sentence_and_leaves_whole_shards(many: Path, tmp_path: Path):
    disk, script = tmp_path / "disk", tmp_path / "run.sh"
    disk.mkdir()
    command = f"{sys.executable} -m v2a.prepare --workers 2 videos={many} out={disk}/clips {' '.join(TINY)}"
    script.write_text(
        f"mount -t tmpfs -o size=3m tmpfs {disk} || exit 77\n{command}; status=$?\n"
        f"cp -r {disk}/clips {tmp_path}/copy\nexit $status\n"
    )
    own = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--user", "--map-root-user"]
    done = subprocess.run([*own, "bash", str(script)], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    if done.returncode == 77:
        pytest.skip("no mount here")
    assert done.returncode == 1, done.stderr
    assert "the disk is full" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    copy = tmp_path / "copy"
    assert 0 < len(moments(copy)) < 84
    assert [path.name for path in copy.glob("clips-*") if path.suffix != ".h5"] == []
    assert run(many, copy) == 0
    assert len(moments(copy)) == 84
