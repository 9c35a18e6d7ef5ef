"""Content security policies of pages that carry their own scripts and styles."""

from __future__ import annotations

import base64
import hashlib


def source_hash(text: str) -> str:
    """A script or style as `script-src` and `style-src` name it (CSP 3, hash-source): only just this text may run."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
