"""The readers by name."""

from __future__ import annotations

from v2a.config import choose
from v2a.media.reading import Reader

READERS = ("ffmpeg", "pyav")
DEFAULT_READER = "pyav"


def get_reader(name: str) -> Reader:
    """A reader; "auto" is the default one.

    Raises:
        v2a.config.ConfigError: an unknown name.
    """
    chosen = DEFAULT_READER if name == "auto" else choose("reader", name, READERS)
    if chosen == "ffmpeg":
        from v2a.media.ffmpeg_reader import FfmpegReader

        return FfmpegReader()
    from v2a.media.pyav_reader import PyavReader

    return PyavReader()
