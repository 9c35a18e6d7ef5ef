"""The page: one HTML document that carries its style, its script, pictures and videos, and asks nobody for anything."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from v2a.page_policy import source_hash
from v2a.report.encode import EncodeError, encode_sound
from v2a.report.errors import ReportError
from v2a.report.films import Film, address
from v2a.report.section import Picture, Section, Sound
from v2a.report.versions import versions

_FOLDER = Path(__file__).parent
_KINDS = {"evaluation": "Evaluation", "audio": "Stage 2: sound", "vqvae": "Stage 1: codes", "inference": "Inference"}
_LONGEST_S = 30.0  # of a sound that a run drew


def policy() -> str:
    """Content security policy: our style and our script by their hashes; what a file's name smuggles in stays text."""
    script, style = (source_hash((_FOLDER / name).read_text()) for name in ("page.js", "page.css"))
    return (
        f"default-src 'none'; script-src {script}; style-src {style}; img-src data:; media-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def render(
    sections: Sequence[Section], films: Sequence[Sequence[Film]], notes: Sequence[Sequence[str]], command: str
) -> str:
    """The document.

    Args:
        sections: in their order.
        films: of each section.
        notes: of each section, beside its own.
        command: that makes the page again.

    Raises:
        ReportError: there is no ffmpeg.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    parts = [
        _part(number, section, films[number], [*section.notes, *notes[number]])
        for number, section in enumerate(sections)
    ]
    text = environment.get_template("page.html").render(
        title=", ".join(section.title for section in sections), parts=parts, command=command, versions=versions(),
        made=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()), policy=policy(),
        style=Markup((_FOLDER / "page.css").read_text()),  # noqa: S704 - our own files
        script=Markup((_FOLDER / "page.js").read_text()),  # noqa: S704
    )  # fmt: skip
    return text.encode("utf-8", "replace").decode()  # names of files may hold bytes that are no UTF-8


def _part(number: int, section: Section, films: Sequence[Film], notes: Sequence[str]) -> dict[str, Any]:
    from markupsafe import Markup

    pictures, lost = _pictures(section.pictures)
    sounds, unheard = _sounds(section.sounds)
    return {
        "id": f"run-{number}", "kind": _KINDS[section.kind], "section": section, "films": films,
        "notes": [*notes, *lost, *unheard], "pictures": pictures, "sounds": sounds,
        "charts": [(title, Markup(svg)) for title, svg in section.charts],  # noqa: S704 - svg.py escapes what it is given
    }  # fmt: skip


def _pictures(pictures: Sequence[Picture]) -> tuple[list[dict[str, Any]], list[str]]:
    shown, notes = [], []
    for picture in pictures:
        try:
            kind = "image/gif" if picture.path.suffix == ".gif" else "image/png"
            shown.append({"picture": picture, "address": address(kind, picture.path.read_bytes())})
        except OSError as error:
            notes.append(f"The picture {picture.path.name} cannot be read: {error.strerror}.")
    return shown, notes


def _sounds(sounds: Sequence[Sound]) -> tuple[list[dict[str, Any]], list[str]]:
    shown, notes = [], []
    with tempfile.TemporaryDirectory(prefix="v2a-report-") as folder:
        out = Path(folder) / "sound.m4a"
        for sound in sounds:
            assert sound.path is not None, "a run's sound is a file"
            try:
                encode_sound(sound.path, _LONGEST_S, out)
                shown.append({"sound": sound, "address": address("audio/mp4", out.read_bytes())})
            except (EncodeError, ReportError) as error:  # the rest of a run needs no ffmpeg
                notes.append(f"The sound {sound.path.name}: {error}.")
    return shown, notes
