"""`python -m v2a.shards`: what it prints, draws, and says of anything that is no dataset."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.unit.shards.making import LABEL, ODD, SOURCE, TINY, make_clip, make_dataset
from v2a.shards.cli import main
from v2a.shards.writer import ShardWriter

CHECKOUT = Path(__file__).resolve().parents[3]


def test_info(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    make_dataset(tmp_path, 12)
    assert main(["info", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    for text in ("16x8, 10 frames/s, 1.2 s, 400 Hz", "12 clips of", "3 shards", "validation", "é😀\\n\\x01", "8 still"):
        assert text in printed
    assert main(["info", "--json", str(tmp_path)]) == 0
    info = json.loads(capsys.readouterr().out)
    assert (info["clips"], info["videos"], info["shards"], info["compression"]) == (12, 4, 3, {"none": 3})
    assert list(info["labels"]) == [LABEL]
    assert info["notes"] == [f"{SOURCE}: {LABEL}"] * 4


def test_a_picture_of_fewer_clips_than_asked_for_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("v2a.shards.cli._MOST_ROWS", 3)
    make_dataset(tmp_path, 6)
    for asked, clips, said in ((["--random", "500"], 3, True), (["--all"], 3, True), (["--random", "3"], 3, False)):
        assert main(["show", str(tmp_path), *asked, "--out", str(tmp_path / "clip.png")]) == 0
        printed = capsys.readouterr().out
        assert f"{clips} of 6 clips" in printed
        assert ("a picture has at most 3 rows" in printed) is said


def test_verify(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    make_dataset(tmp_path, 12)
    assert main(["verify", str(tmp_path)]) == 0
    assert "sound; 3 sound shards" in capsys.readouterr().out
    os.truncate(tmp_path / "clips-w0-00001.h5", 3000)
    (tmp_path / "clips-w0-00002.h5").unlink()
    (tmp_path / "clips-x-00000.h5.tmp").write_bytes(b"")
    assert main(["verify", str(tmp_path)]) == 1
    printed = capsys.readouterr().out
    for text in (
        "clips-w0-00001.h5: is cut off: bytes are missing at its end",
        "clips-w0-00002.h5: dataset.json names it, but it is missing",
        "note: unfinished: clips-x-00000.h5.tmp",
        "NOT SOUND; 1 sound shards",
    ):
        assert text in printed


def test_verify_compares_the_manifest(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    make_dataset(tmp_path, 3)
    (tmp_path / "dataset.json").rename(tmp_path / "old")
    assert main(["verify", str(tmp_path)]) == 1
    assert "has no dataset.json; build it from the shards: python -m v2a.shards index" in capsys.readouterr().out
    assert main(["index", str(tmp_path)]) == 0
    assert main(["verify", str(tmp_path)]) == 0
    with ShardWriter(tmp_path, TINY, prefix="late") as writer:
        writer.add(make_clip(9))
    capsys.readouterr()
    assert main(["verify", str(tmp_path)]) == 0
    assert "note: clips-late-00000.h5 is not in dataset.json" in capsys.readouterr().out
    # A sound shard, but not the one that was indexed.
    os.replace(tmp_path / "clips-late-00000.h5", tmp_path / "clips-w0-00000.h5")
    assert main(["verify", str(tmp_path)]) == 1
    assert "does not say what the shards hold" in capsys.readouterr().out


def test_index_keeps_settings_and_splits(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    make_dataset(tmp_path, 6)
    assert main(["index", str(tmp_path), "--validation", "0.5"]) == 0
    found = json.loads((tmp_path / "dataset.json").read_text())
    assert found["settings"] == {"fit": "stretch"}
    assert found["splits"] == {"validation": 0.5, "test": 0.1}
    assert main(["index", str(tmp_path), "--validation", "1.5"]) == 1
    assert "expected a part of 0 up to 1 for validation, but got validation=1.5" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "rows"),
    [(["7"], 1), (["clips-w0-00001.h5:2"], 1), ([], 1), (["--random", "4", "--seed", "3"], 4), (["--all"], 12)],
)
def test_show_draws_pictures(tmp_path: Path, arguments: list[str], rows: int):
    each = {1: {"has_audio": False}, 7: {"frames": 7, "source": "$x^2$ " + "long" * 99}}
    make_dataset(tmp_path, 12, each=lambda number: each.get(number, {}))
    out = tmp_path / "clip.png"
    assert main(["show", str(tmp_path), *arguments, "--out", str(out)]) == 0
    with Image.open(out) as picture:
        assert picture.width == 1500
        assert len(set(picture.convert("L").resize((200, 200)).tobytes())) > 50  # not an empty page
        heights = {1: (500, 900), 4: (300, 900), 12: (900, 2500)}
        assert heights[rows][0] < picture.height < heights[rows][1]


def test_show_puts_frames_at_their_times(tmp_path: Path):
    """A clip whose picture turns red in its second half: so does the strip."""
    clip = make_clip(0)
    clip.video[:6] = (0, 0, 255)
    clip.video[6:] = (255, 0, 0)
    with ShardWriter(tmp_path, TINY, prefix="a") as writer:
        writer.add(clip)
    assert main(["show", str(tmp_path), "--out", str(tmp_path / "clip.png")]) == 0
    with Image.open(tmp_path / "clip.png") as picture:
        pixels = picture.convert("RGB").resize((300, 300))
        colours = {(x, y): pixels.getpixel((x, y)) for x in range(300) for y in range(300)}
    reds = [x for (x, _), (red, _, blue) in colours.items() if red > 240 and blue < 60]
    blues = [x for (x, _), (red, _, blue) in colours.items() if blue > 240 and red < 60]
    assert blues
    assert reds
    assert max(blues) < min(reds)


@pytest.mark.parametrize("command", ["info", "verify", "show", "index"])
def test_what_is_no_dataset_is_said(tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    for name, text in (
        ("none", "there is no such folder"),
        ("empty", "dataset"),
        ("file", "is a file, where a dataset is"),
    ):
        assert main([command, str(tmp_path / name)]) == 1
        said = capsys.readouterr().err
        assert said.startswith(f"shards: {tmp_path / name}: ")
        assert text in said


def test_show_says_what_it_cannot_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    make_dataset(tmp_path, 3)
    for arguments, text in (
        (["3"], "expected a clip from 0 to 2, but got 3"),
        (["-"], "expected a clip's number, or SHARD:CLIP like clips-w0-00000.h5:0, but got '-'"),
        (["--out", str(tmp_path / "clip.xyz")], "cannot be written as a picture"),
        (["--out", str(tmp_path / "no" / "clip.png")], "cannot be written as a picture: No such file or directory"),
    ):
        assert main(["show", str(tmp_path), *arguments]) == 1
        assert text in capsys.readouterr().err
    with ShardWriter(tmp_path, ODD, prefix="x") as writer:
        writer.add(make_clip(0, ODD))
    assert main(["show", str(tmp_path), "--all", "--out", str(tmp_path / "clip.png")]) == 1
    assert "has clips of 6x10" in capsys.readouterr().err


def test_any_name_is_printed_in_any_encoding(tmp_path: Path):
    folder = tmp_path / "é\udcff"
    make_dataset(folder, 3)
    for command in ("info", "verify"):
        done = subprocess.run(
            [sys.executable, "-m", "v2a.shards", command, folder], cwd=CHECKOUT, capture_output=True, text=True,
            env={**os.environ, "PYTHONIOENCODING": "ascii"}, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "\\xe9\\udcff" in done.stdout
