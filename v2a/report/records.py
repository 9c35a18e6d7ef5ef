"""Records of a run, line by line: what cannot be read is counted, and loses nothing else."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from pathlib import Path
from typing import Any

Series = list[tuple[float, float]]  # (step, value), ascending


def read_lines(path: Path) -> tuple[list[dict[str, Any]], int]:
    """The objects of a JSONL file, and how many lines are none; nothing of a file that is not there."""
    found, bad = [], 0
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return [], 0
    for line in text.splitlines():
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if isinstance(record, dict):
            found.append(record)
        else:
            bad += 1
    return found, bad


def read_series(path: Path) -> tuple[dict[str, Series], int]:
    """The curves of a `metrics.jsonl` by name, and how many lines cannot be read; what is no finite number is left out."""
    records, bad = read_lines(path)
    curves: dict[str, dict[float, float]] = defaultdict(dict)
    for record in records:
        step = _number(record.get("step"))
        if step is None:
            bad += 1
            continue
        for name, value in record.items():
            number = _number(value)
            if name != "step" and number is not None:
                curves[name][step] = number
    return {name: sorted(points.items()) for name, points in curves.items()}, bad


def _number(value: object) -> float | None:
    """JSON's NaN, texts and truth values are no points of a curve."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
