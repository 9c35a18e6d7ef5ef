"""The page as a file: whole, within its limit, free of what names smuggle in."""

import csv
import json
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.unit.report.making import make_evaluation, make_inference, make_video
from v2a.evaluate.shown import spread
from v2a.report.evaluation import read_evaluation


class _Seen(HTMLParser):
    """Tags, and all addresses."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "poster")]
        assert not any(name.startswith("on") for name, _ in attrs)


def test_names_stay_text_and_nothing_is_asked_of_anybody(page: Path):
    text = page.read_text()
    seen = _Seen(text)
    assert seen.tags.count("script") == 1
    assert all(address.startswith(("data:", "#")) for address in seen.addresses), "every address is inside of the page"
    assert "<img src=x" not in text
    assert "{{ 7*7 }}" in text
    assert "<i>" not in text.replace('<i class="head">', "")
    assert seen.tags.count("video") == 3


def test_a_video_that_is_gone_is_named_and_the_others_are_shown(world: Path, tmp_path: Path, report):
    folder = tmp_path / "ev"
    folder.mkdir()
    make_evaluation(folder, [tmp_path / "gone.mp4", world / "b.mp4"])
    status, _, error = report(folder, "--out", tmp_path / "x.html")
    assert status == 0
    text = (tmp_path / "x.html").read_text()
    for said in (text, error):  # whoever made the page does not look into it first
        assert "gone.mp4, 0 to 1.5 s: left out, its video is not at" in said
    assert text.count("<video") == 1


def test_a_video_that_cannot_be_decoded_is_named(tmp_path: Path, report):
    (tmp_path / "sounds").mkdir()
    make_inference(tmp_path / "sounds")
    (tmp_path / "sounds" / "a.mp4").write_text("no video")
    status, _, error = report(tmp_path / "sounds", "--out", tmp_path / "x.html")
    assert status == 0
    for said in ((tmp_path / "x.html").read_text(), error):
        assert "a.mp4: left out, cannot be read as a video" in said


@pytest.mark.parametrize("broken", [{"settings": [1]}, {"settings": {"models": [1]}}])
def test_json_of_another_shape_is_damage_in_a_sentence(broken: dict[str, object], world: Path, tmp_path: Path, report):
    folder = Path(shutil.copytree(world / "ev", tmp_path / "ev"))
    found = json.loads((folder / "metrics.json").read_text())
    (folder / "metrics.json").write_text(json.dumps(found | broken))
    status, _, error = report(folder, "--out", tmp_path / "x.html")
    assert status == 1
    assert f"report: {folder} is damaged (" in error
    assert "writes it again" in error


def test_sounds_of_another_clip_are_never_shown_with_a_video(world: Path, tmp_path: Path):
    folder = Path(shutil.copytree(world / "ev", tmp_path / "ev"))
    shutil.copy(folder / "wav" / "00-silence.wav", folder / "wav" / "00-noise.wav")
    assert len(read_evaluation(folder).clips) == 2
    text = (folder / "clips.csv").read_text()
    (folder / "clips.csv").write_text(text.replace("clip0", "clip9").replace("0.029", "0.015"))
    section = read_evaluation(folder)
    assert section.clips == []
    assert "00-truth.wav is not its sound" in section.notes[1]


def test_a_table_of_clips_that_lost_some_is_damage(world: Path, tmp_path: Path, report):
    folder = Path(shutil.copytree(world / "ev", tmp_path / "-ev"))
    table = folder / "clips.csv"
    with table.open(newline="") as file:
        kept = [row for row in csv.reader(file) if row[0] != "clip0"]
    with table.open("w", newline="") as file:
        csv.writer(file).writerows(kept)
    status, _, error = report(folder, "--out", tmp_path / "x.html")
    assert status == 1
    assert error.startswith(f"report: {table} is damaged: it has 1 clips, where metrics.json has 2")
    assert "writes it again: python -m v2a.evaluate" in error


def test_the_limit_takes_videos_away_and_says_so(world: Path, page: Path, tmp_path: Path, report):
    bare = tmp_path / "bare.html"
    assert report(world / "ev", "--clips", 0, "--out", bare)[0] == 0
    most = (bare.stat().st_size + 3000) / 1e6
    status, _, error = report(world / "ev", "--out", tmp_path / "x.html", "--max-mb", most)
    assert status == 0
    assert "2 of 2 videos were left out to keep the page within --max-mb" in error
    text = (tmp_path / "x.html").read_text()
    assert "2 of 2 videos were left out to keep the page within --max-mb" in text
    assert len(text.encode()) <= most * 1e6
    status, _, error = report(world / "ev", "--out", tmp_path / "y.html", "--max-mb", 0.001)
    assert status == 1
    assert "raise --max-mb" in error
    assert not (tmp_path / "y.html").exists()


def test_a_dry_run_says_what_would_be_there_and_writes_nothing(world: Path, tmp_path: Path, report):
    status, said, _ = report(world / "ev", world / "fw", "--dry-run", "--clips", 1, "--out", tmp_path / "x.html")
    assert status == 0
    assert said.splitlines()[0].startswith("ev (evaluation): 1 videos of 2, 2 tables")
    assert "nothing is written" in said
    assert list(tmp_path.iterdir()) == []


def test_an_old_page_stays_when_a_new_one_cannot_be_made(tmp_path: Path, report, monkeypatch):
    make_inference(tmp_path / "sounds")
    out = tmp_path / "x.html"
    out.write_text("<title>Report: old</title>")
    monkeypatch.setenv("PATH", "")
    status, _, error = report(tmp_path / "sounds", "--out", out)
    assert status == 1
    assert "there is no program ffmpeg" in error
    assert out.read_text() == "<title>Report: old</title>"
    assert report(tmp_path / "sounds", "--out", tmp_path)[0] == 1


def test_clips_are_spread_over_videos_as_the_sheet_is():
    assert spread(list("aabbcc"), 3) == [0, 2, 4]
    assert spread(list("aabbcc"), 2) == [0, 2]
    assert spread(list("aab"), 3) == [0, 2, 1]
    assert spread([], 3) == []


def test_odd_pictures_and_a_later_beginning_are_encoded(tmp_path: Path, report):
    folder = tmp_path / "ev"
    folder.mkdir()
    make_evaluation(folder, [make_video(tmp_path / "wide.mp4", size=(650, 66))], 1.0)
    lines = (folder / "clips.csv").read_text().replace(",0.0,1.0,", ",0.5,1.0,")
    (folder / "clips.csv").write_text(lines)
    assert report(folder, "--out", tmp_path / "x.html")[0] == 0
    text = (tmp_path / "x.html").read_text()
    assert "wide.mp4, 0.5 to 1.5 s" in text
    assert "left out" not in text
