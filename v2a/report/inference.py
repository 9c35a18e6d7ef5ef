"""The folder of `python -m v2a.infer` as a section: its videos with the sound that was made for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from v2a.report.command import inference_command
from v2a.report.kinds import INFERENCE
from v2a.report.records import read_lines
from v2a.report.section import Clip, Section, Sound

_LONGEST_S = 20.0  # of a video: the page is a look, and the videos are beside it in full


def read_inference(folder: Path) -> Section:
    """Of what is done so far; nobody knows the true sound."""
    done, bad = read_lines(folder / "report.jsonl")
    failed, _ = read_lines(folder / "failures.jsonl")
    section = Section(INFERENCE, folder.resolve().name)
    seconds = sum(_seconds(line) for line in done)
    section.lead.append(
        f"{_many(len(done), 'video')} with generated sound, {seconds:,.0f} s together; {len(failed)} without."
    )
    if not done:
        section.notes.append("Nothing is done yet: report.jsonl has no video.")
    if bad:
        section.notes.append(f"{_many(bad, 'line')} of report.jsonl cannot be read.")
    section.notes += [f"{line.get('input')}: {line.get('reason')}" for line in failed[:5]]
    section.clips = [clip for line in _evenly(done) if (clip := _clip(folder, line)) is not None]
    if any(_seconds(line) > _LONGEST_S for line in done):
        section.notes.append(f"Of longer videos the first {_LONGEST_S:g} s are shown.")
    seeds = _distinct(done, "seed")
    section.settings = [(name, ", ".join(_distinct(done, name))) for name in ("model", "encoder", "seed")]
    section.command = inference_command(folder, _distinct(done, "input"), seeds)
    return section


def _clip(folder: Path, line: Mapping[str, Any]) -> Clip | None:
    outputs = line.get("outputs")
    if not isinstance(outputs, dict) or not _seconds(line):
        return None
    video, wave = (folder / str(outputs.get(kind, "")) for kind in ("video", "sound"))
    if not wave.is_file():
        return None
    notes = line.get("notes")
    text = "; ".join(map(str, notes)) if isinstance(notes, list) else ""
    sounds = (Sound("generated", wave, text), Sound("silence", None))
    return Clip(str(outputs.get("video")), video, 0.0, min(_seconds(line), _LONGEST_S), sounds, None)


def _evenly(lines: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The same lines, so that any beginning of them is spread over all: nobody picks the good ones."""
    order = sorted(range(len(lines)), key=lambda number: int(f"{number:032b}"[::-1], 2))
    return [lines[number] for number in order]


def _seconds(line: Mapping[str, Any]) -> float:
    value = line.get("seconds")
    return float(value) if isinstance(value, (int, float)) else 0.0


def _distinct(lines: Sequence[Mapping[str, Any]], name: str) -> list[str]:
    return list(dict.fromkeys(str(line[name]) for line in lines if name in line))


def _many(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
