"""Sound is as long as the picture, whatever the picture's length, rate and container; the picture stays as it is."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.unit.infer.running import RATE, film, nothing_is_left, packets, picture_span, report, run, wav
from tests.unit.media.films import FILMS, make


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
