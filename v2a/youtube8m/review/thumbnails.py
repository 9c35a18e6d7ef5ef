"""One picture for a video: its middle large, and two more moments beside it."""

from __future__ import annotations

import hashlib
import html
import io
import os
import stat
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from v2a.youtube8m.review.entries import Entry
from v2a.youtube8m.tables import write_whole

if TYPE_CHECKING:
    from PIL.Image import Image

SMALL = (160, 90)  # pixels; the large one is twice as wide and high
_MOMENTS = (1 / 2, 1 / 6, 5 / 6)
_LOOK = 250  # frames decoded at most to come from a key frame to a moment
_TIMEOUT_S = 10.0
_VERSION = b"1"


class Thumbnails:
    """Makes pictures, two at a time, and keeps them in a hidden folder beside the list."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._turn = threading.BoundedSemaphore(2)

    def get(self, entry: Entry) -> tuple[str, bytes]:
        """Content type and bytes: a JPEG, or an SVG that says why there is none. Never raises for a bad video."""
        try:
            status = os.stat(entry.file)
            if not stat.S_ISREG(status.st_mode):
                return _sorry("not a file")
        except OSError as error:
            return _sorry(error.strerror or "missing")
        parts = (os.fsencode(entry.file), status.st_size, status.st_mtime_ns, entry.start_s, entry.end_s)
        name = hashlib.sha256(_VERSION + repr(parts).encode()).hexdigest()[:32]
        stored = self._cache / f"{name}.jpg"
        try:
            return "image/jpeg", stored.read_bytes()
        except OSError:
            pass  # not made yet
        with self._turn:
            return self._make(entry, stored)

    def _make(self, entry: Entry, stored: Path) -> tuple[str, bytes]:
        import av

        try:
            picture = _mosaic(_frames(entry.file, entry.start_s, entry.end_s))
        except av.error.FFmpegError as error:
            return _sorry(error.strerror or str(error))
        except (OSError, ValueError, RuntimeError, ArithmeticError, MemoryError) as error:
            return _sorry(str(error) or type(error).__name__)
        try:
            write_whole(stored, picture)
        except OSError:
            return "image/jpeg", picture  # a folder that may not be written to: made anew the next time
        return "image/jpeg", picture


def _frames(path: Path, start_s: float, end_s: float | None) -> list[Image]:
    """A picture for each moment that can be reached, at least one.

    Raises:
        ValueError: no picture can be decoded.
    """
    import av

    found: list[Image] = []
    with av.open(str(path), timeout=_TIMEOUT_S) as container:
        streams = [stream for stream in container.streams.video if stream.average_rate]
        if not streams:
            raise ValueError("there is no picture in it")
        stream = streams[0]
        stream.thread_type = "AUTO"
        base = stream.time_base or 0
        first = float((stream.start_time or 0) * base)
        length = float(stream.duration * base) if stream.duration else float((container.duration or 0) / 1_000_000)
        begin, end = first + start_s, first + (min(end_s, length) if end_s is not None and length else end_s or length)
        for moment in _MOMENTS if end > begin else (0.0,):
            frame = _frame_at(container, stream, begin + moment * (end - begin))
            if frame is not None:
                found.append(frame)
    if not found:
        raise ValueError("no frame of it can be decoded")
    return found


def _frame_at(container: Any, stream: Any, seconds: float) -> Image | None:
    """The last frame that is not later than this, or the nearest that a limited search finds."""
    import av

    frame = None
    try:
        container.seek(max(0, int(seconds / stream.time_base)), stream=stream, backward=True)
        for number, frame in enumerate(container.decode(stream)):
            if number >= _LOOK or (frame.time or 0.0) >= seconds:
                break
    except av.error.FFmpegError:
        if frame is None:
            return None
    if frame is None:
        return None
    scale = min(1.0, 2 * SMALL[0] / frame.width, 4 * SMALL[1] / frame.height)
    size = max(2, round(frame.width * scale)), max(2, round(frame.height * scale))
    picture: Image = frame.to_image(width=size[0], height=size[1])
    rotation = int(getattr(frame, "rotation", 0) or 0)  # counter-clockwise, degrees
    return picture.rotate(rotation, expand=True) if rotation else picture


def _mosaic(frames: list[Image]) -> bytes:
    """The first frame large on the left, the others small on the right, one below the other; JPEG."""
    from PIL import Image, ImageOps

    width, height = SMALL
    sheet = Image.new("RGB", (3 * width, 2 * height), (0, 0, 0))
    sheet.paste(ImageOps.pad(frames[0].convert("RGB"), (2 * width, 2 * height)), (0, 0))
    for row, frame in enumerate(frames[1:3]):
        sheet.paste(ImageOps.pad(frame.convert("RGB"), (width, height)), (2 * width, row * height))
    content = io.BytesIO()
    sheet.save(content, "JPEG", quality=78, optimize=True)
    return content.getvalue()


def _sorry(reason: str) -> tuple[str, bytes]:
    text = html.escape(reason.encode("utf-8", "replace").decode()[:60])
    return "image/svg+xml", (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 480 180"><rect width="480" height="180" fill="#5b6470"/>'
        '<g fill="#fff" font-family="sans-serif" text-anchor="middle"><text x="240" y="84" font-size="20">no picture</text>'
        f'<text x="240" y="112" font-size="14" opacity=".8">{text}</text></g></svg>'
    ).encode()
