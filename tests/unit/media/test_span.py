"""A part of a video is what the same seconds of the whole give, jump or no jump."""

import numpy as np
import pytest

from tests.unit.media.films import AAC, PLAIN, Film, make
from tests.unit.media.reads import SMALL, read
from v2a.media.readers import READERS

_LONG = {
    "long.mp4": ("-c:v", "libx264", "-preset", "veryfast", "-bf", "2", "-g", "50", "-pix_fmt", "yuv420p", *AAC),
    "long-vp8.webm": ("-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-g", "60", "-c:a", "libopus"),
    "long.ts": ("-f", "mpegts", "-c:v", "libx264", "-preset", "veryfast", "-g", "50", "-pix_fmt", "yuv420p", *AAC),
    "long-open.mkv": ("-c:v", "mpeg2video", "-bf", "2", "-g", "40", "-c:a", "ac3"),
    "long-late.mkv": ("-c:v", "libx264", "-preset", "ultrafast", "-g", "50", "-pix_fmt", "yuv420p", *AAC),
}


def _long(name: str) -> str:
    late = ("-itsoffset", "1.5") if "late" in name else ()
    return str(make(Film(name, _LONG[name], before_video=late, seconds=20.0, size=(64, 36))))


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", list(_LONG))
def test_a_part_equals_the_same_part_of_the_whole(name: str, reader: str):
    whole = read(reader, _long(name))
    fps, rate = SMALL.fps, SMALL.sample_rate
    for start, end in ((0.0, 3.0), (1.0, 5.0), (6.2, 12.2), (7.0, None), (13.7, 17.7), (18.0, 400.0)):
        part = read(reader, _long(name), start_s=start, end_s=end)
        assert part.error is None
        first = round(start * fps)
        last = min(len(whole.video), first + round((1000 if end is None else end - start) * fps))
        assert len(part.video) == last - first
        assert (part.video == whole.video[first:last]).all()
        samples = slice(first * rate // fps, last * rate // fps)
        difference = part.audio[: (last - first) * rate // fps].astype(int) - whole.audio[samples]
        assert np.abs(difference).mean() < 8  # the resampler starts at another phase
        assert [s.start_s for s in part.segments] == pytest.approx([start + 2 * k for k in range(len(part.segments))])


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", ["long.mp4", "long.ts"])
def test_a_start_beyond_the_end_is_an_error(name: str, reader: str):
    found = read(reader, _long(name), start_s=25.0)
    assert found.segments == []
    assert found.error is not None
    assert found.error.kind == "past-the-end"
    assert "19.9" in str(found.error) or "20.0" in str(found.error)


@pytest.mark.parametrize("reader", READERS)
def test_an_end_cuts_the_last_segment(reader: str):
    found = read(reader, make(PLAIN), end_s=4.5)
    assert [s.frames for s in found.segments] == [20, 20, 5]
    assert (found.segments[2].video[5:] == found.segments[2].video[4]).all()
    assert not found.segments[2].audio[8000:].any()


@pytest.mark.parametrize("reader", READERS)
def test_a_start_between_two_slots(reader: str):
    """Slots begin at the start, wherever it is: at 1.97 s the flash of 2.0 s is seen from slot 1 on."""
    found = read(reader, make(PLAIN), start_s=1.97, end_s=2.97)
    assert list(found.video.mean(axis=(1, 2, 3)) > 150) == [False, True, True] + [False] * 7


@pytest.mark.parametrize("threads", [2, 4])
@pytest.mark.parametrize("reader", READERS)
def test_threads_change_nothing(reader: str, threads: int):
    one, many = read(reader, _long("long.mp4")), read(reader, _long("long.mp4"), threads=threads)
    assert (one.video == many.video).all()
    assert (one.audio == many.audio).all()
