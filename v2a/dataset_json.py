"""What the manifest of a data set says to those who have no h5py: read with care, as it may be damaged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from v2a.whole import parse_json


def parse_manifest(path: Path) -> dict[str, Any]:
    """What a `dataset.json` says: an object, whose counts of splits, where there are any, are objects.

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
