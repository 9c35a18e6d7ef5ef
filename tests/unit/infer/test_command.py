"""The command: every length and container, names of every kind, what was done before, and what cannot be done."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.house.source import CHECKOUT
from tests.media.broken import WAYS
from tests.media.videos import write_video
from tests.unit.audio.making import FRAMEWISE, make_audio_run
from tests.unit.infer.running import lines, made, nothing_is_left, packets, picture_span, reasons, report, run, wav
from tests.unit.media.films import FILMS, make
from v2a.export.__main__ import main as export
from v2a.infer.__main__ import main, parser
from v2a.infer.job import InferJob
from v2a.tasks import Counts, SerialTasks

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small disk, and so needs root")
RATE = 8000


def film(path: Path, *options: str, seconds: float = 2.0, fps: str = "25", before: tuple[str, ...] = ()) -> Path:
    """A moving picture without sound."""
    picture = ["-f", "lavfi", "-i", f"testsrc2=size=64x36:rate={fps}:duration={seconds}"]
    codec = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]
    path.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        ["ffmpeg", "-v", "error", "-y", *before, *picture, *codec, *options, path], check=True, stdin=subprocess.DEVNULL
    )
    return path


@pytest.mark.parametrize(
    "case",
    [
        ("short.mp4", 0.3, "25", ()),
        ("one picture.mkv", 0.04, "25", ()),
        ("one, held back.mp4", 0.04, "25", ("-preset", "medium", "-bf", "3")),
        ("two, held back.mp4", 0.08, "25", ("-preset", "medium", "-bf", "3")),
        ("exact.mp4", 2.0, "25", ()),
        ("long.mp4", 25.7, "30", ()),
        ("odd.mkv", 5.0, "24000/1001", ()),
        ("fast.mp4", 3.1, "60000/1001", ("-bf", "2")),
        ("late.mp4", 3.0, "25", ("-output_ts_offset", "1.5")),
    ],
    ids=lambda case: case[0],
)
def test_sound_begins_and_ends_with_the_picture(
    model: Path, tmp_path: Path, case: tuple[str, float, str, tuple[str, ...]]
):
    name, seconds, fps, options = case
    path = film(tmp_path / name, *options, seconds=seconds, fps=fps)
    assert run(path, "--model", model, "--out", tmp_path / "out") == 0
    samples, rate = wav(tmp_path / "out" / f"{path.stem}.wav")
    begin, end = picture_span(path)
    assert rate == RATE
    assert abs(len(samples) - (end - begin) * RATE) <= 1
    assert np.abs(samples).max() > 50
    out = tmp_path / "out" / path.name
    assert packets(out) == packets(path)
    assert picture_span(out)[0] < 0.0015
    line = report(tmp_path / "out")[name]
    assert line["seconds"] == len(samples) / RATE
    assert line["outputs"] == {"video": name, "sound": f"{path.stem}.wav"}
    assert nothing_is_left(tmp_path / "out")


def test_pictures_at_any_time_and_sound_that_is_ignored(model: Path, tmp_path: Path):
    """A variable frame rate, and sound that would be read, if at all, with an error: its codec is unknown."""
    path = tmp_path / "variable.mp4"
    whole = make(next(film for film in FILMS if film.name == "variable.mp4")).read_bytes()
    assert whole.count(b"mp4a") >= 1
    path.write_bytes(whole.replace(b"mp4a", b"zzzz").replace(b"esds", b"zzzz"))
    assert run(path, "--model", model, "--out", tmp_path / "out") == 0
    samples, _ = wav(tmp_path / "out/variable.wav")
    begin, end = picture_span(path)
    assert abs(len(samples) - (end - begin) * RATE) <= 1
    silent = film(tmp_path / "silent/a.mp4")
    tone = ("-f", "lavfi", "-i", "sine=duration=2", "-c:v", "copy", "-c:a", "aac")
    subprocess.run(
        ["ffmpeg", "-v", "error", "-i", silent, *tone, tmp_path / "a.mp4"], check=True, stdin=subprocess.DEVNULL
    )
    outs = []
    for given in (silent, tmp_path / "a.mp4"):
        assert run(given, "--model", model, "--out", given.parent / "made") == 0
        outs.append(len(wav(given.parent / "made/a.wav")[0]))
    assert outs[0] == outs[1] == 2 * RATE


def test_a_seed_makes_the_same_bytes_and_another_one_others(model: Path, flat: Path, tmp_path: Path):
    path = film(tmp_path / "a.mp4", seconds=3.2)
    sounds = {}
    for name, seed in (("one", 1), ("again", 1), ("other", 2)):
        assert run(path, "--model", model, "--out", tmp_path / name, "--seed", seed) == 0
        sounds[name] = [(tmp_path / name / file).read_bytes() for file in ("a.wav", "a.mp4")]
    assert sounds["one"] == sounds["again"]
    assert sounds["one"][0] != sounds["other"][0]
    assert run(path, "--model", flat, "--out", tmp_path / "flat") == 0
    assert len(wav(tmp_path / "flat/a.wav")[0]) == round(3.2 * RATE)


def test_the_autoregressive_decoder_makes_a_whole_video_and_the_same_again(slow: Path, tmp_path: Path):
    path = film(tmp_path / "a.mp4", seconds=3.2)
    for out, seed in (("one", 1), ("again", 1), ("other", 2)):
        assert run(path, "--model", slow, "--out", tmp_path / out, "--seed", seed) == 0
    assert len(wav(tmp_path / "one/a.wav")[0]) == round(3.2 * RATE)
    one, again, other = ((tmp_path / out / "a.wav").read_bytes() for out in ("one", "again", "other"))
    assert one == again
    assert one != other


@pytest.mark.parametrize("kind", ["latents", "pixels"])
def test_a_decoder_of_latents_or_pixels_makes_a_whole_video(kind: str, tmp_path: Path):
    model = make_audio_run(tmp_path / "run", replace(FRAMEWISE, input=kind))
    assert export([str(model), "--out", str(tmp_path / "model")]) == 0
    path = film(tmp_path / "a.mp4", seconds=3.2)
    for given, out in ((model, "one"), (tmp_path / "model", "two")):
        assert run(path, "--model", given, "--out", tmp_path / out) == 0
    assert len(wav(tmp_path / "one/a.wav")[0]) == round(3.2 * RATE)
    assert (tmp_path / "one/a.wav").read_bytes() == (tmp_path / "two/a.wav").read_bytes()


def test_run_and_export_and_two_workers_make_the_same(model: Path, tmp_path: Path):
    for number in range(3):
        film(tmp_path / f"videos/{number}.mp4", "-metadata", f"comment={number}")
    assert export([str(model), "--out", str(tmp_path / "model")]) == 0
    assert run(tmp_path / "videos", "--model", model, "--out", tmp_path / "one") == 0
    arguments = [tmp_path / "videos", "--model", tmp_path / "model", "--out", tmp_path / "two", "--workers", "2"]
    assert main([*map(str, arguments), "--device", "cpu"]) == 0
    assert (
        made(tmp_path / "one") == made(tmp_path / "two") == {f"{n}.{kind}" for n in range(3) for kind in ("mp4", "wav")}
    )
    for name in made(tmp_path / "one"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_segments_side_by_side_make_the_same(model: Path, tmp_path: Path):
    path = film(tmp_path / "a.mp4", seconds=9.3)
    for threads in (1, 3):
        done = run(
            path, "--model", model, "--out", tmp_path / str(threads), "--workers", 0, "--set", f"threads={threads}"
        )
        assert done == 0
    first, second = ((tmp_path / name / "a.wav").read_bytes() for name in ("1", "3"))
    assert first == second


def test_names_of_any_kind(model: Path, tmp_path: Path):
    names = [
        b"it's",
        b'say "hi"',
        b"new\nline",
        b"-rf",
        b"%03d",
        b"caf\xe9",
        "Zürich 100 %".encode(),
        b"a=b;c",
        b"$(touch x)",
    ]
    source = film(tmp_path / "source.mp4", seconds=0.5).read_bytes()
    (tmp_path / "videos").mkdir()
    for number, name in enumerate(names):
        (tmp_path / "videos" / os.fsdecode(name + b".mp4")).write_bytes(
            source + b"\0\0\0\x0cfree" + number.to_bytes(4, "big")
        )
    assert run(tmp_path / "videos", "--model", model, "--out", tmp_path / "out") == 0
    assert made(tmp_path / "out") == {os.fsdecode(name) + suffix for name in names for suffix in (".mp4", ".wav")}
    assert {line["input"] for line in lines(tmp_path / "out/report.jsonl")} == {
        os.path.join(tmp_path / "videos", os.fsdecode(name) + ".mp4") for name in names
    }
    before = os.getcwd()
    os.chdir(tmp_path / "videos")
    try:
        assert main(["--model", str(model), "--out", str(tmp_path / "dash"), "--workers", "0", "--", "-rf.mp4"]) == 0
    finally:
        os.chdir(before)
    assert made(tmp_path / "dash") == {"-rf.mp4", "-rf.wav"}


def test_what_is_broken_is_said_and_the_rest_is_made(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    film(tmp_path / "videos/good.mp4")
    for number, way in enumerate(WAYS):
        way(tmp_path / f"videos/{way.__name__}.mp4", number)
    (tmp_path / "videos/gone.mp4").symlink_to("nowhere")
    assert run(tmp_path / "videos", "--model", model, "--out", tmp_path / "out") == 0
    assert made(tmp_path / "out") == {"good.mp4", "good.wav"}
    found = reasons(tmp_path / "out")
    assert set(found) == {f"{way.__name__}.mp4" for way in WAYS} | {"gone.mp4"}
    assert found["empty.mp4"] == ("empty", "is empty (0 bytes)")
    # A file that is missing, or has no bytes, is looked at each time.
    assert found["no_index.mp4"][0] == "no-index"
    assert found["sound_only.mp4"] == ("no-video", "holds no picture, only sound")
    assert nothing_is_left(tmp_path / "out")
    capsys.readouterr()
    assert run(tmp_path / "videos", "--model", model, "--out", tmp_path / "out") == 0
    assert "1 done before, 9 failed before, 2 to be made" in capsys.readouterr().err
    film(tmp_path / "videos/text.mp4")
    assert run(tmp_path / "videos", "--model", model, "--out", tmp_path / "out") == 0
    assert made(tmp_path / "out") == {"good.mp4", "good.wav", "text.mp4", "text.wav"}
    assert "text.mp4" not in reasons(tmp_path / "out")
    assert run(tmp_path / "videos/noise.mp4", "--model", model, "--out", tmp_path / "alone") == 1


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


def test_folders_lists_and_names_that_meet(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    source = film(tmp_path / "source.mp4", seconds=0.5)
    for name in ("x/a.mp4", "x/b/a.mp4", "y/a.mp4", "y/a.m4v"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, tmp_path / name)
    (tmp_path / "list.txt").write_text("x/b/a.mp4\n\nx/none.mp4\n")
    (tmp_path / "spans.csv").write_text("path,start_s,end_s\ny/a.mp4,,\ny/a.m4v,1,2\n")
    given = [tmp_path / name for name in ("x", "y", "list.txt", "spans.csv")]
    assert run(*given, "--model", model, "--out", tmp_path / "out") == 0
    assert made(tmp_path / "out") == {
        f"{stem}{suffix}" for stem, own in (("x/a", ".mp4"), ("x/b/a", ".mp4"), ("y/a.mp4", ".mp4"), ("y/a.m4v", ".m4v"))
        for suffix in (own, ".wav")
    }  # fmt: skip
    said = capsys.readouterr().err
    assert "y/a.m4v' is named 'y/a.m4v' and a suffix" in said
    kinds = {Path(line["input"]).name: line["kind"] for line in lines(tmp_path / "out/failures.jsonl")}
    assert kinds == {"none.mp4": "missing", "a.m4v, 1-2 s": "input"}
    assert run(tmp_path / "x", "--model", model, "--out", tmp_path / "x/inside") == 0
    assert run(tmp_path / "x", "--model", model, "--out", tmp_path / "x/inside") == 0
    assert made(tmp_path / "x/inside") == {"a.mp4", "a.wav", "b/a.mp4", "b/a.wav"}


def test_a_single_video_has_one_process_and_all_cores(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    seen = []

    def watch(_: object, job: InferJob, should_stop: Callable[[], bool]) -> Counts:
        seen.append(job.config.threads)
        return SerialTasks().run(job, should_stop)

    monkeypatch.setattr("v2a.watched.WatchedTasks.run", watch)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(384)))
    path = film(tmp_path / "a.mp4")
    for number, more in enumerate(([], ["--set", "threads=1"], ["--set", "threads=3"])):
        out = tmp_path / str(number)
        assert main([str(path), "--model", str(model), "--out", str(out), "--device", "cpu", *more]) == 0
        assert made(out) == {"a.mp4", "a.wav"}
    assert seen == [8, 1, 3]


def test_a_single_video_that_ends_its_process_is_said(model: Path, tmp_path: Path):
    path = film(tmp_path / "a.mp4")
    out = tmp_path / "out"
    program = (
        "import os, signal; import v2a.infer.video as video; import v2a.watched as watched; real = watched._main\n"
        "def main(*words):\n"
        "    video.make_sound = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    real(*words)\n"
        "watched._main = main\n"
        "if __name__ == '__main__':\n"
        "    import sys; from v2a.infer.__main__ import main as infer; sys.exit(infer(sys.argv[1:]))\n"
    )
    (tmp_path / "program.py").write_text(program)
    done = subprocess.run(
        [sys.executable, tmp_path / "program.py", path, "--model", model, "--out", out, "--device", "cpu"],
        cwd=CHECKOUT, env={**os.environ, "PYTHONPATH": str(CHECKOUT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    (failure,) = lines(out / "failures.jsonl")
    assert failure["kind"] == "crash"
    assert failure["reason"] == "it ended the process that read it 2 times: signal SIGKILL (out of memory?)"
    assert "other processes" not in done.stderr


def test_a_dry_run_writes_nothing(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    film(tmp_path / "videos/a.mp4")
    assert run(tmp_path / "videos", "--model", model, "--out", tmp_path / "out", "--dry-run") == 0
    assert "1 to be made" in (said := capsys.readouterr().out)
    assert "a.mp4" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "case",
    [
        (["videos"], "models/audio is not there. `python -m v2a.audio` trains a model"),
        (["none", "--model", "{model}"], "there is no folder or file none"),
        (
            ["videos", "--model", "{model}", "--set", "overlap=2"],
            "there is no key 'overlap'; did you mean overlap_s or model?",
        ),
        (["videos", "--model", "{model}", "--set", "overlap_s=2"], "expected overlap_s of at most 1 s, half a segment"),
        (["videos", "--model", "{model}", "--seed", "x"], "expected seed=<int>, but got 'x'"),
        (
            ["videos", "--model", "{model}", "--out", "videos/a.mp4"],
            "cannot write to videos/a.mp4 (Not a directory); name another",
        ),
    ],
)
def test_what_cannot_be_done_is_said(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], case: tuple[list[str], str]
):  # fmt: skip
    arguments, said = case
    film(tmp_path / "videos/a.mp4", seconds=0.2)
    monkeypatch.chdir(tmp_path)
    assert run(*(argument.format(model=model) for argument in arguments)) == 1
    assert said in capsys.readouterr().err


def test_the_help_has_examples_that_parse():
    shown = parser().format_help()
    assert "python -m v2a.infer videos/ --dry-run" in shown
    assert "overlap_s=1.0" in shown


@needs_root
def test_a_full_disk_is_said_and_leaves_what_is_whole(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for number in range(6):
        write_video(tmp_path / f"videos/{number}.mp4", 9.0, seed=number, sound=False)
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=900k", "none", disk], check=True)
    try:
        assert run(tmp_path / "videos", "--model", model, "--out", disk) == 1
        assert "no room is left in" in capsys.readouterr().err
        assert nothing_is_left(disk)
        whole = {Path(name).stem for name in made(disk)}
        assert 1 <= len(whole) < 6
        assert made(disk) == {f"{stem}{suffix}" for stem in whole for suffix in (".mp4", ".wav")}
        subprocess.run(["mount", "-o", "remount,size=20m", disk], check=True)
        assert run(tmp_path / "videos", "--model", model, "--out", disk) == 0
        assert len(made(disk)) == 12
        assert lines(disk / "failures.jsonl") == []
    finally:
        subprocess.run(["umount", disk], check=True)


@needs_root
def test_a_disk_that_is_full_when_the_picture_is_copied_is_no_bad_picture(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    path = tmp_path / "a.mp4"
    write_video(path, 9.0, seed=1, sound=False)
    disk = tmp_path / "disk"
    disk.mkdir()
    said = []
    for size in range(160, 520, 24):  # from no room for the WAV to room for everything
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}k", "none", disk], check=True)
        try:
            if run(path, "--model", model, "--out", disk) == 0:
                continue
            said.append(capsys.readouterr().err)
            assert "no room is left in" in said[-1], f"{size}k"
            subprocess.run(["mount", "-o", "remount,size=20m", disk], check=True)
            assert run(path, "--model", model, "--out", disk) == 0, f"{size}k"
        finally:
            subprocess.run(["umount", disk], check=True)
    assert len(said) > 3


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
