"""Why a file gives no clip, in words for people, from what the decoders say."""

from __future__ import annotations

import re
import struct

from v2a.media.opening import OpenFile
from v2a.media.reading import MediaError

_PLAYLIST_STARTS = (b"#EXTM3U", b"ffconcat", b"# ffconcat", b"<?xml", b"<MPD", b"v=0", b"[playlist]", b"[Reference]")
_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"moof", b"styp")
_NO_DECODER = re.compile(r"[Dd]ecoder .*not found|no decoder found")  # ffmpeg's words, old and new
_MAX_BOXES = 10_000


def not_opened(file: OpenFile, said: str) -> MediaError:
    """No allowed container was recognised, or its header could not be read.

    Args:
        file: to look into its first bytes.
        said: the decoder's own words.
    """
    head = file.head(64)
    if head.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(_PLAYLIST_STARTS):
        return MediaError(
            "not-allowed",
            "is a playlist or a list of other files; expected a video file that holds its pictures itself",
        )
    if head[4:8] in _BOXES and not _has_box(file, b"moov"):
        return MediaError("no-index", "the index (moov) is missing: the file was cut off while it was written")
    if not head.strip(b"\0"):
        return MediaError("not-media", "is not a video: it begins with nothing but zero bytes")
    return MediaError("not-media", f"is not a video: its bytes fit no container that is allowed ({said})")


def no_video(has_sound: bool, has_cover: bool) -> MediaError:
    """No stream of moving pictures."""
    if has_cover:
        return MediaError("no-video", "holds no moving picture, only sound with a cover picture")
    return MediaError("no-video", "holds no picture, only sound" if has_sound else "holds no picture")


def no_decoder(codec: str) -> MediaError:
    """The installed decoder does not know this codec."""
    return MediaError(
        "unreadable", f"its picture is {codec or 'of an unknown codec'}, for which there is no decoder here"
    )


def no_frame(errors: int, said: str, codec: str) -> MediaError:
    """The end was reached without any picture."""
    if _NO_DECODER.search(said):
        return no_decoder(codec)
    if errors:
        words = f" ({said})" if said else ""
        return MediaError("damaged", f"none of its pictures could be decoded; {errors} failed{words}")
    return MediaError("no-video", "holds no picture: its video stream is empty")


def mostly_damaged(errors: int, frames: int) -> MediaError:
    """More than half of the packets were lost."""
    return MediaError(
        "damaged",
        f"{errors} of its pictures could not be decoded and only {frames} could; more than half must be whole",
    )


def too_many_pixels(width: int, height: int, pixels: int) -> MediaError:
    """Larger than the limit."""
    return MediaError(
        "too-large", f"its picture has {width}x{height} pixels; at most {pixels} in all are allowed (limit.megapixels)"
    )


def starts_too_late(start_s: float, seconds: float) -> MediaError:
    """Nothing is left of the request."""
    return MediaError(
        "past-the-end", f"expected a start before the end of the picture at {seconds:.2f} s, but got {start_s:g} s"
    )


def damage_note(errors: int, first_s: float, what: str) -> str:
    """A sentence on packets that were skipped."""
    return f"{errors} packet{'s' if errors != 1 else ''} of {what} could not be decoded, the first at {first_s:.1f} s"


def _has_box(file: OpenFile, name: bytes) -> bool:
    """Whether an ISO file has this box at its top level."""
    offset = 0
    for _ in range(_MAX_BOXES):
        header = file.head(16, offset)
        if len(header) < 8:
            return False
        size, kind = struct.unpack(">I4s", header[:8])
        if kind == name:
            return True
        if size == 1 and len(header) == 16:
            size = struct.unpack(">Q", header[8:])[0]
        if size < 8:
            return False
        offset += size
        if offset >= 1 << 62:
            return False
    return False
