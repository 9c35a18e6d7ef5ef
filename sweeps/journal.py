"""Optuna's journal file, made safe against what ends a process in the middle of a write: a full disk, or kill -9."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optuna.storages.journal import JournalFileBackend

_BLOCK = 1 << 16
_BEGIN = b'{"op_code":'  # of every line that Optuna writes


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
        def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
            known = operations()
            try:
                for log in super().read_logs(log_number_from):
                    if log["op_code"] not in known:
                        raise ValueError(log["op_code"])
                    yield log
            except (ValueError, KeyError, TypeError):
                raise ValueError(damage(path)) from None

        def append_logs(self, logs: list[dict[str, Any]]) -> None:
            lines = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs).encode()
            with file_lock(f"{path}.lock"):
                append_whole(path, lines)

    return Backend(path)


def operations() -> set[int]:
    """What a line of this version of Optuna's may ask for."""
    from optuna.storages.journal._storage import JournalOperation

    return {int(operation) for operation in JournalOperation}


def damage(path: str) -> str:
    """What is wrong with a journal: the first line that cannot be used."""
    import optuna

    known = operations()
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            try:
                operation = json.loads(line)["op_code"]
            except (ValueError, KeyError, TypeError):
                if number == 1:
                    break
                return f"line {number} of {path} is none of a journal of studies: bring it back from a copy, or cut it off there"
            if operation not in known:
                return (
                    f"line {number} of {path} has an operation ({operation}) that Optuna {optuna.__version__} does not know: "
                    "install the version that wrote it"
                )
    return f"{path} is no journal of studies, or is damaged from its first line on: name another file, or bring it back from a copy"


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
    try:
        # A line without an end is cut off before the next is written: only what a journal's may be, never another file's.
        cut_off = not first.endswith(b"\n") and _BEGIN.startswith(first[: len(_BEGIN)])
        sound = cut_off or "op_code" in json.loads(first)
    except (ValueError, TypeError):
        sound = False
    if not sound:
        raise ValueError(damage(path))


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
