"""The demo's road: its commands, what stops it, and, slow, all of it."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from hpc import demo
from hpc.demo import Step, walk
from tests.house.source import CHECKOUT


def test_dry_run_shows_the_commands_and_runs_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert demo.main(["--dry-run", "--out", str(tmp_path / "demo")]) == 0
    said = capsys.readouterr().out
    assert f"$ python -m v2a.synthetic flyby out={tmp_path}/demo/videos" in said
    assert f"pipeline videos={tmp_path}/demo/videos data={tmp_path}/demo/clips" in said
    assert not (tmp_path / "demo").exists()


def test_ones_own_videos_need_no_made_up_ones(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    mine = tmp_path / "mine"
    mine.mkdir()
    assert demo.main(["--dry-run", "--videos", str(mine), "--out", str(tmp_path / "demo")]) == 0
    said = capsys.readouterr().out
    assert "synthetic" not in said
    assert f"pipeline videos={mine} " in said
    assert "split.group" not in said
    assert demo.main(["--dry-run", "--videos", str(tmp_path), "--group", r"^film\d+|it's"]) == 0
    assert shlex.quote(r"prepare.split.group=^film\d+|it's") in capsys.readouterr().out
    make = ["make", "--no-print-directory", "--dry-run", "-o", "setup", "demo", "VIDEOS=x", "GROUP=^film|it's"]
    told = subprocess.run(make, cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout
    assert shlex.split(told)[-2:] == ["--group", "^film|it's"]


def test_settings_of_stages_come_last_and_are_looked_at(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    command = ["--dry-run", "--videos", str(tmp_path), "prepare.split.test=0.4", "--quick"]
    assert demo.main(command) == 0
    (pipeline,) = (line for line in capsys.readouterr().out.splitlines() if " pipeline " in line)
    assert pipeline.index("split.test=0.25") < pipeline.index("split.test=0.4")
    for setting, said in (
        ("audio.train.step=1", "did you mean"),
        ("data=x", "expected settings of stages, but got data=x"),
        ("nonsense", "expected videos"),
    ):
        assert demo.main([*command, setting]) == 1
        assert said in capsys.readouterr().err


def test_a_folder_has_the_videos_that_it_was_begun_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    walks: list[int] = []

    def walked(steps: list[Step]) -> int:
        walks.append(len(steps))
        return 3

    monkeypatch.setattr(demo, "walk", walked)
    (tmp_path / "mine").mkdir()
    out = ["--out", str(tmp_path / "demo")]
    assert [demo.main(out), demo.main(out)] == [3, 3]
    assert demo.main([*out, "--videos", str(tmp_path / "mine")]) == 1
    assert "was begun with made-up fly-bys; say --out DIR" in capsys.readouterr().err
    assert walks == [5, 5]
    assert demo.main(["--out", str(tmp_path / "other"), "--videos", str(tmp_path / "mine")]) == 3
    (tmp_path / "other" / "demo.json").write_text('{"vid')
    assert demo.main(["--out", str(tmp_path / "other")]) == 1
    assert "demo.json is damaged" in capsys.readouterr().err


def test_what_is_made_is_never_among_the_videos(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """The second time, videos with sound of ours would be learned from: `make demo VIDEOS=.` did that."""
    (tmp_path / "mine" / "deep").mkdir(parents=True)
    mine = str(tmp_path / "mine")
    for out in ("mine", "mine/demo", "mine/deep/../demo"):
        assert demo.main(["--dry-run", "--videos", mine, "--out", str(tmp_path / out)]) == 1
        assert f"lies within {mine}, whose videos are learned from; say --out DIR" in capsys.readouterr().err
    assert demo.main(["--dry-run", "--videos", mine, "--out", str(tmp_path / "mine-too")]) == 0


def test_held_out_videos_lose_only_their_sound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Two of one name, and an AVI with B-frames, whose packets have no times."""
    films = [tmp_path / folder / name for folder, name in (("a", "clip.mp4"), ("b", "clip.mp4"), ("c", "old.avi"))]
    for film in films:
        film.parent.mkdir()
        codec = ["-c:v", "mpeg4", "-bf", "2"] if film.suffix == ".avi" else []
        source = ["-f", "lavfi", "-i", "testsrc=s=64x36:r=10:d=1", "-f", "lavfi", "-i", "sine=d=1"]
        subprocess.run(["ffmpeg", "-v", "error", *source, *codec, str(film)], check=True)
    monkeypatch.setattr(demo.Runs, "held_out", lambda _: films)
    silent, runs = tmp_path / "-s:1", demo.Runs(tmp_path, (), 1)
    for command in demo._silenced(runs, silent):
        subprocess.run(command, check=True)
    assert demo._silenced(runs, silent) == [], "they are there"
    assert sorted(path.name for path in silent.iterdir()) == ["clip-1.mp4", "clip-2.mp4", "old.mkv"]
    for path in silent.iterdir():
        probe = ["ffprobe", "-v", "error", "-count_packets", "-show_streams", "-of", "json", f"file:{path}"]
        (stream,) = json.loads(subprocess.run(probe, capture_output=True, check=True).stdout)["streams"]
        assert (stream["codec_type"], stream["nb_read_packets"]) == ("video", "10")


def test_videos_that_are_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert demo.main(["--videos", str(tmp_path / "no")]) == 1
    assert "there is nothing at" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        demo.main(["--videos", ""])
    assert "expected a folder, a list or a CSV of videos, but it is empty" in capsys.readouterr().err


def test_it_stops_at_the_first_command_that_fails(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    fails = [sys.executable, "-c", "import sys; print('the disk is full'); sys.exit(3)"]
    never = [sys.executable, "-c", f"open({str(tmp_path / 'ran')!r}, 'w')"]
    assert walk([Step("first", lambda: [fails]), Step("second", lambda: [never])]) == 3
    said = capfd.readouterr()
    assert "== 1 of 2, after 0:00 min: first" in said.out
    assert "the disk is full" in said.out
    assert "ended with status 3" in said.err
    assert not (tmp_path / "ran").exists()


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_all_of_it_quickly_and_again(tmp_path: Path):
    command = [sys.executable, "-m", "hpc.demo", "--quick", "--out", str(tmp_path / "my demo")]
    for _ in range(2):
        ended = subprocess.run(
            command, cwd=CHECKOUT, capture_output=True, text=True, timeout=900, check=False, stdin=subprocess.DEVNULL
        )
        assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
    assert (tmp_path / "my demo" / "report.html").stat().st_size > 10_000
    videos = sorted((tmp_path / "my demo" / "sounds").rglob("*.mp4"))
    assert videos
    for video in videos:
        probe = ["ffprobe", "-v", "error", "-show_streams", "-of", "json", str(video)]
        streams = json.loads(subprocess.run(probe, capture_output=True, text=True, check=True).stdout)["streams"]
        assert {stream["codec_type"] for stream in streams} == {"video", "audio"}
