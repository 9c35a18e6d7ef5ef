"""Sound never slides against picture: a flash and a click at known times, in every awkward file, with every reader."""

import math
import subprocess

import numpy as np
import pytest

from tests.unit.media.films import FILMS, Film, make
from tests.unit.media.reads import SMALL, clicks, flashes, read
from v2a.media.readers import READERS

_ENCODERS = subprocess.run(["ffmpeg", "-hide_banner", "-encoders"], capture_output=True, text=True, check=False).stdout
_FRAME_S = 1 / SMALL.fps


def _made(film: Film) -> str:
    if film.needs and f" {film.needs} " not in _ENCODERS:
        pytest.skip(f"this ffmpeg has no encoder {film.needs}")
    return str(make(film))


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("film", FILMS, ids=lambda film: film.name)
def test_flash_and_click_are_where_they_were_put(film: Film, reader: str):
    found = read(reader, _made(film))
    assert found.error is None
    seen, heard = flashes(found), clicks(found)
    assert len(seen) == len(film.flashes)
    shown = [math.ceil(flash * film.fps) / film.fps for flash in film.flashes]  # by the source's own frames
    assert np.abs(np.subtract(seen, [float(at) for at in shown])).max() <= _FRAME_S + 1e-6
    assert len(heard) == len(film.clicks)
    assert not heard or np.abs(np.subtract(heard, film.clicks)).max() <= _FRAME_S / 2


@pytest.mark.parametrize("film", FILMS, ids=lambda film: film.name)
def test_both_readers_give_the_same_segments(film: Film):
    path = _made(film)
    one, other = read("ffmpeg", path), read("pyav", path)
    assert [s.frames for s in one.segments] == [s.frames for s in other.segments]
    assert [s.start_s for s in one.segments] == [s.start_s for s in other.segments]
    picture = np.abs(one.video.astype(int) - other.video)
    assert picture.mean() < 1
    assert (picture.mean(axis=(1, 2, 3)) > 2).mean() < 0.03  # a time stamp that only one libav version gets wrong
    assert np.abs(one.audio.astype(int) - other.audio).mean() < 5
    assert one.facts is not None
    assert other.facts is not None
    assert one.facts == other.facts
