"""What can go wrong with shards, each with a sentence for people."""

from __future__ import annotations

import errno
import os
from pathlib import Path

_FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the quota is used up",
    errno.EFBIG: "files may not grow so large",
}


class ShardError(ValueError):
    """A shard or a dataset folder that cannot be used as it is.

    Attributes:
        path: the file or folder.
        clip: number of the clip within the shard, None when it is not about one clip.
    """

    def __init__(self, path: str | Path, reason: str = "", clip: int | None = None) -> None:
        where = f"{os.fspath(path)}, clip {clip}" if clip is not None else os.fspath(path)
        # torch makes the error of a loader's worker anew from its text alone, which then stands in `path`.
        super().__init__(f"{where}: {reason}" if reason else where)
        self.path = Path(path)
        self.clip = clip
        self.reason = reason

    def __reduce__(self) -> tuple[type[ShardError], tuple[Path, str, int | None]]:
        """Pickled with its parts."""
        return ShardError, (self.path, self.reason, self.clip)


class DiskFull(OSError):  # noqa: N818 - says what is the matter
    """No room for a shard. Whole shards stay, the unfinished one is gone."""


def disk_error(error: OSError, path: Path) -> OSError:
    """A sentence for an error of the file system while `path` was written; `DiskFull` when room is what is missing."""
    if error.errno in _FULL:
        return DiskFull(
            error.errno,
            f"{_FULL[error.errno]}, so the shard could not be written. Whole shards are kept; "
            "make room and start again: what is done is not done twice",
            os.fspath(path),
        )
    reason = os.strerror(error.errno) if error.errno else str(error)
    return OSError(
        error.errno or errno.EIO,
        f"writing the shard failed ({reason}). Whole shards are kept; check the disk and start again",
        os.fspath(path),
    )
