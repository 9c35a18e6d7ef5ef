"""Files that want to harm: playlists, foreign references, devices, names, headers that promise too much."""

import http.server
import os
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import av
import pytest
from PIL import Image

from tests.conftest import HOSTILE_NAMES
from tests.unit.media.films import PLAIN, ffmpeg, make, write_sound
from tests.unit.media.reads import SMALL, read
from v2a.media.allowed import input_options
from v2a.media.readers import READERS
from v2a.media.reading import Limits

both = pytest.mark.parametrize("reader", READERS)


@pytest.fixture(name="visits")
def visits_fixture() -> Iterator[tuple[int, list[str]]]:
    """A web server on this machine: its port, and the paths that were asked for."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1], asked
    server.shutdown()
    server.server_close()


def _playlists(target: str) -> dict[str, str]:
    return {
        "hls.mp4": f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXT-X-VERSION:3\n#EXTINF:10.0,\n{target}\n#EXT-X-ENDLIST\n",
        "hls.m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10.0,\n{target}\n#EXT-X-ENDLIST\n",
        "concat.mp4": f"ffconcat version 1.0\nfile '{target}'\n",
        "dash.mp4": f'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period><AdaptationSet mimeType="video/mp4">'
        f"<Representation id='1' bandwidth='1'><BaseURL>{target}</BaseURL></Representation></AdaptationSet></Period></MPD>",
        "session.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
        "m=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    }


@both
@pytest.mark.parametrize("name", list(_playlists("")))
def test_a_playlist_opens_nothing(name: str, reader: str, tmp_path: Path, visits: tuple[int, list[str]]):
    port, asked = visits
    for target in (str(make(PLAIN)), f"file://{make(PLAIN)}", f"http://127.0.0.1:{port}/secret"):
        (tmp_path / name).write_text(_playlists(target)[name])
        found = read(reader, tmp_path / name)
        assert found.segments == []
        assert found.error is not None
        assert found.error.kind == "not-allowed"
        assert "playlist" in str(found.error)
    assert asked == []


@both
def test_a_reference_to_another_file_is_not_followed(reader: str, tmp_path: Path):
    """A QuickTime movie whose pictures are said to lie in another file of the same folder."""
    ffmpeg("-i", make(PLAIN), "-c", "copy", tmp_path / "secret.mov")
    whole = (tmp_path / "secret.mov").read_bytes()
    found = read(reader, tmp_path / "secret.mov")
    assert found.error is None
    target = str(tmp_path / "secret.mov").encode()
    alias = struct.pack(">I4sI", 12 + len(target) + 1, b"url ", 0) + target + b"\0"
    moov = _with_reference(whole[whole.rindex(b"moov") - 4 :], alias)
    (tmp_path / "thief.mov").write_bytes(struct.pack(">I4s4sI4s", 20, b"ftyp", b"qt  ", 512, b"qt  ") + moov)
    stolen = read(reader, tmp_path / "thief.mov")
    assert stolen.segments == []
    assert stolen.error is not None


def _with_reference(moov: bytes, alias: bytes) -> bytes:
    """Replace "in this file" (a `url ` box with flag 1) in every data reference, and fix the sizes around it."""
    own = struct.pack(">I4sI", 12, b"url ", 1)
    grown = len(alias) - len(own)

    def fixed(box: bytes) -> bytes:
        out, at = b"", 0
        while at + 8 <= len(box):
            size, kind = struct.unpack(">I4s", box[at : at + 8])
            body = box[at + 8 : at + size]
            if kind in (b"moov", b"trak", b"mdia", b"minf", b"dinf"):
                body = fixed(body)
            elif kind == b"dref" and own in body:
                body = body.replace(own, alias)
            out += struct.pack(">I4s", len(body) + 8, kind) + body
            at += size
        return out

    changed = fixed(moov)
    assert len(changed) == len(moov) + grown * moov.count(own)
    return changed


@both
@pytest.mark.parametrize(
    "name", [n for n in HOSTILE_NAMES if n and "/" not in n] + ["%03d.mp4", "concat:a|b", "file:x", "pipe:0"]
)
def test_a_name_is_only_a_name(name: str, reader: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    os.link(make(PLAIN), name) if os.stat(tmp_path).st_dev == os.stat(make(PLAIN)).st_dev else Path(name).write_bytes(
        make(PLAIN).read_bytes()
    )
    assert len(read(reader, name).segments) == 5
    assert os.listdir(b".") == [os.fsencode(name)]


@both
def test_a_name_may_hold_bytes_that_are_no_text(reader: str, tmp_path: Path):
    name = os.fsencode(tmp_path) + b"/\xff\xfe na\xefve.mp4"
    with open(name, "wb") as file:
        file.write(make(PLAIN).read_bytes())
    assert len(read(reader, os.fsdecode(name)).segments) == 5


@both
@pytest.mark.timeout(20)
def test_only_regular_files_are_opened(reader: str, tmp_path: Path):
    os.mkfifo(tmp_path / "fifo.mp4")
    (tmp_path / "dangling.mp4").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop.mp4").symlink_to(tmp_path / "loop.mp4")
    kinds = {
        str(tmp_path / "fifo.mp4"): "not-a-file",
        "/dev/zero": "not-a-file",
        "/dev/tty": "",
        str(tmp_path): "not-a-file",
        str(tmp_path / "dangling.mp4"): "missing",
        str(tmp_path / "loop.mp4"): "missing",
        str(tmp_path / "nul\0byte"): "missing",
        str(tmp_path / ("x" * 300)): "missing",
        str(make(PLAIN)) + "/below": "missing",
    }
    for path, kind in kinds.items():
        error = read(reader, path).error
        assert error is not None, path
        assert not kind or error.kind == kind, path


@both
def test_a_link_to_a_video_is_a_video(reader: str, tmp_path: Path):
    (tmp_path / "link").symlink_to(make(PLAIN))
    assert len(read(reader, tmp_path / "link").segments) == 5


@both
@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "empty"),
        (b"hello world\n" * 100, "not-media"),
        (bytes(100_000), "not-media"),
        (os.urandom(100_000), "not-media"),
    ],
)
def test_what_is_no_video_says_so(content: bytes, kind: str, reader: str, tmp_path: Path):
    (tmp_path / "x.mp4").write_bytes(content)
    found = read(reader, tmp_path / "x.mp4")
    assert found.error is not None
    assert found.error.kind == kind
    assert str(tmp_path) not in str(found.error)


@both
@pytest.mark.parametrize("name", ["picture.png", "picture.webp", "sound.wav", "text.srt"])
def test_other_kinds_of_media_are_not_opened(name: str, reader: str, tmp_path: Path):
    """libav knows them, and would make a video of one frame of a picture."""
    if name.startswith("picture"):
        Image.new("RGB", (64, 64), (200, 10, 10)).save(tmp_path / name)
    elif name == "sound.wav":
        write_sound(tmp_path / name, 8000, 1, 1.0)
    else:
        (tmp_path / name).write_text("1\n00:00:00,000 --> 00:00:01,000\nHello\n\n" * 50)
    error = read(reader, tmp_path / name).error
    assert error is not None
    assert error.kind == "not-allowed"


def test_the_options_alone_visit_no_address(visits: tuple[int, list[str]]):
    """A second wall, should a demuxer of the list ever follow an address."""
    port, asked = visits
    with pytest.raises(av.error.FFmpegError):
        av.open(f"http://127.0.0.1:{port}/x.mp4", options=input_options(10**6), timeout=5)
    assert asked == []


@both
def test_limits_of_size_hold(reader: str):
    small = read(reader, make(PLAIN), limits=Limits(file_bytes=1000))
    assert small.error is not None
    assert (small.error.kind, "limit.gigabytes" in str(small.error)) == ("too-large", True)
    pixels = read(reader, make(PLAIN), limits=Limits(pixels=160 * 90 - 1))
    assert pixels.error is not None
    assert pixels.error.kind == "too-large"
    assert len(read(reader, make(PLAIN), limits=Limits(pixels=160 * 90)).segments) == 5


@both
def test_a_picture_whose_size_the_decoder_withholds_is_too_large(reader: str, tmp_path: Path):
    """libav says nothing but "invalid data" of it, and that its size is 0x0."""
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=640x480:d=1:r=2", "-c:v", "ffv1", tmp_path / "large.mkv")
    error = read(reader, tmp_path / "large.mkv", limits=Limits(pixels=20_000)).error
    assert error is not None
    assert error.kind == "too-large"
    assert str(error) == "its picture has 640x480 pixels; at most 20000 in all are allowed (limit.megapixels)"


@both
def test_the_limit_of_pixels_holds_in_mid_stream(reader: str, tmp_path: Path):
    """The first part is small enough, the second is not."""
    parts = []
    for size in ("160x90", "640x360"):
        part = tmp_path / f"{size}.ts"
        ffmpeg("-f", "lavfi", "-i", f"testsrc2=s={size}:d=4", "-c:v", "mpeg2video", "-f", "mpegts", part)
        parts.append(part.read_bytes())
    (tmp_path / "joined.ts").write_bytes(b"".join(parts))
    assert len(read(reader, tmp_path / "joined.ts").segments) == 4
    found = read(reader, tmp_path / "joined.ts", limits=Limits(pixels=320 * 180))
    assert len(found.segments) <= 2
    assert found.facts is not None
    assert found.error is not None or found.facts.notes


@both
@pytest.mark.parametrize(("limit", "setting"), [("seconds", "limit.minutes"), ("stall_s", "limit.stall_s")])
def test_limits_of_time_hold(limit: str, setting: str, reader: str):
    found = read(reader, make(PLAIN), limits=Limits(**{limit: 0.0}))
    assert found.error is not None
    assert found.error.kind == "too-slow"
    assert setting in str(found.error)


@both
def test_a_request_without_sense_is_refused(reader: str):
    for start, end in ((-1.0, None), (float("nan"), None), (5.0, 5.0), (5.0, 2.0), (0.0, float("inf"))):
        error = read(reader, make(PLAIN), start_s=start, end_s=end).error
        assert error is not None
        assert error.kind == "bad-span"


def test_a_segment_belongs_to_whoever_takes_it():
    found = read("pyav", make(PLAIN))
    found.segments[0].video[:] = 0
    assert found.segments[1].video.max() > 0
    assert SMALL.frames == len(found.segments[0].video)
