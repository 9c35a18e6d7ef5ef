"""The command: what is given, names of every kind, what is broken among it, and what cannot be done."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.media.broken import WAYS
from tests.unit.infer.running import film, lines, made, nothing_is_left, reasons, run
from v2a.infer.__main__ import main, parser


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
