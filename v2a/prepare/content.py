"""A video's content: a hash of its file's bytes, by which copies are known."""

from __future__ import annotations

import hashlib
import os
import stat

from v2a.media.reading import MediaError

_BLOCK = 1 << 20


def content_hash(path: str) -> str:
    """SHA-256 of a file's bytes, its first 128 bits in hexadecimal.

    Raises:
        MediaError: it cannot be opened or read, or is no regular file.
    """
    try:
        # Without O_NONBLOCK, a named pipe that nobody writes to would hold this process for ever.
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise unreadable(error) from None
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise MediaError("not-media", "it is not a regular file")
        digest = hashlib.sha256()
        block = bytearray(_BLOCK)
        view = memoryview(block)
        while count := os.readv(file, [block]):
            digest.update(view[:count])
        return digest.hexdigest()[:32]
    except OSError as error:
        raise unreadable(error) from None
    finally:
        os.close(file)


def unreadable(error: OSError) -> MediaError:
    """The reason for people why a file cannot be read."""
    if isinstance(error, FileNotFoundError):
        return MediaError("missing", "there is no such file (or it is a link that leads nowhere)")
    return MediaError("unreadable", f"it cannot be read: {error.strerror}")
