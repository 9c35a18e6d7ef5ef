"""The videos that were asked for: a folder, a text list, or a CSV with spans and labels."""

from __future__ import annotations

import csv
import math
import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from v2a.config import ConfigError

VIDEO_SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in re.findall(
        r"\w+",
        "3g2 3gp asf avi divx dv f4v flv gif h264 hevc ivf m1v m2t m2ts m2v m4v mkv mov mp4 mpe mpeg mpg mts mxf nut ogm ogv "
        "qt rm rmvb ts vob webm wmv y4m",
    )
)
_LIST_SUFFIXES = (".txt", ".lst", ".list")
_COLUMNS = ("path", "start_s", "end_s", "label")


@dataclass(frozen=True)
class Input:
    """One video, or a span of one.

    Attributes:
        path: absolute.
        start_s: begin, seconds after the video's first frame.
        end_s: end; None for the video's end.
        label: from a CSV, else "".
    """

    path: str
    start_s: float = 0.0
    end_s: float | None = None
    label: str = ""

    @property
    def span(self) -> str:
        """The part that was asked for, "" for all of it."""
        if not self.start_s and self.end_s is None:
            return ""
        return f"{self.start_s:g}-{'' if self.end_s is None else f'{self.end_s:g}'}"


@dataclass
class Inputs:
    """What was found.

    Attributes:
        videos: each input once, in a fixed order.
        refused: entries that name no readable input, each with a reason: (path or row, reason).
        ignored: files of the folder that are not named like videos, by suffix; lines of a CSV whose column `keep` says no.
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
    if os.path.isdir(path):
        inputs = _folder(path)
        if not inputs.videos and not inputs.refused:
            raise ConfigError(
                f"there is no video in {videos}: no file has a name that ends in .mp4, .mkv, .webm or the like"
            )
        return inputs
    if not os.path.lexists(path):
        raise ConfigError(f"there is no folder or file {videos}")
    suffix = os.path.splitext(path)[1].lower()
    if suffix == ".csv":
        inputs = _csv(path)
    elif suffix in _LIST_SUFFIXES or (suffix not in VIDEO_SUFFIXES and _is_text(path)):
        inputs = _list(path)
    else:
        inputs = Inputs([Input(path)])
    if not inputs.videos and not inputs.refused:
        raise ConfigError(f"{videos} lists no video")
    return inputs


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
            if name.startswith(".") or suffix not in VIDEO_SUFFIXES:  # "._x.mp4" is what macOS leaves beside x.mp4
                inputs.ignored[suffix or "no suffix"] += 1
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
    base = os.path.dirname(path)
    with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="\n") as file:
        lines = [line.rstrip("\r\n") for line in file]
    return _without_repeats(
        Inputs([Input(os.path.normpath(os.path.join(base, line))) for line in lines if line.strip()])
    )


def _csv(path: str) -> Inputs:
    inputs, base = Inputs(), os.path.dirname(path)
    with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        rows = csv.DictReader(file)
        columns = [name.strip() for name in rows.fieldnames or ()]
        if "path" not in columns:
            raise ConfigError(
                f"expected {path} to begin with a line of column names, path,start_s,end_s,label, "
                f"but got {','.join(columns) or 'nothing'}"
            )
        rows.fieldnames = columns
        for row in _rows(rows, path):
            if (row.get("keep") or "").strip().lower() == "no":  # dropped in the review of youtube8m
                inputs.ignored["dropped in review (keep=no)"] += 1
                continue
            try:
                inputs.videos.append(_input(row, base))
            except ValueError as error:
                inputs.refused.append((f"{path}, line {rows.line_num}", str(error)))
    return _without_repeats(inputs)


def _rows(rows: csv.DictReader[str], path: str) -> Iterator[dict[str, str]]:
    try:
        yield from rows
    except csv.Error as error:
        raise ConfigError(f"{path}, line {rows.line_num}: not a CSV: {error}") from None


def _input(row: dict[str, str], base: str) -> Input:
    path, start, end, label = ((row.get(name) or "") for name in _COLUMNS)
    if not path:
        raise ValueError("there is no path in this line")
    start_s, end_s = _seconds("start_s", start), _seconds("end_s", end)
    if end_s is not None and end_s <= (start_s or 0.0):
        raise ValueError(f"expected end_s after start_s, but got start_s={start or '0'} and end_s={end}")
    return Input(os.path.normpath(os.path.join(base, path)), start_s or 0.0, end_s, label)


def _seconds(name: str, text: str) -> float | None:
    if not text.strip():
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise ValueError(f"expected {name} in seconds, 0 or more, but got {text!r}")
    return value


def _without_repeats(inputs: Inputs) -> Inputs:
    """A line that stands twice is one input, with its first label."""
    first: dict[tuple[str, str], Input] = {}
    for video in inputs.videos:
        first.setdefault((video.path, video.span), video)
    inputs.videos = list(first.values())
    return inputs
