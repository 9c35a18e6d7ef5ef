"""Files that grow line by line and survive the end of the process at any moment."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from v2a.youtube8m.tables import InputError, Row, format_rows, parse_lines, write_whole


class GrowingFile:
    """A text file that is only appended to, whole lines at a time, by one process at a time.

    A last line that was cut off (kill -9, power) is taken away when the file is opened; so is what a full disk left.
    """

    def __init__(self, path: Path, first: bytes = b"") -> None:
        """Open or make it; `first` is the header that a new file begins with.

        Raises:
            InputError: another process has it open, or it holds something else.
            OSError: no such folder, no room, no permission.
        """
        self.path, self._first = path, first
        path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            self._lock()
            self.content = self._heal(path.read_bytes())
        except BaseException:
            os.close(self._descriptor)
            raise

    def _lock(self) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES):
                raise InputError(
                    f"another run is writing {self.path}; wait for it, or choose another file with --out"
                ) from None

    def _heal(self, content: bytes) -> bytes:
        whole = content[: content.rfind(b"\n") + 1]
        if not whole and not self._first.startswith(content):
            raise InputError(f"{self.path} holds something else; choose another file with --out")
        os.ftruncate(self._descriptor, len(whole))
        self._size = len(whole)
        if not whole and self._first:
            self.append(self._first)
            return self._first
        if not whole.startswith(self._first):
            raise InputError(
                f"{self.path} begins with {whole.splitlines()[0][:100].decode(errors='replace')!r}, but expected "
                f"{self._first.decode().strip()!r}; choose another file with --out"
            )
        return whole

    def append(self, lines: bytes) -> None:
        """Add whole lines; they are on the disk when this returns, and none is when it raises."""
        rest = lines
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
            os.fsync(self._descriptor)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._size)
            raise OSError(error.errno, os.strerror(error.errno or 0), str(self.path)) from None
        self._size += len(lines)

    def close(self) -> None:
        """Close, and let others have it."""
        os.close(self._descriptor)

    def __enter__(self) -> GrowingFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Ledger(GrowingFile):
    """A CSV file of results. `rows` are those that were there when it was opened, and all that were added since."""

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.columns = list(columns)
        super().__init__(path, format_rows(columns, [dict(zip(columns, columns, strict=True))]))
        try:
            lines = parse_lines(self.content.decode("utf-8", "surrogateescape"), path)[1:]
            for number, fields in lines:
                if len(fields) != len(columns):
                    raise InputError(
                        f"{path}:{number} has {len(fields)} fields, but expected {len(columns)}; remove that line"
                    )
        except InputError:
            self.close()
            raise
        self.rows: list[Row] = [dict(zip(columns, fields, strict=True)) for _, fields in lines]

    def add(self, rows: Iterable[Mapping[str, str]]) -> None:
        """Append rows and wait until they are on the disk."""
        new = [{name: row[name] for name in self.columns} for row in rows]
        self.append(format_rows(self.columns, new))
        self.rows += new


class Failures:
    """What could not be done, one JSON object a line: id, kind, reason. The newest word on an id counts.

    Written by whoever holds the ledger that it stands beside.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: dict[str, dict[str, Any]] = {}
        for line in path.read_bytes().splitlines() if path.exists() else ():
            with contextlib.suppress(ValueError, KeyError, TypeError):  # a torn line: its id is simply tried again
                entry = json.loads(line)
                self.entries[str(entry["id"])] = {**entry, "kind": str(entry["kind"]), "reason": str(entry["reason"])}

    def forget(self, ids: Iterable[str]) -> None:
        """These are tried again, or were done; takes effect on disk with `write`."""
        for name in ids:
            self.entries.pop(name, None)

    def add(self, name: str, kind: str, reason: str, **more: object) -> None:
        """Note a failure, at once and durably."""
        entry = {"id": name, "kind": kind, "reason": reason, **more}
        self.entries[name] = entry
        with GrowingFile(self.path) as file:
            file.append(json.dumps(entry).encode() + b"\n")

    def write(self) -> None:
        """Make the file hold exactly the failures that stand."""
        if self.entries or self.path.exists():
            write_whole(self.path, b"".join(json.dumps(entry).encode() + b"\n" for entry in self.entries.values()))

    def counts(self) -> dict[str, int]:
        """Failures by kind."""
        kinds = [entry["kind"] for entry in self.entries.values()]
        return {kind: kinds.count(kind) for kind in sorted(set(kinds))}
