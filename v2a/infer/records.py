"""What is done and what failed in an output folder: a small file for each video, and the reports that are put together of them."""

from __future__ import annotations

import json
import os
import secrets
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from v2a.whole import parse_json

FAILURES, REPORT, LINES = "failures.jsonl", "report.json", "report.jsonl"
STATE = ".infer"


@dataclass(frozen=True)
class Output:
    """A file that was made.

    Attributes:
        name: relative to the output folder.
        bytes, mtime_ns: as it was put there: one that is otherwise was changed by somebody.
    """

    name: str
    bytes: int
    mtime_ns: int


@dataclass(frozen=True)
class Done:
    """A video that was given sound.

    Attributes:
        input: its path.
        bytes, mtime_ns: of its file, to know it without reading it.
        content: hash of its bytes.
        recipe: what was made of it: model, seed and settings as one name.
        model, encoder: identities.
        seed: of the draws.
        outputs: "video" and "sound".
        seconds: of sound, which are those of the picture.
        wall_s: that it took.
        host: that made it.
        notes: damage that was survived.
    """

    input: str
    bytes: int
    mtime_ns: int
    content: str
    recipe: str
    model: str
    encoder: str
    seed: int
    outputs: dict[str, Output]
    seconds: float
    wall_s: float
    host: str
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Failed:
    """An input that was not given sound.

    Attributes:
        input: its path, or the line of a list.
        kind: a short stable word, for counting.
        reason: why, in a sentence.
        bytes, mtime_ns: of the file when it was tried, to know when to try again; 0 when nothing of it was read.
        recipe: that was tried.
    """

    input: str
    kind: str
    reason: str
    bytes: int = 0
    mtime_ns: int = 0
    recipe: str = ""


class Records:
    """The small files below an output folder; written whole or not at all, and by whoever holds the video's claim.

    Args:
        out: the output folder.
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self._state = out / STATE

    def make_folders(self) -> None:
        """Before anything is written.

        Raises:
            OSError: they cannot be made.
        """
        for name in ("done", "placing", "failed", "work"):
            (self._state / name).mkdir(parents=True, exist_ok=True)

    def done(self, key: str) -> Done | None:
        """A video's record; None without one that can be read."""
        return _done(self._path("done", key))

    def outputs(self, key: str) -> list[Output]:
        """Files of this video that were put in place, or were to be when a process was killed."""
        records = [_done(self._path(where, key)) for where in ("done", "placing")]
        return [output for record in records if record is not None for output in record.outputs.values()]

    def failed(self, key: str) -> Failed | None:
        """Why a video failed; None without a record."""
        return _failed(self._path("failed", key))

    def intend(self, key: str, done: Done) -> None:
        """Before the outputs are put in place: from now on they are known as ours."""
        write_whole(self._path("placing", key), json.dumps(asdict(done)))

    def settle(self, key: str) -> None:
        """After they were put in place."""
        os.replace(self._path("placing", key), self._path("done", key))
        self._path("failed", key).unlink(missing_ok=True)

    def know_again(self, key: str, done: Done) -> None:
        """A video that is done, whose file was touched or copied and holds what it held."""
        write_whole(self._path("done", key), json.dumps(asdict(done)))

    def fail(self, key: str, failed: Failed) -> None:
        """Instead."""
        write_whole(self._path("failed", key), json.dumps(asdict(failed)))

    def forget(self, key: str) -> None:
        """A failure that is none any more."""
        self._path("failed", key).unlink(missing_ok=True)

    def own_outputs(self) -> frozenset[str]:
        """Absolute paths of all videos that were made here."""
        return frozenset(
            os.path.join(os.path.abspath(self.out), output.name)
            for _, record in self._all("done")
            if (done := _done(record)) is not None
            for output in done.outputs.values()
        )

    def failures(self) -> dict[str, Failed]:
        """By key."""
        found = ((key, _failed(path)) for key, path in self._all("failed"))
        return {key: failed for key, failed in found if failed is not None}

    def merge(self) -> tuple[list[Done], list[Failed]]:
        """Put all records together into `report.jsonl`, `report.json` and `failures.jsonl`.

        Any number of processes may do so at once. Each looks again after it has written: whoever writes last has seen everything.
        """
        while True:
            before = self._names()
            done = sorted(
                (record for _, path in self._all("done") if (record := _done(path)) is not None),
                key=lambda record: (record.outputs["video"].name, record.input),
            )
            failed = sorted(self.failures().values(), key=lambda failure: (failure.input, failure.reason))
            _write_lines(self.out / LINES, map(_line, done))
            _write_lines(self.out / FAILURES, (asdict(failure) for failure in failed))
            write_whole(self.out / REPORT, json.dumps(_summary(done, failed), indent=1) + "\n")
            if self._names() == before:
                return done, failed

    def _names(self) -> list[tuple[str, str, int]]:
        """What is there; the time tells a record from one of the same name before it."""
        found = []
        for kind in ("done", "failed"):
            with os.scandir(self._state / kind) as entries:
                for entry in entries:
                    with suppress(FileNotFoundError):
                        found.append((kind, entry.name, entry.stat().st_mtime_ns))
        return sorted(found)

    def _all(self, kind: str) -> Iterator[tuple[str, Path]]:
        for path in sorted((self._state / kind).glob("[!.]*.json")):
            yield path.stem, path

    def _path(self, kind: str, key: str) -> Path:
        return self._state / kind / f"{key}.json"


def write_whole(path: Path, text: str) -> None:
    """A file that is there whole, also after a power cut, or not at all."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        with draft.open("w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def _write_lines(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    write_whole(path, "".join(json.dumps(record) + "\n" for record in records))


def _line(done: Done) -> dict[str, Any]:
    """For people and programs: what the folder needs to know for itself is left out."""
    values = asdict(done)
    values["outputs"] = {kind: output.name for kind, output in done.outputs.items()}
    return {name: value for name, value in values.items() if name not in ("mtime_ns", "recipe")}


def _summary(done: list[Done], failed: list[Failed]) -> dict[str, Any]:
    seconds, wall_s = sum(one.seconds for one in done), sum(one.wall_s for one in done)
    return {
        "videos": len(done), "failures": len(failed), "failures_by_kind": dict(Counter(one.kind for one in failed)),
        "seconds": round(seconds, 3), "wall_s": round(wall_s, 3), "real_time": round(seconds / wall_s, 3) if wall_s else 0.0,
        "models": sorted({one.model for one in done}), "seeds": sorted({one.seed for one in done}),
        "hosts": dict(Counter(one.host for one in done)),
    }  # fmt: skip


def _done(path: Path) -> Done | None:
    try:
        values = parse_json(path.read_bytes())
        values["outputs"]["video"]
        return Done(**{**values, "outputs": {kind: Output(**output) for kind, output in values["outputs"].items()}})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # not there, or damaged: the video is made again


def _failed(path: Path) -> Failed | None:
    try:
        return Failed(**parse_json(path.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
