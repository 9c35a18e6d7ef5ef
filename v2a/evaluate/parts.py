"""What is kept of each clip as soon as it is measured, so that the same command goes on where it was stopped."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path

from v2a.whole import write_whole

FOLDER = "parts"


@dataclass(frozen=True)
class Part:
    """Of one clip.

    Attributes:
        identity: of the evaluation.
        key, source, group: of the clip; `group` is what its clips are counted as one of.
        start_s, seconds: of the clip within its video, and how long it is.
        truth_missing: why there is no synthetic truth; "" when there is.
        notes: where a baseline's sound is from, and how far.
        scores: by candidate; nan as None in the file.
        described: by candidate, 128 numbers.
    """

    identity: str
    key: str
    source: str
    group: str
    start_s: float
    seconds: float
    truth_missing: str
    notes: dict[str, str] = field(default_factory=dict)
    scores: dict[str, dict[str, float]] = field(default_factory=dict)
    described: dict[str, list[float]] = field(default_factory=dict)


def part_path(out: Path, key: str) -> Path:
    """Its file."""
    return out / FOLDER / f"{key}.json"


def write_part(out: Path, part: Part) -> None:
    """Whole or not at all."""
    content = asdict(part)
    content["scores"] = {name: {k: finite(v) for k, v in scores.items()} for name, scores in part.scores.items()}
    content["described"] = {name: [round(v, 5) for v in numbers] for name, numbers in part.described.items()}
    write_whole(part_path(out, part.key), json.dumps(content, allow_nan=False).encode())


def read_part(out: Path, key: str, identity: str) -> Part | None:
    """None when it is not there, damaged, or another evaluation's."""
    try:
        part = Part(**json.loads(part_path(out, key).read_bytes()))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    if part.identity != identity or part.key != key:
        return None
    for scores in part.scores.values():
        scores.update({name: math.nan for name, value in scores.items() if value is None})
    return part


def finite(value: float) -> float | None:
    """JSON has no nan."""
    return value if math.isfinite(value) else None
