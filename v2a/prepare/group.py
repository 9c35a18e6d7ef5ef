"""Which videos stay together in one split."""

from __future__ import annotations

import re
from pathlib import Path


def group_of(path: str, pattern: str) -> str:
    """What the pattern finds in a file's name; "" when it finds nothing, or when there is none."""
    match = re.search(pattern, Path(path).name) if pattern else None
    if match is None:
        return ""
    return match.group(1) if match.re.groups and match.group(1) is not None else match.group(0)
