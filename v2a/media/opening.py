"""Opening a file that may be hostile: only regular files, only up to a size, and decoders never see its name."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from types import TracebackType

from v2a.media.reading import Limits, MediaError

_REASONS = {
    errno.ENOENT: ("missing", "there is no such file, or it is a link that leads nowhere"),
    errno.ENOTDIR: ("missing", "there is no such file: a part of its path is not a folder"),
    errno.EACCES: ("unreadable", "it may not be read by this user"),
    errno.EPERM: ("unreadable", "it may not be read by this user"),
    errno.ELOOP: ("missing", "it is a link that leads in a circle"),
    errno.ENAMETOOLONG: ("missing", "its name is longer than the file system allows"),
}


class OpenFile:
    """A regular file, opened for reading.

    Decoders are given `path`, which names the open file and not the file's name: quotes, newlines, leading dashes, "%03d",
    "concat:…" and bytes that are not UTF-8 cannot mean anything to them, and the file cannot be exchanged after the checks.
    """

    def __init__(self, path: str, limits: Limits) -> None:
        """Open and check.

        Raises:
            MediaError: missing, not a regular file, empty, larger than `limits.file_bytes`, or not readable.
        """
        self._fd = _open(path)
        try:
            self.bytes = _checked_size(os.fstat(self._fd), limits)
        except MediaError:
            self.close()
            raise

    @property
    def fd(self) -> int:
        """Its descriptor, not inherited by programs unless it is passed on by number."""
        return self._fd

    @property
    def path(self) -> str:
        """Its name for a decoder in this process, and in a child that inherits `fd`; each opening starts at byte 0."""
        return f"/proc/self/fd/{self._fd}"

    def head(self, count: int, offset: int = 0) -> bytes:
        """Some bytes of it; fewer at its end."""
        return os.pread(self._fd, count, offset)

    def close(self) -> None:
        """Close it; twice does no harm."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> OpenFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _open(path: str) -> int:
    try:
        # O_NONBLOCK: opening a FIFO that nobody writes to would wait for ever.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError as error:
        number = error.errno or 0
        known = _REASONS.get(number)
        raise MediaError(*known) if known else MediaError("unreadable", f"cannot be opened: {error.strerror}") from None
    except ValueError:  # a null byte
        raise MediaError("missing", "there is no such file: its name holds a null byte") from None
    with contextlib.suppress(OSError):  # advice only
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)
    return fd


def _checked_size(status: os.stat_result, limits: Limits) -> int:
    if not stat.S_ISREG(status.st_mode):
        what = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe, a socket or a device"
        raise MediaError("not-a-file", f"is {what}; expected a regular file")
    if status.st_size == 0:
        raise MediaError("empty", "is empty (0 bytes)")
    if status.st_size > limits.file_bytes:
        raise MediaError(
            "too-large", f"has {status.st_size} bytes; at most {limits.file_bytes} are allowed (limit file_bytes)"
        )
    return status.st_size
