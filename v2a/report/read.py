"""Runs to sections."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from v2a.report.errors import ReportError
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
    read = {EVALUATION: read_evaluation, AUDIO: read_training, VQVAE: read_training}.get(kind, read_inference)
    try:
        return read(folder)
    except ReportError:
        raise
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:  # JSON of other shapes than ours
        what = f"{type(error).__name__}: {error}"
        raise ReportError(f"{folder} is damaged ({what}); the command that made the folder writes it again") from error


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
