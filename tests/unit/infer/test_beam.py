"""How widely inference looks for codes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.unit.audio.making import make_audio_run
from tests.unit.codes.making import STAGED
from v2a.config import ConfigError, build_config
from v2a.infer.config import Config
from v2a.infer.job import load_model
from v2a.infer.plan import recipe_of
from v2a.models.staged import StagedQuantizer


@pytest.mark.parametrize(("wanted", "given"), [(1, 1), (2, 2), (256, 8)])
def test_the_search_is_as_wide_as_is_asked_for_and_never_wider_than_the_models(tmp_path: Path, wanted: int, given: int):
    model = make_audio_run(tmp_path / "run", model=replace(STAGED, beam=8))
    loaded = load_model(replace(Config(), model=str(model), beam=wanted), 0, torch.device("cpu"))
    quantizer = loaded.encoder.model.quantizer
    assert isinstance(quantizer, StagedQuantizer)
    assert quantizer.beam == given


def test_another_beam_makes_another_output():
    assert recipe_of("model", 0, 10, "stretch", 1) != recipe_of("model", 0, 10, "stretch", 2)


@pytest.mark.parametrize("beam", ["0", "257", "-1"])
def test_a_beam_out_of_range_is_said(beam: str):
    with pytest.raises(ConfigError, match=f"expected beam from 1 to 256, but got {beam}"):
        build_config(Config, [f"beam={beam}"])
