"""Small real videos."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.media.videos import write_video

Render = Callable[..., Path]


@pytest.fixture(scope="session")
def render() -> Render:
    """`render(path, seconds, seed=0, sound=True, mark=0)`."""
    return write_video
