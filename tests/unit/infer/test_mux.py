"""Picture and sound in one file: the picture untouched, both beginning together, whatever the container did before."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.unit.infer.running import packets
from tests.unit.media.films import FILMS, FLASHES, Film, make
from tests.unit.media.reads import SMALL, clicks, flashes, read
from v2a.infer.mux import Muxing, Stopped, mux
from v2a.infer.wave import WaveFile
from v2a.media.look import look
from v2a.media.opening import OpenFile
from v2a.media.pyav_reader import PyavReader
from v2a.media.reading import Limits, MediaError, Request

_NAMES = {
    "plain.mp4": ".mp4", "picture-late.ts": ".mkv", "at-3789.mkv": ".mkv", "sound-8-s-early.mkv": ".mkv", "variable.mp4": ".mp4",
    "vp9.webm": ".webm", "interlaced.mpg": ".mkv", "old.avi": ".mkv", "b-frames.mov": ".mov",
}  # fmt: skip
_CHOSEN = [film for film in FILMS if film.name in _NAMES]
_ENCODERS = subprocess.run(["ffmpeg", "-hide_banner", "-encoders"], capture_output=True, text=True, check=False).stdout
RATE = SMALL.sample_rate


def _mux(path: Path, folder: Path, length_s: float | None = None, **change: object) -> Path:
    """With a click at each flash."""
    with OpenFile(str(path), Limits()) as file:
        seen, _ = look(file, Limits())
        with PyavReader().open(Request(file.path, SMALL, sound=False)) as reading:
            pictures = [segment.audio for segment in reading]
        assert not any(audio.any() for audio in pictures)
        samples = np.zeros(round((length_s or reading.facts.length_s) * RATE), np.int16)
        for flash in FLASHES:
            first = round(flash * RATE)
            samples[first : first + 80] = np.where(np.arange(80) % 4 < 2, 25000, -25000)[: len(samples[first:][:80])]
        with WaveFile(folder / "sound.wav", RATE) as wave:
            wave.add(samples)
        settings = {"should_stop": lambda: False, "limits": Limits(), "facts": reading.facts} | change
        return mux(Muxing(file, path.suffix, seen, wave="sound.wav", rate=RATE, folder=folder, **settings))


@pytest.mark.parametrize("film", _CHOSEN, ids=lambda film: film.name)
def test_sound_is_where_the_picture_is_and_as_long(film: Film, tmp_path: Path):
    if film.needs and f" {film.needs} " not in _ENCODERS:
        pytest.skip(f"this ffmpeg has no encoder {film.needs}")
    path = make(film)
    out = _mux(path, tmp_path)
    assert out.suffix == _NAMES[film.name]
    if path.suffix != ".ts":  # a transport stream packs the same pictures otherwise
        assert packets(out) == packets(path)
    before, after = read("pyav", path), read("pyav", out)
    assert after.error is None
    assert after.facts is not None
    assert before.facts is not None
    assert np.array_equal(after.video[: len(before.video) - 1], before.video[: len(before.video) - 1])
    # ffmpeg 5.1 loses how long the last picture of variable.mp4 is shown; with ffmpeg's own copy alone, too.
    assert abs(after.facts.length_s - before.facts.length_s) < (0.04 if film.name == "variable.mp4" else 0.002)
    assert flashes(after) == flashes(before)
    # A reader puts sound on the picture's clock: this is what is heard when the flash is seen.
    assert np.abs(np.subtract(clicks(after), FLASHES)).max() < 0.004


def test_the_best_container_comes_first_and_matroska_takes_the_rest(tmp_path: Path):
    """A codec that WebM does not take, under its name."""
    path = tmp_path / "h264.webm"
    path.write_bytes(make(next(film for film in FILMS if film.name == "29.97.mkv")).read_bytes())
    (tmp_path / "out").mkdir()
    assert _mux(path, tmp_path / "out").suffix == ".mkv"


def test_metadata_stays_and_the_old_sound_goes(tmp_path: Path):
    out = _mux(make(next(film for film in FILMS if film.name == "surround.mkv")), tmp_path)
    shown = subprocess.run(
        ["ffprobe", "-v", "error", "-show_entries", "stream=codec_type,codec_name,channels", "-of", "csv", out],
        capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    assert shown == ["stream,mpeg4,video", "stream,flac,audio,1"]


def test_a_request_to_stop_ends_ffmpeg(tmp_path: Path):
    with pytest.raises(Stopped):
        _mux(make(FILMS[0]), tmp_path, should_stop=lambda: True)


def test_what_takes_too_long_is_ended(tmp_path: Path):
    with pytest.raises(MediaError, match=r"took longer than 1e-06 s \(limit.minutes\)"):
        _mux(make(FILMS[0]), tmp_path, limits=Limits(seconds=1e-6))


def test_a_picture_that_no_container_takes_is_said(tmp_path: Path):
    path = tmp_path / "moving.apng"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=64x36:rate=10:duration=1", "-f", "apng", path],
        check=True,
    )
    (tmp_path / "out").mkdir()
    with pytest.raises(MediaError, match="cannot be copied into another file by ffmpeg") as refusal:
        _mux(path, tmp_path / "out")
    assert refusal.value.kind == "not-muxed"
