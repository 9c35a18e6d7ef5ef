"""One training at a time in a run's folder."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

from v2a.comm import Comm

_FILE = ".training.lock"
_STRAY_S = 20.0  # a rank 0 that was killed a moment ago may take so long to end


class RunBusy(ValueError):  # noqa: N818 - says what is the matter
    """Another process trains in the run's folder; when it has ended, the same command works."""


@contextmanager
def alone_in(out: Path, comm: Comm) -> Iterator[None]:
    """Hold the run's folder as long as this is entered; the lock ends with rank 0's process, however it ends.

    On a file system without locks nothing is held.

    Raises:
        RunBusy: another process trains there; on all ranks.
    """
    file = _open(out / _FILE) if comm.rank == 0 else -1
    try:
        held = file < 0 or _lock(file)
        if not bool(comm.broadcast(torch.tensor(int(held)))):
            who = f" ({os.pread(file, 300, 0).decode(errors='replace')})" if comm.rank == 0 else ""
            raise RunBusy(f"another process trains in {out}{who}; wait for it, or choose another folder")
        yield
    finally:
        if file >= 0:
            os.close(file)


def _open(path: Path) -> int:
    """-1 where no file can be made: whoever writes there next says why."""
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError:
        return -1


def _lock(file: int) -> bool:
    deadline = time.monotonic() + _STRAY_S
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.2)
        except OSError:
            return True
        else:
            with suppress(OSError):  # a full disk: the lock is held all the same
                os.truncate(file, 0)
                os.pwrite(file, f"{socket.gethostname()}, process {os.getpid()}, since {time.ctime()}".encode(), 0)
            return True
