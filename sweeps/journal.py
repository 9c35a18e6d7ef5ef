"""Optuna's journal file, made safe against what ends a process in the middle of a write: a full disk, or kill -9."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optuna.storages.journal import JournalFileBackend

_BLOCK = 1 << 16


@contextmanager
def file_lock(path: str) -> Iterator[None]:
    """Hold a lock file; it is free when its process ends, however that is."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def journal_backend(path: str) -> JournalFileBackend:
    """A backend that cuts off an unfinished last line before it appends (Optuna's own writes behind it, and never reads the file
    again), and whose lock no dead process holds (Optuna's own waits for it for 30 s).

    Args:
        path: of the file; made when missing.
    """
    from optuna.storages.journal import JournalFileBackend

    class Backend(JournalFileBackend):
        def append_logs(self, logs: list[dict[str, Any]]) -> None:
            lines = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs).encode()
            with file_lock(f"{path}.lock"):
                append_whole(path, lines)

    return Backend(path)


def check_journal(path: str) -> None:
    """See that a file, if there is one, begins like a journal: Optuna writes to others too, and fails later.

    Raises:
        ValueError: it does not.
    """
    try:
        with open(path, "rb") as file:
            first = file.readline()
    except FileNotFoundError:
        return
    if first.endswith(b"\n") and "op_code" not in json.loads(first):
        raise ValueError("its first line is none of a journal's")


def append_whole(path: str, lines: bytes) -> None:
    """Append after the last whole line, all or nothing.

    Raises:
        OSError: it could not be written; the file is as it was.
    """
    with open(path, "r+b", buffering=0) as file:
        size = whole_size(path)
        try:
            file.truncate(size)
            file.seek(size)
            rest = memoryview(lines)
            while rest:
                rest = rest[file.write(rest) :]
            os.fsync(file.fileno())
        except OSError as error:
            with suppress(OSError):
                file.truncate(size)
            raise OSError(
                error.errno, f"{os.strerror(error.errno or 0)}: the study could not be written", path
            ) from error


def whole_size(path: str) -> int:
    """Bytes of a file up to the end of its last whole line."""
    with open(path, "rb") as file:
        end = file.seek(0, os.SEEK_END)
        while end > 0:
            begin = max(0, end - _BLOCK)
            file.seek(begin)
            found = file.read(end - begin).rfind(b"\n")
            if found >= 0:
                return begin + found + 1
            end = begin
    return 0
