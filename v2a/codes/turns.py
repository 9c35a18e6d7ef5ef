"""Whose turn it is in a folder that a stage fills: one process leads, workers have seats; both end with their process."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import time
from pathlib import Path
from types import TracebackType

_STRAY_S = 20.0  # workers of a run that was killed may take so long to end
_TAKEN = (errno.EWOULDBLOCK, errno.EACCES)


class FolderBusy(BlockingIOError):  # noqa: N818 - the name says what happened
    """Another run of the stage writes into the folder."""


class Lead:
    """The one process that leads in a folder.

    Args:
        folder: made when missing.
        stage: that fills it.
    """

    def __init__(self, folder: Path, stage: str = "codes") -> None:
        self._folder, self._stage = folder, stage
        self._lock = -1

    def take(self) -> None:
        """Become the one, and wait for what is left of a run that was killed.

        Raises:
            FolderBusy: another is at work here.
            OSError: the folder cannot be made or written.
        """
        state = self._folder / f".{self._stage}"
        state.mkdir(parents=True, exist_ok=True)
        self._lock = _lock(state / "leader.lock", fcntl.LOCK_EX, 0.0, self._stage)
        os.close(_lock(state / "workers.lock", fcntl.LOCK_EX, _STRAY_S, self._stage))
        os.truncate(self._lock, 0)
        os.pwrite(self._lock, f"{socket.gethostname()}, process {os.getpid()}, since {time.ctime()}".encode(), 0)

    def give(self) -> None:
        """Let others in."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


class Seat:
    """A worker's place; while it is entered, the next run waits for this worker to end.

    Attributes:
        number: of this worker among those of its host, 0, 1, …: by it each takes its own GPU.
    """

    def __init__(self, folder: Path, stage: str = "codes") -> None:
        state = folder / f".{stage}"
        state.mkdir(parents=True, exist_ok=True)
        self._locks = [_lock(state / "workers.lock", fcntl.LOCK_SH, _STRAY_S, stage)]
        host = socket.gethostname()[:60].replace("/", "_")
        self.number = 0
        while True:
            try:
                self._locks.append(_lock(state / f"seat-{host}-{self.number}.lock", fcntl.LOCK_EX, 0.0, stage))
            except FolderBusy:
                self.number += 1
            else:
                break

    def __enter__(self) -> Seat:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """This worker writes nothing more."""
        for lock in self._locks:
            os.close(lock)


def _lock(path: Path, kind: int, wait_s: float, stage: str) -> int:
    """An open file that holds the lock until it is closed, or its process ends."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    deadline = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in _TAKEN:  # a file system without locks: nothing can be known
                return file
            if time.monotonic() >= deadline:
                who = os.pread(file, 300, 0).decode(errors="replace") or "its workers are still ending"
                os.close(file)
                raise FolderBusy(
                    f"another {stage} is at work in {path.parent.parent} ({who}); wait for it, or take another out="
                ) from None
            time.sleep(0.1)
        else:
            return file
