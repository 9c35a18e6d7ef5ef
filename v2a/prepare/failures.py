"""`failures.jsonl`: one line for each input that gave no clip, with a reason that a person understands."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from v2a.whole import write_whole

FILE = "failures.jsonl"
INPUT = "input"  # the kind of a line of a list that names no input

Key = tuple[str, str]  # of an input: its path and its span


@dataclass(frozen=True)
class Failure:
    """An input that gave no clip.

    Attributes:
        source: the input's path.
        span: the part that was asked for, "" for all of it.
        kind: a short stable word, for counting: "not-media", "no-video", "damaged", "duplicate", "filtered", "missing", ….
        reason: why, in a sentence.
        bytes, mtime_ns: of the file when it was tried, to know when to try again; 0 when it is not there.
        content: hash of its bytes, of a duplicate.
        owners: inputs that have a duplicate's clips: it is one only as long as they have them.
    """

    source: str
    span: str
    kind: str
    reason: str
    bytes: int = 0
    mtime_ns: int = 0
    content: str = ""
    owners: tuple[Key, ...] = ()

    def __post_init__(self) -> None:
        """JSON knows lists only."""
        object.__setattr__(self, "owners", tuple((source, span) for source, span in self.owners))

    @property
    def key(self) -> Key:
        """Which input it is."""
        return self.source, self.span

    def is_of(self, status: os.stat_result) -> bool:
        """Whether the file is as it was when it was tried."""
        return (self.bytes, self.mtime_ns) == (status.st_size, status.st_mtime_ns)


def _line(failure: Failure) -> bytes:
    values = {name: value for name, value in asdict(failure).items() if value or name not in ("content", "owners")}
    return json.dumps(values).encode("ascii") + b"\n"


def append_failure(path: Path, failure: Failure) -> None:
    """Add a line and wait for the disk. Only one process appends to a file."""
    with path.open("ab") as file:
        file.write(_line(failure))
        file.flush()
        os.fsync(file.fileno())


def read_failures(path: Path) -> list[Failure]:
    """All whole lines; a last one that a killed process left unfinished is no line. None when there is no file."""
    failures = []
    for line in path.read_bytes().split(b"\n") if path.exists() else ():
        try:
            failures.append(Failure(**json.loads(line)))
        except (ValueError, TypeError):
            continue
    return failures


def write_failures(path: Path, failures: Iterable[Failure]) -> None:
    """The file anew, each input once (its last line counts), in the order of their names."""
    latest = {failure.key: failure for failure in failures}
    write_whole(path, b"".join(_line(latest[key]) for key in sorted(latest)))


def of_other_commands(failures: Iterable[Failure], sources: set[str]) -> list[Failure]:
    """Lines of files that the present command does not name, as long as these are there and unchanged.

    They save trying again when their own command is given again. What a list's lines were refused for belongs to that command.
    """
    return [f for f in failures if f.source not in sources and f.kind != INPUT and _unchanged(f)]


def _unchanged(failure: Failure) -> bool:
    try:
        return failure.is_of(os.stat(failure.source))
    except (OSError, ValueError):
        return False
