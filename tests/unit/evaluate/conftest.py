"""One corpus, encoder and decoder for all tests here; none of them changes it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from tests.unit.evaluate.making import encode, make_corpus, make_decoder_run, make_encoder


class World(NamedTuple):
    """Folders, and the settings that name them."""

    encoder: Path
    data: Path
    codes: Path
    decoder: Path

    def settings(self, out: Path, *more: str) -> list[str]:
        """Of an evaluation of the decoder."""
        return [f"model={self.decoder}", f"codes={self.codes}", f"data={self.data}", f"out={out}", "device=cpu", *more]


@pytest.fixture(name="world", scope="session")
def world_fixture(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Made once."""
    top = tmp_path_factory.mktemp("evaluate")
    data = make_corpus(top / "data")
    encoder = make_encoder(top / "encoder")
    codes = encode(encoder, data, top / "codes")
    return World(encoder, data, codes, make_decoder_run(top / "decoder", encoder, data, codes))
