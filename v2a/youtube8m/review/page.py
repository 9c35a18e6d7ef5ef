"""The page: one HTML document that carries its style and its script, and lets nothing else run."""

from __future__ import annotations

import base64
import os
import urllib.parse
from pathlib import Path
from typing import Any

from v2a.page_policy import source_hash
from v2a.youtube8m.listing import LIST_COLUMNS
from v2a.youtube8m.review.entries import Entry, Review
from v2a.youtube8m.review.thumbnails import Thumbnails

_FOLDER = Path(__file__).parent


def policy(static: bool) -> str:
    """Content security policy: our style and our script by their hashes; a title that smuggles a script in stays text."""
    script, style = (source_hash((_FOLDER / name).read_text()) for name in ("page.js", "page.css"))
    media = "file: blob:" if static else "'self'"
    return (
        f"default-src 'none'; script-src {script}; style-src {style}; img-src 'self' data:; media-src {media}; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'"
    )


def served_page(review: Review) -> bytes:
    """The page of the server: pictures and videos by the numbers of their rows."""
    return _render(
        review, [(f"thumb/{entry.number}", f"video/{entry.number}") for entry in review.entries], static=False
    )


def static_page(review: Review, thumbnails: Thumbnails, out: Path, progress: Any) -> bytes:
    """The page that needs no server: pictures inside, videos by their paths from the folder of `out`."""
    base = out.resolve().parent
    sources = []
    for entry in progress(review.entries):
        kind, content = thumbnails.get(entry)
        sources.append((f"data:{kind};base64,{base64.b64encode(content).decode()}", _relative(entry, base)))
    return _render(review, sources, static=True)


def _relative(entry: Entry, base: Path) -> str:
    path = os.path.relpath(entry.file.resolve(), base)
    return "./" + urllib.parse.quote(os.fsencode(path))  # "./": a name may hold a colon


def _render(review: Review, sources: list[tuple[str, str]], static: bool) -> bytes:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined)
    cards = [
        {"entry": entry, "title": _shown(entry.title), "path": _shown(entry.row["path"]), "label": _shown(entry.row["label"]),
         "picture": picture, "video": video + _fragment(entry)}
        for entry, (picture, video) in zip(review.entries, sources, strict=True)
    ]  # fmt: skip
    rows = [[_shown(entry.row[name]) for name in LIST_COLUMNS] for entry in review.entries]
    text = environment.get_template("page.html").render(
        name=_shown(review.path.name),
        cards=cards,
        data={"static": static, "columns": LIST_COLUMNS, "rows": rows, "list": _shown(str(review.path.resolve()))},
        policy=policy(static),
        style=Markup((_FOLDER / "page.css").read_text()),  # noqa: S704 (our own files)
        script=Markup((_FOLDER / "page.js").read_text()),  # noqa: S704
    )
    return text.encode()


def _shown(text: str) -> str:
    """The text as the page can hold it: bytes that are no UTF-8 become question marks."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _fragment(entry: Entry) -> str:
    if not entry.span:
        return ""
    return f"#t={entry.start_s:g}" + (f",{entry.end_s:g}" if entry.end_s is not None else "")
