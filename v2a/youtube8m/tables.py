"""CSV files: read with their columns checked, written whole or not at all, changed by one process at a time."""

from __future__ import annotations

import contextlib
import csv
import fcntl
import io
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

Row = dict[str, str]
MAX_FIELD = 1 << 20  # characters; the longest field of the dataset's own files is a description of some thousand


class InputError(ValueError):
    """What a person must change; the text says what was wrong, the rule, and the fix."""


@dataclass(frozen=True)
class Table:
    """A CSV file in memory: its columns in order, and its rows by column."""

    columns: list[str]
    rows: list[Row]


def read_table(path: Path, required: Sequence[str], origin: str) -> Table:
    """Read a CSV file with a header row.

    Args:
        path: the file; bytes that are not UTF-8 become surrogate escapes, as in names of files.
        required: columns that it must have; others are kept.
        origin: where such a file comes from, for the message ("`select` writes it").

    Raises:
        InputError: no such file, not a CSV file, columns or fields are missing.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig", "surrogateescape")
    except FileNotFoundError:
        raise InputError(f"there is no file {path}; {origin}") from None
    except IsADirectoryError:
        raise InputError(f"expected a CSV file, but {path} is a folder; {origin}") from None
    lines = parse_lines(text, path)
    if not lines:
        raise InputError(f"{path} is empty; expected a header row with {', '.join(required)}; {origin}")
    columns = [name.strip() for name in lines[0][1]]
    missing = [name for name in required if name not in columns]
    if missing:
        raise InputError(
            f"{path} has no column {', '.join(missing)}: expected {', '.join(required)} in its first row, "
            f"but got {', '.join(columns)[:200]}; {origin}"
        )
    for number, fields in lines[1:]:
        if len(fields) != len(columns):
            raise InputError(
                f"{path}:{number} has {len(fields)} fields, but its first row names {len(columns)} columns"
            )
    return Table(columns, [dict(zip(columns, fields, strict=True)) for _, fields in lines[1:]])


def parse_lines(text: str, path: Path) -> list[tuple[int, list[str]]]:
    """The fields of every row that is not blank, with the line's number.

    Raises:
        InputError: a quote that is not closed, a zero byte, or a field beyond all measure.
    """
    before = csv.field_size_limit(MAX_FIELD)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        return [(reader.line_num, fields) for fields in reader if fields]
    except csv.Error as error:
        raise InputError(f"{path}:{reader.line_num} cannot be read as CSV: {error}") from None
    finally:
        csv.field_size_limit(before)


def format_rows(columns: Sequence[str], rows: Iterable[Mapping[str, str]]) -> bytes:
    """Rows as CSV, without a header; every row is one line, because control characters become spaces in all but `path`."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for row in rows:
        writer.writerow([row[name] if name == "path" else one_line(row[name]) for name in columns])
    return text.getvalue().encode("utf-8", "surrogateescape")


def one_line(text: str) -> str:
    """The text with spaces for line breaks and other control characters."""
    return "".join(character if character.isprintable() or character > "\x9f" else " " for character in text)


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, str]]) -> None:
    """Write a CSV file with a header row; the file is the old one or the new one, whenever the process ends."""
    write_whole(path, format_rows(columns, [dict(zip(columns, columns, strict=True)), *rows]))


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    path = path.resolve()  # a link keeps pointing to its file
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask()
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name[:100]}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, mode)
        os.replace(name, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(name)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)
        raise


def _umask() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("Umask:"):
            return int(line.split()[1], 8)
    return 0o022


@contextlib.contextmanager
def changing(path: Path) -> Iterator[None]:
    """Between reading and writing a file again, no other process of ours does the same; waits for its turn."""
    path = path.resolve()
    # Beside the file, not on it: the file itself is replaced. Opened for writing: NFS gives exclusive locks to no other.
    with open(path.parent / f".{path.name}.lock", "ab") as file:
        with contextlib.suppress(OSError):  # a file system without locks: as if alone
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
