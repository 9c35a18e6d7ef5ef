"""Ten ways in which a file named like a video gives no picture: functions of a path and a number that makes it unlike others."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.media.videos import video_bytes


def _faststart(path: Path, *codec: str) -> bytes:
    picture = ["-f", "lavfi", "-i", "testsrc2=size=96x54:rate=20:duration=2"]
    subprocess.run(["ffmpeg", "-v", "error", *picture, *codec, path], check=True, stdin=subprocess.DEVNULL)
    return path.read_bytes()


def empty(path: Path, _number: int) -> None:
    """No bytes."""
    path.touch()


def text(path: Path, number: int) -> None:
    """An error page that somebody saved under the name of a video."""
    path.write_text(f"<html><body>404 number {number}</body></html>\n" * 20)


def noise(path: Path, number: int) -> None:
    """Random bytes."""
    path.write_bytes(random.Random(number).randbytes(30_000 + number))


def no_index(path: Path, number: int) -> None:
    """Cut off while it was written: the index of an MP4 comes last."""
    whole = _faststart(path, "-c:v", "libx264", "-preset", "ultrafast")
    path.write_bytes(whole[: len(whole) // 2 + number])


def no_data(path: Path, number: int) -> None:
    """The index is there, the picture is not."""
    whole = _faststart(path, "-c:v", "libx264", "-preset", "ultrafast", "-movflags", "+faststart")
    path.write_bytes(whole[: whole.index(b"mdat") + 4 + number])


def zeroed(path: Path, number: int) -> None:
    """The index is there, the picture is zero bytes."""
    whole = _faststart(path, "-c:v", "libx264", "-preset", "ultrafast", "-movflags", "+faststart")
    start = whole.index(b"mdat") + 4
    path.write_bytes(whole[:start] + bytes(len(whole) - start + number))


def sound_only(path: Path, number: int) -> None:
    """An audio file under a video's name."""
    tone = ["-f", "lavfi", "-i", f"sine=frequency={400 + number}:duration=1"]
    subprocess.run(["ffmpeg", "-v", "error", *tone, "-c:a", "aac", path], check=True, stdin=subprocess.DEVNULL)


def playlist(path: Path, number: int) -> None:
    """A playlist that points at another file."""
    path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nfile:///etc/hostname?{number}\n#EXT-X-ENDLIST\n")


def concat_script(path: Path, number: int) -> None:
    """A script of ffmpeg's that joins other files."""
    path.write_text(f"ffconcat version 1.0\n# {number}\nfile '/etc/hostname'\n")


def header_only(path: Path, number: int) -> None:
    """The first box of an MP4, and the end."""
    path.write_bytes(video_bytes(2.0)[:24] + bytes(number))


WAYS: tuple[Callable[[Path, int], None], ...] = (
    empty, text, noise, no_index, no_data, zeroed, sound_only, playlist, concat_script, header_only,
)  # fmt: skip
