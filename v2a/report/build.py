"""Sections to a page that is no larger than it may be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from v2a.report.encode import QUALITIES
from v2a.report.errors import ReportError
from v2a.report.films import Film, choose, make_films
from v2a.report.page import render
from v2a.report.section import Clip, Section

Tick = Callable[[str, int, int], None]  # what is done, how far, and of how many


@dataclass
class Chosen:
    """Of a section: the clips to encode, the films of them, and sentences on what is left out."""

    clips: list[Clip]
    gone: list[str]
    films: list[Film] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def build(
    sections: Sequence[Section], clips: int, most_bytes: int, command: str, tick: Tick
) -> tuple[str, list[list[str]]]:
    """The page, and for each section a sentence on each video that is not on it.

    Args:
        sections: in their order.
        clips: videos of each at most.
        most_bytes: of the page: videos are made smaller, then fewer, until it is no larger.
        command: that makes the page again.
        tick: called before and after each video.

    Raises:
        ReportError: it is too large without any video; or there is no ffmpeg.
    """
    chosen = [Chosen(*choose(section.clips, clips)) for section in sections]
    bare = len(render(sections, [[] for _ in sections], [one.gone for one in chosen], command).encode()) + 2000
    if bare > most_bytes:
        raise ReportError(
            f"expected a page of at most {most_bytes / 1e6:g} MB, but without any video it has {bare / 1e6:.1f} MB; "
            "raise --max-mb, or name fewer runs"
        )
    wanted = sum(len(one.clips) for one in chosen)
    for quality in QUALITIES if wanted else ():
        _encode(chosen, QUALITIES.index(quality), wanted, tick)
        if bare + _bytes(chosen) <= most_bytes:
            break
    _drop(chosen, most_bytes - bare)
    notes = [[*one.gone, *one.notes] for one in chosen]
    return render(sections, [one.films for one in chosen], notes, command), notes


def _encode(chosen: Sequence[Chosen], number: int, wanted: int, tick: Tick) -> None:
    done = 0
    what = "encoding videos" if not number else f"encoding videos smaller ({number} of {len(QUALITIES) - 1})"
    tick(what, 0, wanted)

    def step() -> None:
        nonlocal done
        done += 1
        tick(what, done, wanted)

    for one in chosen:
        one.films, one.notes = make_films(one.clips, QUALITIES[number], step)
        if number and one.films:
            width = QUALITIES[number].width
            one.notes.append(
                f"Videos were made smaller, {width} pixels wide at most, to keep the page within --max-mb."
            )


def _drop(chosen: Sequence[Chosen], room: int) -> None:
    """The last of whoever has most, until they fit."""
    left_out = [0 for _ in chosen]
    while _bytes(chosen) > room:
        fullest = max(range(len(chosen)), key=lambda number: len(chosen[number].films))
        chosen[fullest].films.pop()
        left_out[fullest] += 1
    for one, number in zip(chosen, left_out, strict=True):
        if number:
            one.notes.append(
                f"{number} of {number + len(one.films)} videos were left out to keep the page within --max-mb."
            )


def _bytes(chosen: Sequence[Chosen]) -> int:
    return sum(film.bytes for one in chosen for film in one.films)
