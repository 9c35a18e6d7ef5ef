"""Runs to sections."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from v2a.report.evaluation import read_evaluation
from v2a.report.inference import read_inference
from v2a.report.kinds import AUDIO, EVALUATION, VQVAE, find_kind
from v2a.report.section import Section
from v2a.report.training import read_training


def read_section(folder: Path) -> Section:
    """What a run's folder has to show; nothing is encoded.

    Raises:
        ReportError: the folder is no run, or damaged.
    """
    kind = find_kind(folder)
    if kind == EVALUATION:
        return read_evaluation(folder)
    return read_training(folder) if kind in (AUDIO, VQVAE) else read_inference(folder)


def describe(sections: Sequence[Section], clips: int) -> list[str]:
    """What a page of them would hold, for `--dry-run`."""
    lines = []
    for section in sections:
        there = sum(clip.source.is_file() for clip in section.clips)
        parts = [
            f"{min(there, clips)} videos of {len(section.clips)}" if section.clips else "", _some(len(section.tables), "table"),
            _some(len(section.charts), "chart"), _some(len(section.pictures), "picture"), _some(len(section.sounds), "sound"),
        ]  # fmt: skip
        gone = len(section.clips) - there
        parts.append(f"{_some(gone, 'source video')} gone" if gone else "")
        lines.append(f"{section.title} ({section.kind}): {', '.join(part for part in parts if part) or 'nothing yet'}")
        lines += [f"  {note}" for note in section.notes]
    return lines


def _some(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}" if number else ""
