"""Files that were cut off, overwritten, badly interleaved, or that lie: what is whole is read, the rest is named."""

import os
import struct
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest

from tests.unit.media.films import AAC, FLASHES, H264, PLAIN, Film, ffmpeg, make
from tests.unit.media.reads import SMALL, clicks, flashes, read
from v2a.geometry import Geometry
from v2a.media.assemble import MAX_WAITING_SEGMENTS, Assembler
from v2a.media.readers import READERS
from v2a.media.reading import Limits, Segment

both = pytest.mark.parametrize("reader", READERS)


@both
def test_cut_off_with_the_index_lost(reader: str, tmp_path: Path):
    whole = make(PLAIN).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) * 6 // 10])
    error = read(reader, tmp_path / "cut.mp4").error
    assert error is not None
    assert error.kind == "no-index"
    assert "moov" in str(error)


@both
def test_cut_off_with_the_index_kept(reader: str, tmp_path: Path):
    ffmpeg("-i", make(PLAIN), "-c", "copy", "-movflags", "faststart", tmp_path / "fast.mp4")
    whole = (tmp_path / "fast.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) * 6 // 10])
    found = read(reader, tmp_path / "cut.mp4")
    assert found.error is None
    assert found.facts is not None
    assert 4 <= found.facts.seconds < 7
    assert flashes(found) == pytest.approx([2.0], abs=0.1)
    assert clicks(found) == pytest.approx([2.0], abs=0.05)


@both
def test_a_cut_matroska_file(reader: str, tmp_path: Path):
    whole = make(Film("plain.mkv")).read_bytes()
    (tmp_path / "cut.mkv").write_bytes(whole[: len(whole) // 2])
    found = read(reader, tmp_path / "cut.mkv")
    assert found.error is None
    assert len(found.segments) >= 2


def _overwritten(tmp_path: Path, part: float) -> Path:
    """The plain film with this part of its media bytes replaced, evenly spread."""
    whole = bytearray(make(PLAIN).read_bytes())
    first = whole.index(b"mdat") + 5000
    last = whole.rindex(b"moov") - 4
    random = np.random.default_rng(3)
    for at in random.integers(first, last - 40, round((last - first) * part / 40)):
        whole[at : at + 40] = random.bytes(40)
    path = tmp_path / f"overwritten-{part}.mp4"
    path.write_bytes(whole)
    return path


@both
def test_some_overwritten_bytes_are_survived(reader: str, tmp_path: Path):
    found = read(reader, _overwritten(tmp_path, 0.01))
    assert found.error is None
    assert [s.frames for s in found.segments] == [20, 20, 20, 20, 10]
    assert clicks(found) == pytest.approx(FLASHES, abs=0.05)
    assert found.facts is not None
    assert any("could not be decoded, the first at" in note for note in found.facts.notes)


@both
def test_a_wreck_is_refused(reader: str, tmp_path: Path):
    whole = bytearray(make(PLAIN).read_bytes())
    first, last = whole.index(b"mdat") + 4, whole.rindex(b"moov") - 4
    whole[first:last] = np.random.default_rng(3).bytes(last - first)
    (tmp_path / "wreck.mp4").write_bytes(whole)
    error = read(reader, tmp_path / "wreck.mp4").error
    assert error is not None
    assert error.kind == "damaged"


@both
@pytest.mark.parametrize(("lost", "kind"), [(4, None), (7, "damaged")])
def test_more_than_half_of_the_pictures_must_be_whole(lost: int, kind: str | None, reader: str, tmp_path: Path):
    """`lost` of every ten pictures have no beginning."""
    whole = make(Film("pictures.mkv", ("-c:v", "mjpeg", "-pix_fmt", "yuvj420p", "-c:a", "pcm_s16le"))).read_bytes()
    pieces = whole.split(b"\xff\xd8\xff")
    assert len(pieces) == 271
    assert min(map(len, pieces[1:])) > 300
    for n in range(10, 270):
        if n % 10 < lost:
            pieces[n + 1] = bytes(300) + pieces[n + 1][300:]
    (tmp_path / "half.mkv").write_bytes(b"\xff\xd8\xff".join(pieces))
    found = read(reader, tmp_path / "half.mkv")
    assert len(found.segments) >= 4
    assert (found.error.kind if found.error else None) == kind
    assert found.facts is not None
    assert "packets of picture could not be decoded, the first at" in found.facts.notes[0]


@both
def test_sound_that_cannot_be_decoded_leaves_the_picture(reader: str, tmp_path: Path):
    """The sound's codec is renamed to one that nobody knows."""
    whole = make(PLAIN).read_bytes()
    (tmp_path / "deaf.mp4").write_bytes(whole.replace(b"mp4a", b"zzzz").replace(b"esds", b"zzzz"))
    found = read(reader, tmp_path / "deaf.mp4")
    assert found.error is None
    assert [s.frames for s in found.segments] == [20, 20, 20, 20, 10]
    assert not found.audio.any()
    assert found.facts is not None
    assert not found.facts.has_audio


@both
def test_a_leap_of_time_ends_the_video(reader: str, tmp_path: Path):
    """Ten hours between two frames are not 360,000 copies of one."""
    ffmpeg(
        "-f", "lavfi", "-i", "testsrc2=s=64x36:r=10:d=4", "-vf", "setpts='PTS+gte(T,2)*36000/TB'", "-vsync", "vfr",
        "-c:v", "mjpeg", tmp_path / "leap.mkv",
    )  # fmt: skip
    found = read(reader, tmp_path / "leap.mkv")
    assert found.error is None
    assert [s.frames for s in found.segments] == [20]
    assert found.facts is not None
    assert found.facts.seconds == 2.0
    assert "jump by 36000 s" in found.facts.notes[0]
    wide = read(reader, tmp_path / "leap.mkv", end_s=100.0, limits=Limits(gap_s=1e6))
    assert len(wide.segments) == 50


@both
def test_a_duration_that_lies_is_not_believed(reader: str, tmp_path: Path):
    whole = bytearray(make(PLAIN).read_bytes())
    for box in (b"mvhd", b"tkhd", b"mdhd"):
        at = whole.index(box)
        place = at + 4 + (4 + 8 + (8 if box == b"tkhd" else 4))
        whole[place : place + 4] = struct.pack(">I", 0x7FFFFFFF)
    (tmp_path / "liar.mp4").write_bytes(whole)
    found = read(reader, tmp_path / "liar.mp4")
    assert found.facts is not None
    assert found.facts.seconds == 9.0


@both
@pytest.mark.parametrize("inputs", ["picture", "sound", "cover"])
def test_one_kind_of_stream(inputs: str, reader: str, tmp_path: Path):
    path = tmp_path / "one.mp4"
    if inputs == "picture":
        ffmpeg("-i", make(PLAIN), "-an", "-c", "copy", path)
        found = read(reader, path)
        assert found.error is None
        assert found.facts is not None
        assert (found.facts.audio_codec, found.facts.has_audio, found.audio.any()) == ("", False, False)
        return
    ffmpeg("-i", make(PLAIN), "-vn", "-c", "copy", tmp_path / "sound.m4a")
    if inputs == "sound":
        os.rename(tmp_path / "sound.m4a", path)
    else:
        ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x64:d=1", "-frames:v", "1", tmp_path / "cover.png")
        ffmpeg(
            "-i", tmp_path / "sound.m4a", "-i", tmp_path / "cover.png", "-map", "0", "-map", "1", "-c", "copy",
            "-disposition:v:0", "attached_pic", path,
        )  # fmt: skip
    error = read(reader, path).error
    assert error is not None
    assert error.kind == "no-video"
    assert ("cover" in str(error)) == (inputs == "cover")


@both
def test_a_single_frame(reader: str, tmp_path: Path):
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x36:r=5:d=0.2", "-c:v", "mpeg4", tmp_path / "one.mp4")
    found = read(reader, tmp_path / "one.mp4")
    assert found.error is None
    (segment,) = found.segments
    assert segment.frames == 2
    assert (segment.video == segment.video[0]).all()


@both
def test_a_change_of_picture_size_in_mid_stream(reader: str, tmp_path: Path):
    """Two transport streams joined: another size, and time stamps that start anew."""
    parts = [
        make(Film(f"part{w}.ts", ("-f", "mpegts", *H264, *AAC), size=(w, h))).read_bytes()
        for w, h in ((160, 90), (320, 240))
    ]
    (tmp_path / "joined.ts").write_bytes(b"".join(parts))
    found = read(reader, tmp_path / "joined.ts")
    assert found.error is None
    seen, heard = flashes(found), clicks(found)
    assert len(seen) == len(heard) == 4
    assert np.abs(np.subtract(seen, heard)).max() <= 0.1
    assert np.abs(np.subtract(seen, [2.0, 7.3, 11.0, 16.3])).max() <= 0.15


def _unwoven(path: Path, out: Path, sound_first: bool) -> None:
    """The same packets with all of one stream before all of the other; Matroska is read in the file's order."""
    with av.open(str(path)) as source, av.open(str(out), "w", options={"max_interleave_delta": "1"}) as target:
        streams = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
        packets = [packet for packet in source.demux() if packet.size]
        for packet in sorted(packets, key=lambda packet: (packet.stream.type == "video") == sound_first):
            packet.stream = streams[packet.stream.index]
            target.mux(packet)


@both
@pytest.mark.timeout(60)
@pytest.mark.parametrize("span", [(0.0, None), (0.0, 5.0), (5.3, 8.3)])
@pytest.mark.parametrize("sound_first", [False, True])
def test_picture_and_sound_far_apart_in_the_file(
    sound_first: bool, span: tuple[float, float | None], reader: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Picture must not pile up until the sound comes: beyond eight segments, sound is read by a demuxer of its own."""
    film = make(Film("woven.mkv", (*H264, "-c:a", "pcm_s16le"), rate=16000))
    _unwoven(film, tmp_path / "unwoven.mkv", sound_first)
    short = Geometry(64, 36, 10, 0.2, 16000)
    waiting = []
    given = Assembler._segment

    def counted(self: Assembler, video: npt.NDArray[np.uint8], frames: int) -> Segment:
        waiting.append(len(self._full))
        return given(self, video, frames)

    monkeypatch.setattr(Assembler, "_segment", counted)
    normal, found = (
        read(reader, path, short, start_s=span[0], end_s=span[1]) for path in (film, tmp_path / "unwoven.mkv")
    )
    assert found.error is None
    assert len(found.segments) == len(normal.segments) == round(((span[1] or 9.0) - span[0]) / 0.2)
    assert max(waiting) <= MAX_WAITING_SEGMENTS
    assert (found.video == normal.video).all()
    assert np.abs(found.audio.astype(int) - normal.audio).max() <= 1
    assert found.audio.any()


@both
def test_sound_that_ends_early_is_followed_by_silence(reader: str, tmp_path: Path):
    ffmpeg("-i", make(PLAIN), "-c:v", "copy", "-af", "atrim=0:3", tmp_path / "short.mp4")
    found = read(reader, tmp_path / "short.mp4", Geometry(64, 36, 10, 0.5, 16000))
    assert found.error is None
    assert len(found.segments) == 18
    assert clicks(found) == pytest.approx([2.0], abs=0.05)
    assert len(found.audio) == 9 * SMALL.sample_rate
