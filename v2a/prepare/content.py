"""A video's content: a hash of its file's bytes, by which copies are known."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable

from v2a.media.opening import OpenFile, unreadable
from v2a.media.reading import Limits, MediaError

_BLOCK = 1 << 20


def content_hash(path: str, limits: Limits, should_stop: Callable[[int], bool] = lambda read: False) -> str:
    """SHA-256 of a file's bytes, its first 128 bits in hexadecimal; "" when it was asked to stop.

    Args:
        path: the file.
        limits: what it may cost in time and size.
        should_stop: asked after each megabyte, with the bytes read so far.

    Raises:
        MediaError: it cannot be opened or read, is no regular file, empty, larger than the limit, or takes too long.
    """
    deadline = time.monotonic() + limits.seconds
    digest, read = hashlib.sha256(), 0
    block = bytearray(_BLOCK)
    view = memoryview(block)
    with OpenFile(path, limits) as file:
        while count := _read(file.fd, block):
            digest.update(view[:count])
            read += count
            if should_stop(read):
                return ""
            if time.monotonic() > deadline:
                raise MediaError("too-slow", f"reading its bytes took longer than {limits.seconds:g} s (limit.minutes)")
    return digest.hexdigest()[:32]


def _read(file: int, block: bytearray) -> int:
    try:
        return os.readv(file, [block])
    except OSError as error:
        raise unreadable(error) from None
