"""An evaluation's folder as a section: measures beside null baselines, and the clips of its sheet to be played."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from v2a.evaluate.config import BASELINES
from v2a.evaluate.shown import spread
from v2a.report.command import evaluation_command, flatten
from v2a.report.errors import ReportError
from v2a.report.kinds import EVALUATION, read_json
from v2a.report.measures import BASELINES as SAID
from v2a.report.section import Clip, Section, Sound
from v2a.report.tables import make_tables, verdict, write

_HEARD = ("truth", "retrieval", "noise", "redrawn")  # beside the models; silence is made by turning the sound off
_FEW = 10  # videos below which intervals are too narrow
_TOLD = (
    ("log_mel_db", "log-mel", "{:.1f} dB"),
    ("envelope_r", "envelope r", "{:.2f}"),
    ("level_db", "level", "{:+.1f} dB"),
)


@dataclass
class Measured:
    """A clip's lines of `clips.csv`: its first one, and the lines by candidate."""

    line: Mapping[str, str]
    candidates: dict[str, Mapping[str, str]] = field(default_factory=dict)


def read_evaluation(folder: Path) -> Section:
    """Measures, clips and settings.

    Raises:
        ReportError: a file of it is missing or damaged.
    """
    metrics = read_json(folder / "metrics.json")
    candidates, settings = metrics["candidates"], metrics.get("settings") or {}
    models = [name for name in candidates if name not in BASELINES]
    clips, videos = _count(metrics, "clips"), _count(metrics, "videos")
    section = Section(EVALUATION, folder.resolve().name)
    section.lead.append(_lead(settings, clips, videos))
    for model in models:
        section.lead += verdict(candidates, model)
    if 0 < videos < _FEW:
        section.notes.append(f"With {videos} videos the intervals are too narrow, and differences may be chance.")
    section.tables, section.meanings = make_tables(candidates, clips)
    section.settings = [*flatten(settings), ("interval", str(metrics.get("interval", "")))]
    section.command = evaluation_command(folder, settings)
    measured = _read_clips(folder / "clips.csv")
    if clips and len(measured) != clips:
        raise ReportError(
            f"{folder / 'clips.csv'} is damaged: it has {len(measured)} clips, where metrics.json has {clips}; the command that "
            f"made the folder writes it again: {section.command}"
        )
    section.clips, strange = _clips(folder, measured, models, settings)
    section.notes += strange
    return section


def _count(metrics: Mapping[str, Any], name: str) -> int:
    value = metrics.get(name)
    return value if isinstance(value, int) else 0


def _lead(settings: Mapping[str, Any], clips: int, videos: int) -> str:
    models = settings.get("models") or {}
    said = ", ".join(f"{name} ({identity})" for name, identity in models.items()) or "no model, only baselines"
    return f"{clips} clips of {videos} videos, split {settings.get('split', 'unknown')}. Measured: {said}."


def _read_clips(path: Path) -> list[Measured]:
    """In the order of the evaluation."""
    try:
        text = path.read_bytes().decode("utf-8", "replace")
    except OSError as error:
        raise ReportError(
            f"{path} cannot be read ({error.strerror}); the command that made it writes it again"
        ) from None
    found: dict[str, Measured] = {}
    for line in csv.DictReader(io.StringIO(text, newline="")):
        key, candidate = line.get("clip"), line.get("candidate")
        if key and candidate:
            found.setdefault(key, Measured(line)).candidates[candidate] = line
    return list(found.values())


def _clips(
    folder: Path, measured: Sequence[Measured], models: Sequence[str], settings: Mapping[str, Any]
) -> tuple[list[Clip], list[str]]:
    """Those of the sheet: `wav/NN-NAME.wav` has their sounds; and a sentence for each whose sounds are another clip's."""
    most = settings.get("sheet")
    places = spread([one.line.get("video") or "" for one in measured], most if isinstance(most, int) else 0)
    clips, notes = [], []
    for place, number in enumerate(places):
        clip = _clip(folder, place, measured[number], models)
        if clip is not None and clip.truth is not None and not _is_its_own(clip.truth, measured[number].line):
            notes.append(
                f"{clip.title}: left out, {clip.truth.name} is not its sound; evaluate again into a new folder"
            )
        elif clip is not None:
            clips.append(clip)
    return clips, notes


def _is_its_own(truth: Path, line: Mapping[str, str]) -> bool:
    """Whether a WAV file is as loud as the clip's true sound was when it was measured: nothing else ties the two together."""
    from scipy.io import wavfile

    try:
        measured = float(line.get("mse_silence") or "")
        square = float(np.square(wavfile.read(truth)[1].astype(np.float64) / 32767).mean())
    except (OSError, ValueError):
        return True  # nothing was measured, or the file is damaged: both are said elsewhere
    return abs(square - measured) <= 0.02 * measured + 1e-8  # rounding to 16 bits, and to six digits


def _clip(folder: Path, place: int, measured: Measured, models: Sequence[str]) -> Clip | None:
    names = [*models, *(name for name in _HEARD if models or name != "redrawn")]
    names = names if models else ["redrawn", *names]
    sounds = []
    for name in names:
        path = folder / "wav" / f"{place:02d}-{name}.wav"
        if path.is_file():
            sounds.append(Sound(name, path, _said(name, measured.candidates.get(name, {}))))
    if not sounds:
        return None
    try:
        start_s, seconds = float(measured.line["start_s"]), float(measured.line["seconds"])
    except (KeyError, TypeError, ValueError):
        return None
    source, truth = Path(measured.line.get("source") or ""), folder / "wav" / f"{place:02d}-truth.wav"
    title = f"{source.name}, {start_s:g} to {start_s + seconds:g} s"
    sounds.append(Sound("silence", None, _said("silence", measured.candidates.get("silence", {}))))
    return Clip(title, source, start_s, seconds, tuple(sounds), truth if truth.is_file() else None)


def _said(name: str, line: Mapping[str, str]) -> str:
    """What the candidate is, where it is from, and what it has in this clip."""
    parts = [SAID[name]] if name in SAID else ["what the model makes of the picture"]
    if line.get("sound_of"):
        parts.append(f"here {line['sound_of']}")
    for key, title, form in _TOLD if name != "truth" else ():
        try:
            parts.append(f"{title} {write(form, float(line.get(key) or ''))}")
        except ValueError:
            continue  # the measure says nothing of this clip
    return "; ".join(parts)
