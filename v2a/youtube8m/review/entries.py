"""What is reviewed: the rows of a list or the videos of a folder, and the decisions, which go back to the list at once."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from v2a.youtube8m.listing import KEEP, LIST_COLUMNS, ORIGIN, key, read_list, write_list
from v2a.youtube8m.tables import InputError, Row, changing, read_table

CHOICES = ("yes", "no", "")


@dataclass(frozen=True)
class Entry:
    """One card of the page.

    Attributes:
        number: of the row, from 0.
        file: the video.
        row: the list's row, with at least path, start_s, end_s, label and keep.
        title: of the video, or its file's name.
    """

    number: int
    file: Path
    row: Row
    title: str

    @property
    def start_s(self) -> float:
        """Seconds; 0 when the row names none."""
        return _seconds(self.row["start_s"]) or 0.0

    @property
    def end_s(self) -> float | None:
        """Seconds; None for the video's end."""
        return _seconds(self.row["end_s"])

    @property
    def span(self) -> str:
        """The part of the video for people: "0:10-0:15", or "" for all of it."""
        if not self.start_s and self.end_s is None:
            return ""
        return f"{_clock(self.start_s)}-{_clock(self.end_s) if self.end_s is not None else 'end'}"


def _seconds(text: str) -> float | None:
    return float(text) if re.fullmatch(r"\d{1,7}(\.\d{1,9})?", text.strip()) else None


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


class Review:
    """A list under review. Decisions are on the disk when `decide` returns; other changes of the file in between stay."""

    def __init__(self, place: Path) -> None:
        """Take a list, or a folder: its videos.csv, or all videos in it.

        Raises:
            InputError: no such place, no videos, or a keep column with other words than yes and no.
        """
        folder = place.is_dir()
        self.path = place / "videos.csv" if folder else place
        if folder and not self.path.exists():
            self._columns, rows = list(LIST_COLUMNS), _find(place)
        else:
            self._columns, rows = read_list(self.path)
        if not rows:
            raise InputError(f"{place} has no videos to review; {ORIGIN}")
        strange = sorted({row[KEEP] for row in rows} - set(CHOICES))
        if strange:
            raise InputError(f"{self.path}: expected yes, no or nothing in the column {KEEP}, but got {strange[0]!r}")
        titles = _titles(self.path.parent / "fetched.csv")
        self.entries = [
            Entry(number, self.path.parent / row["path"], row, titles.get(row["path"]) or Path(row["path"]).name)
            for number, row in enumerate(rows)
        ]

    def decide(self, choices: Mapping[int, str]) -> None:
        """Save decisions by the numbers of their rows.

        Raises:
            InputError: no such row, no such choice, or the row is no longer in the list.
            OSError: it could not be written; the file is as it was.
        """
        for number, choice in choices.items():
            if not 0 <= number < len(self.entries) or choice not in CHOICES:
                raise InputError(
                    f"expected a row of 0 to {len(self.entries) - 1} and yes, no or nothing, but got {choices}"
                )
        decided = {key(self.entries[number].row): choice for number, choice in choices.items()}
        with changing(self.path):
            columns, rows = read_list(self.path) if self.path.exists() else (self._columns, self._all_rows())
            lost = decided.keys() - {key(row) for row in rows}
            if lost:
                raise InputError(f"{min(lost)[0]} is no longer in {self.path.name}; load the page again")
            for row in rows:
                row[KEEP] = decided.get(key(row), row[KEEP])
            write_list(self.path, columns, rows)
        for entry in self.entries:
            entry.row[KEEP] = decided.get(key(entry.row), entry.row[KEEP])

    def _all_rows(self) -> list[Row]:
        return [dict(entry.row) for entry in self.entries]

    def take_decisions(self, path: Path) -> int:
        """Save the decisions of a file that the page without a server gave; returns their number.

        Raises:
            InputError: no such file, other columns, or none of its videos is in the list.
        """
        rows = read_table(path, ("path", KEEP), "the page of `review --static` gives such a file").rows
        numbers = {key(entry.row): entry.number for entry in self.entries}
        choices = {numbers[key(row)]: row[KEEP] for row in rows if key(row) in numbers and row[KEEP]}
        if not choices:
            raise InputError(f"{path} decides on no video of {self.path}; is it another list's?")
        self.decide(choices)
        return len(choices)

    def write_kept(self, out: Path, undecided: bool) -> int:
        """Write the kept rows, and the undecided if asked to, as a list for `prepare`; returns their number.

        Raises:
            InputError: there are none, or `out` is the list itself.
        """
        if out.resolve() == self.path.resolve():
            raise InputError(f"{out} is the list itself; name another file")
        wanted = ("yes", "") if undecided else ("yes",)
        kept = [entry for entry in self.entries if entry.row[KEEP] in wanted]
        if not kept:
            raise InputError(f"nothing in {self.path} is kept; decide with: python -m v2a.youtube8m review {self.path}")
        base = out.resolve().parent
        base.mkdir(parents=True, exist_ok=True)
        rows = [
            {
                **{name: entry.row[name] for name in LIST_COLUMNS},
                KEEP: "",
                "path": os.path.relpath(entry.file.resolve(), base),
            }
            for entry in kept
        ]
        write_list(out, LIST_COLUMNS, rows)
        return len(rows)

    def counts(self) -> str:
        """How many are kept, dropped and undecided, for people."""
        kinds = [entry.row[KEEP] for entry in self.entries]
        return (
            f"{len(kinds)} videos: {kinds.count('yes')} kept, {kinds.count('no')} dropped, {kinds.count('')} undecided"
        )


def _find(folder: Path) -> list[Row]:
    from v2a.prepare.inputs import find_inputs

    try:
        found = find_inputs(str(folder)).videos
    except ValueError as error:
        raise InputError(str(error)) from None
    return [
        {"path": os.path.relpath(video.path, folder.resolve()), "start_s": "", "end_s": "", "label": "", KEEP: ""}
        for video in found
    ]


def _titles(path: Path) -> dict[str, str]:
    """Titles by file name, from what `fetch` wrote beside the list; none when it is not there or not readable."""
    try:
        return {row["file"]: row["title"] for row in read_table(path, ("file", "title"), "").rows}
    except (InputError, OSError):
        return {}
