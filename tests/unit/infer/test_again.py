"""The command again in the same folder: what was done before, what failed before, and files that are not its own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.media.videos import write_video
from tests.unit.infer.running import RATE, film, made, nothing_is_left, reasons, run, wav


def test_done_videos_are_not_made_again_unless_something_changed(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    path, out = film(tmp_path / "videos/a.mp4"), tmp_path / "out"

    def again(*more: object) -> bool:
        before = (out / "a.wav").stat().st_mtime_ns if (out / "a.wav").exists() else 0
        assert run(tmp_path / "videos", "--model", model, "--out", out, *more) == 0
        assert made(out) == {"a.mp4", "a.wav"}
        assert nothing_is_left(out)
        return (out / "a.wav").stat().st_mtime_ns != before

    assert again()
    assert not again()
    os.utime(path)  # another time, the same bytes
    assert not again()
    capsys.readouterr()
    assert not again()
    assert "1 inputs: 1 done before, 0 to be made" in capsys.readouterr().err, "it is known by its new time"
    assert again("--seed", 1)
    assert "another model, seed or setting" in capsys.readouterr().err
    assert again("--seed", 1, "--set", "overlap_s=0.5")
    (out / "a.mp4").unlink()
    assert again("--seed", 1, "--set", "overlap_s=0.5")
    film(path, seconds=1.0)
    assert again("--seed", 1, "--set", "overlap_s=0.5")
    assert len(wav(out / "a.wav")[0]) == RATE


def test_the_end_is_about_this_command(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    good, bad = film(tmp_path / "good.mp4", seconds=0.2), tmp_path / "bad.mp4"
    bad.write_text("no video")
    assert run(good, "--model", model, "--out", tmp_path / "out") == 0
    assert run(bad, "--model", model, "--out", tmp_path / "out") == 1, "its only input failed"
    assert "bad.mp4" in capsys.readouterr().err
    assert run(good, "--model", model, "--out", tmp_path / "out") == 0
    said = capsys.readouterr().err
    assert "bad.mp4" not in said
    assert "1 failures of other commands in this folder are in" in said


def test_other_peoples_files_are_never_written_over(model: Path, tmp_path: Path):
    path = film(tmp_path / "videos/a.mp4")
    whole = path.read_bytes()
    assert run(tmp_path / "videos", "--model", model, "--out", tmp_path / "videos") == 1
    assert path.read_bytes() == whole
    assert "would take its own place" in reasons(tmp_path / "videos")["a.mp4"][1]
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a.wav").write_text("my song")
    assert run(path, "--model", model, "--out", tmp_path / "out") == 1
    assert reasons(tmp_path / "out")["a.mp4"][0] == "in-the-way"
    assert (tmp_path / "out/a.wav").read_text() == "my song"
    (tmp_path / "out/a.wav").unlink()
    assert run(path, "--model", model, "--out", tmp_path / "out") == 0
    with (tmp_path / "out/a.wav").open("ab") as file:
        file.write(b"edited")
    assert run(path, "--model", model, "--out", tmp_path / "out") == 0
    assert "was changed since" in reasons(tmp_path / "out")["a.mp4"][1]
    assert (tmp_path / "out/a.wav").read_bytes().endswith(b"edited")


def test_another_video_of_the_same_name_does_not_take_the_others_place(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    for number, name in enumerate("ab"):
        write_video(tmp_path / name / "x.mp4", 1.0, seed=number, sound=False)
    out = tmp_path / "out"
    assert run(tmp_path / "a/x.mp4", "--model", model, "--out", out) == 0
    before = (out / "x.wav").read_bytes()
    assert run(tmp_path / "b/x.mp4", "--model", model, "--out", out) == 1
    assert "choose another folder with --out, or give both in one command" in capsys.readouterr().err
    assert (out / "x.wav").read_bytes() == before
    (tmp_path / "a/x.mp4").rename(tmp_path / "moved.mp4")
    assert run(tmp_path / "b/x.mp4", "--model", model, "--out", out) == 0
    assert (out / "x.wav").read_bytes() != before
