"""A dataset, and the model that encodes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.codes.making import make_run
from tests.unit.shards.making import TINY, make_dataset


@pytest.fixture(name="data")
def data_fixture(tmp_path: Path) -> Path:
    """Thirty clips of ten videos, five in a shard; every fourth is short."""
    make_dataset(tmp_path / "data", 30, each=lambda number: {"frames": TINY.frames if number % 4 else 9})
    return tmp_path / "data"


@pytest.fixture(name="run")
def run_fixture(tmp_path: Path) -> Path:
    return make_run(tmp_path / "run")
