"""A model for the tests of inference, untrained and small."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.audio.making import FC, WAVENET, make_audio_run


@pytest.fixture(name="model", scope="session")
def model_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the framewise decoder: 64x36, 10 frames/s, segments of 2 s, 8 kHz. Nobody changes it."""
    return make_audio_run(tmp_path_factory.mktemp("model") / "framewise")


@pytest.fixture(name="flat", scope="session")
def flat_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same of the fully connected one."""
    return make_audio_run(tmp_path_factory.mktemp("model") / "fc", FC)


@pytest.fixture(name="slow", scope="session")
def slow_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same of the autoregressive one."""
    return make_audio_run(tmp_path_factory.mktemp("model") / "wavenet", WAVENET)
