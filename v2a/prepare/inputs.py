"""The videos that were asked for: a folder, a text list, or a CSV with spans and labels."""

from __future__ import annotations

import csv
import os
import re
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from v2a.config import ConfigError
from v2a.prepare.times import US, microseconds, seconds_text

VIDEO_SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in re.findall(
        r"\w+",
        "3g2 3gp asf avi divx dv f4v flv gif h264 hevc ivf m1v m2t m2ts m2v m4v mkv mov mp4 mpe mpeg mpg mts mxf nut ogm ogv "
        "qt rm rmvb ts vob webm wmv y4m",
    )
)
_TEXT_SUFFIXES = (".txt", ".lst", ".list")
LIST_SUFFIXES = (*_TEXT_SUFFIXES, ".csv")
_COLUMNS = ("path", "start_s", "end_s", "label")
_NULL = "\ud800"  # stands for a null byte within a CSV; no file decodes to it


@dataclass(frozen=True)
class Input:
    """One video, or a span of one.

    Attributes:
        path: absolute.
        start_us: begin, microseconds after the video's first frame.
        end_us: end; None for the video's end.
        label: from a CSV, else "".
    """

    path: str
    start_us: int = 0
    end_us: int | None = None
    label: str = ""

    @property
    def span(self) -> str:
        """The part that was asked for in seconds, exactly, "" for all of it. A name: it is compared, never read."""
        if not self.start_us and self.end_us is None:
            return ""
        return f"{seconds_text(self.start_us)}-{'' if self.end_us is None else seconds_text(self.end_us)}"

    @property
    def start_s(self) -> float:
        """Begin, seconds."""
        return self.start_us / US

    @property
    def end_s(self) -> float | None:
        """End, seconds."""
        return None if self.end_us is None else self.end_us / US


@dataclass
class Inputs:
    """What was found.

    Attributes:
        videos: each input once, in a fixed order.
        refused: entries that name no input of their own, each with a reason: (path or row, reason).
        ignored: what is no input, by what it is: files of other kinds, hidden ones, lines whose column `keep` says no, repeats.
    """

    videos: list[Input] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)


def find_inputs(videos: str) -> Inputs:
    """Everything that `videos=` names.

    Raises:
        ConfigError: it names nothing, or nothing with a video in it.
    """
    if not videos:
        raise ConfigError("expected a folder, a list or a CSV of videos, but got none; say videos=PATH")
    path = os.path.abspath(videos)
    mode = _mode(videos, path)
    if stat.S_ISDIR(mode):
        inputs = _folder(path)
        if not inputs.videos and not inputs.refused:
            raise ConfigError(
                f"there is no video in {videos}: no file has a name that ends in .mp4, .mkv, .webm or the like"
            )
        return inputs
    if not stat.S_ISREG(mode):  # whoever opens a named pipe may wait for ever
        raise ConfigError(
            f"expected videos= to name a folder or a regular file, but {videos} is a pipe, a socket or a device; "
            "write the list to a file"
        )
    suffix = os.path.splitext(path)[1].lower()
    if suffix == ".csv":
        inputs = _csv(path)
    elif suffix in _TEXT_SUFFIXES or (suffix not in VIDEO_SUFFIXES and _is_text(path)):
        inputs = _list(path)
    else:
        inputs = Inputs([Input(path)])
    if not inputs.videos and not inputs.refused:
        raise ConfigError(f"{videos} lists no video")
    return inputs


def _mode(videos: str, path: str) -> int:
    try:
        return os.stat(path).st_mode
    except ValueError:
        raise ConfigError(f"there is no folder or file {videos!r}: its name holds a null byte") from None
    except OSError as error:
        if os.path.lexists(path):
            raise ConfigError(f"{videos} cannot be opened: {error.strerror}") from None
        raise ConfigError(f"there is no folder or file {videos}") from None


def _folder(top: str) -> Inputs:
    inputs, seen = Inputs(), set()

    def unreadable(error: OSError) -> None:
        inputs.refused.append((os.fspath(error.filename), f"the folder cannot be read: {error.strerror}"))

    for folder, folders, files in os.walk(top, followlinks=True, onerror=unreadable):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:  # a link that leads back up
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            suffix = os.path.splitext(name)[1].lower()
            if name.startswith("."):  # "._x.mp4" is what macOS leaves beside x.mp4
                inputs.ignored["hidden"] += 1
            elif suffix not in VIDEO_SUFFIXES:
                inputs.ignored[suffix or "without a suffix"] += 1
            else:
                inputs.videos.append(Input(os.path.join(folder, name)))
    return inputs


def _is_text(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return b"\0" not in file.read(4096)
    except OSError:
        return False


def _list(path: str) -> Inputs:
    lines = _Lines(path)
    with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="\n") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                lines.take(number, {"path": line.rstrip("\r\n")})
    return lines.inputs


def _csv(path: str) -> Inputs:
    lines = _Lines(path)
    with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        # The csv module of Python 3.10 gives up a whole file for a null byte.
        rows = csv.DictReader(line.replace("\0", _NULL) for line in file)
        columns = [name.strip() for name in rows.fieldnames or ()]
        if "path" not in columns:
            raise ConfigError(
                f"expected {path} to begin with a line of column names, path,start_s,end_s,label, "
                f"but got {','.join(columns) or 'nothing'}"
            )
        rows.fieldnames = columns
        for row in _rows(rows, path):
            if (row.get("keep") or "").strip().lower() == "no":  # dropped in the review of youtube8m
                lines.inputs.ignored["dropped in review (keep=no)"] += 1
            else:
                lines.take(rows.line_num, row)
    return lines.inputs


def _rows(rows: csv.DictReader[str], path: str) -> Iterator[dict[str, str]]:
    try:
        yield from rows
    except csv.Error as error:
        raise ConfigError(f"{path}, line {rows.line_num}: not a CSV: {error}") from None


class _Lines:
    """The inputs of a list, line by line. One that stands twice is one input, with its first label."""

    def __init__(self, path: str) -> None:
        self.inputs = Inputs()
        self._path, self._base = path, os.path.dirname(path)
        self._first: dict[tuple[str, int, int | None], tuple[int, str]] = {}

    def take(self, number: int, row: dict[str, str]) -> None:
        """An input, or a line that is refused."""
        try:
            video = _input(row, self._base)
            line, label = self._first.setdefault((video.path, video.start_us, video.end_us), (number, video.label))
            if label != video.label:
                raise ValueError(
                    f"it names the same part of the same file as line {line}, whose label {label!r} is kept"
                )
        except ValueError as error:
            self.inputs.refused.append((f"{self._path}, line {number}", str(error)))
            return
        if line == number:
            self.inputs.videos.append(video)
        else:
            self.inputs.ignored["repeated lines"] += 1


def _input(row: dict[str, str], base: str) -> Input:
    path, start, end, label = ((row.get(name) or "") for name in _COLUMNS)
    if not path:
        raise ValueError("there is no path in this line")
    if "\0" in path or _NULL in path:
        raise ValueError("the path in this line holds a null byte, which no file's name can")
    start_us, end_us = microseconds("start_s", start) or 0, microseconds("end_s", end)
    if end_us is not None and end_us <= start_us:
        raise ValueError(
            f"expected end_s after start_s (in whole microseconds), but got start_s={start or '0'} and end_s={end}"
        )
    return Input(os.path.normpath(os.path.join(base, path)), start_us, end_us, label)
