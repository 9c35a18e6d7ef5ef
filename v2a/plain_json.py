"""JSON that may be damaged or hostile: it is read, or refused with a `ValueError`, whatever is in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_MOST = 2**63  # a larger whole number is no count of anything, and many computations end at it


def parse_json(text: str | bytes) -> Any:
    """What a JSON text says. A whole number beyond 64 bits is a float, infinity if need be.

    Raises:
        ValueError: it is none, or is nested too deeply.
    """
    try:
        return json.loads(text, parse_int=_whole_number)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _whole_number(text: str) -> int | float:
    value = int(text)
    return value if -_MOST <= value < _MOST else float(text)


def parse_manifest(path: Path) -> dict[str, Any]:
    """What a `dataset.json` says: an object, whose counts of splits, where there are any, are objects. Needs no h5py.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no such thing; says what is wrong.
    """
    manifest = parse_json(path.read_text("ascii"))
    if not isinstance(manifest, dict):
        raise ValueError("expected a JSON object")  # noqa: TRY004 - of a text, not of a program's argument
    splits = manifest.get("by_split", {})
    if not isinstance(splits, dict) or not all(isinstance(counts, dict) for counts in splits.values()):
        raise ValueError("expected by_split with an object for each split")
    return manifest
