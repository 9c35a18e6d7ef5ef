"""Fixtures of the stage's tests."""

from pathlib import Path

import pytest

from tests.media.moving import moving_discs


@pytest.fixture(scope="session")
def discs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 clips in the sizes of `preset=tiny`; nobody changes them."""
    return moving_discs(tmp_path_factory.mktemp("discs") / "clips")
