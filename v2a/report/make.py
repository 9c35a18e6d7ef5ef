"""From runs to the file of a page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from v2a.report.config import Config
from v2a.report.errors import ReportError
from v2a.report.section import Section

_HEAD = 4096  # bytes, in which a page has its title
Tick = Callable[[str, int, int], None]


def make_page(sections: Sequence[Section], config: Config, command: str, tick: Tick) -> tuple[float, list[str]]:
    """Build a page and write it, whole or not at all.

    Args:
        sections: of runs, in their order.
        config: which file, and how large it may be.
        command: that makes the page again.
        tick: called before and after each video: what is done, how far, and of how many.

    Returns:
        Its megabytes; and a sentence for people on each thing that is left out or worth knowing, with its section.

    Raises:
        ReportError: a page that cannot be made.
        OSError: it cannot be written.
    """
    page = Path(config.page)
    if page.is_dir():
        raise ReportError(f"{page} is a folder; expected a file to write the page to, as report.html")
    if page.is_file() and page.stat().st_size and not _is_page(page):
        raise ReportError(f"{page} is there, and no report: it would be lost; choose another name")
    from v2a.report.build import build
    from v2a.whole import write_whole

    built, left_out = build(sections, config.clips, int(config.max_mb * 1e6), command, tick)
    text = built.encode()
    page.parent.mkdir(parents=True, exist_ok=True)
    write_whole(page, text)
    notes = [
        f"{section.title}: {note}"
        for section, more in zip(sections, left_out, strict=True) for note in (*section.notes, *more)
    ]  # fmt: skip
    return len(text) / 1e6, notes


def _is_page(path: Path) -> bool:
    with path.open("rb") as file:
        return b"<title>Report: " in file.read(_HEAD)
