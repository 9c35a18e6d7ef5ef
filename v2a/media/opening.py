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
    errno.EACCES: ("not-permitted", "it may not be read by this user"),
    errno.EPERM: ("not-permitted", "it may not be read by this user"),
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
            status = os.fstat(self._fd)
            check_status(status, limits)
            self.bytes = status.st_size
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


def unreadable(error: OSError | ValueError) -> MediaError:
    """The reason for people why a file cannot be opened or read."""
    if not isinstance(error, OSError):
        return MediaError("missing", "there is no such file: its name holds a null byte")
    known = _REASONS.get(error.errno or 0)
    return MediaError(*known) if known else MediaError("unreadable", f"it cannot be read: {error.strerror}")


def check_status(status: os.stat_result, limits: Limits) -> None:
    """See whether a file may be opened at all.

    Raises:
        MediaError: not a regular file, empty, or larger than `limits.file_bytes`.
    """
    if not stat.S_ISREG(status.st_mode):
        what = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe, a socket or a device"
        raise MediaError("not-a-file", f"is {what}; expected a regular file")
    if status.st_size == 0:
        raise MediaError("empty", "is empty (0 bytes)")
    if status.st_size > limits.file_bytes:
        raise MediaError(
            "too-large", f"has {status.st_size} bytes; at most {limits.file_bytes} are allowed (limit.gigabytes)"
        )


def _open(path: str) -> int:
    try:
        # O_NONBLOCK: opening a FIFO that nobody writes to would wait for ever.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except (OSError, ValueError) as error:
        raise unreadable(error) from None
    with contextlib.suppress(OSError):  # advice only
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)
    return fd
