"""What the page shows of one run, before anything is encoded."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Sound:
    """One soundtrack of a clip.

    Attributes:
        name: as it is written beside its button.
        path: a WAV file; None for silence.
        text: what was measured of it, and where it is from; "" for nothing.
    """

    name: str
    path: Path | None
    text: str = ""


@dataclass(frozen=True)
class Clip:
    """A piece of a video with the sounds to choose from.

    Attributes:
        title: for people.
        source: the video whose picture is shown.
        start_s, seconds: of the piece.
        sounds: the first is heard at first, and has a WAV file.
        truth: WAV file of the true sound; None where nobody knows it.
    """

    title: str
    source: Path
    start_s: float
    seconds: float
    sounds: tuple[Sound, ...]
    truth: Path | None


@dataclass(frozen=True)
class Cell:
    """One number of a table.

    Attributes:
        value: as text; a dash for none.
        interval: 95 %, as text; "" for none.
        best: it is the best of those that may be compared.
    """

    value: str
    interval: str = ""
    best: bool = False


@dataclass(frozen=True)
class Row:
    """A line of a table: who, what kind of candidate that is, and a cell for each column."""

    name: str
    kind: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Table:
    """Attributes: `heads` are titles with their aims, as ("log-mel dB", "small")."""

    title: str
    heads: tuple[tuple[str, str], ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Picture:
    """An image file; `sharp` keeps the edges of its pixels."""

    title: str
    path: Path
    sharp: bool = False


@dataclass
class Section:
    """A run.

    Attributes:
        kind: see `v2a.report.kinds`.
        title: name of its folder.
        lead: sentences on what it is and what came of it.
        notes: sentences on what is missing.
        clips: to be played, the best for a look first.
        tables: of measures.
        meanings: (title, what it says and its trap) of the measures in the tables.
        charts: (title, SVG) of training; our own SVG, escaped.
        shown: so many of them at once; the others wait behind a button.
        pictures: the newest that the run drew.
        sounds: the newest that it wrote.
        settings: dotted names and values.
        command: that makes it again.
    """

    kind: str
    title: str
    lead: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    clips: list[Clip] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    meanings: list[tuple[str, str]] = field(default_factory=list)
    charts: list[tuple[str, str]] = field(default_factory=list)
    shown: int = 0
    pictures: list[Picture] = field(default_factory=list)
    sounds: list[Sound] = field(default_factory=list)
    settings: list[tuple[str, str]] = field(default_factory=list)
    command: str = ""
