"""What can be wrong with a model's folder."""

from __future__ import annotations

import os
from pathlib import Path


class ModelError(ValueError):
    """A folder that is no model, or one that cannot be used; the text says what is wrong and what to do."""

    def __init__(self, path: str | Path, reason: str = "") -> None:
        super().__init__(f"{os.fspath(path)} {reason}" if reason else os.fspath(path))


class ModelBusy(BlockingIOError):  # noqa: N818 - the name says what happened
    """Another export writes this folder."""
