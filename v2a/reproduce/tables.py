"""Tables of measures, in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_BASELINES = ("redrawn", "retrieval", "shuffled", "noise", "silence")
_COLUMNS = (
    ("log-mel L1, dB", "log_mel_db", 2), ("envelope r", "envelope_r", 2), ("abs. level, dB", "level_abs_db", 1),
    ("centroid r", "centroid_r", 2), ("onset F1", "onset_f1", 2), ("STFT", "stft", 2),
)  # fmt: skip
_FEW = 0.5  # onsets in a clip
_MISSING = "-"


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table with these titles of its columns."""
    lines = [" | ".join(line) for line in (titles, ["---"] * len(titles), *rows)]
    return "\n".join(f"| {line} |" for line in lines)


def measures(metrics: Any, candidates: dict[str, str]) -> str:
    """The measures of candidates, and of the null baselines below them, with 95 % intervals.

    Args:
        metrics: of an evaluation, as in its metrics.json.
        candidates: their titles, by name.
    """
    nulls = {name: name for name in _BASELINES if name in metrics["candidates"]}
    columns = [column for column in _COLUMNS if column[1] != "onset_f1" or _has_onsets(metrics)]
    rows = [_row(metrics["candidates"][name], title, columns) for name, title in (candidates | nulls).items()]
    return table(["", *(title for title, _, _ in columns), "diversity"], rows)


def _has_onsets(metrics: Any) -> bool:
    """Whether there is anything to find: a fly-by has none, and an F1 of 0 there says nothing."""
    onsets = metrics["candidates"]["truth"]["scores"].get("onsets") or {}
    return (onsets.get("value") or 0.0) >= _FEW


def cell(score: Any, digits: int) -> str:
    """A value with its interval; "-" when there is none."""
    if not score or score.get("value") is None:
        return _MISSING
    ends = [score.get("low"), score.get("high")]
    interval = "" if None in ends else f" [{ends[0]:.{digits}f}, {ends[1]:.{digits}f}]"
    return f"{score['value']:.{digits}f}{interval}"


def number(value: float | None, digits: int) -> str:
    """Without an interval; "-" when there is none."""
    return _MISSING if value is None or value != value else f"{value:.{digits}f}"  # noqa: PLR0124 - nan


def _row(candidate: Any, title: str, columns: Sequence[tuple[str, str, int]]) -> list[str]:
    scores = candidate["scores"]
    return [
        title,
        *(cell(scores.get(name), digits) for _, name, digits in columns),
        number(candidate.get("diversity"), 2),
    ]
