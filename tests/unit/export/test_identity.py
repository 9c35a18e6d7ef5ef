"""An encoder's identity: all that makes codes what they are, and nothing else."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.unit.codes.making import PAPER, STAGED, make_network, make_run
from tests.unit.shards.making import TINY
from v2a.geometry import Geometry
from v2a.models.config import Model
from v2a.vqvae.load import load_vqvae

CPU = torch.device("cpu")


def _identity(folder: Path, **settings: object) -> str:
    return load_vqvae(make_run(folder, **settings), CPU).identity  # type: ignore[arg-type]


@pytest.mark.parametrize("part", ["decoder", "quantizer.use", "quantizer.sums", "quantizer.used", "step", "data"])
def test_what_makes_no_difference(part: str, tmp_path: Path):
    network = make_network()
    before = _identity(tmp_path / "one", network=network)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if name.startswith(part):
                tensor.add_(1)
    step, data = (77 if part == "step" else 3), ("elsewhere" if part == "data" else "data/clips")
    assert _identity(tmp_path / "two", network=network, step=step, data=data) == before


@pytest.mark.parametrize("part", ["encoder.0.weight", "encoder.4.bias", "quantizer.codebook"])
def test_one_number_makes_a_difference(part: str, tmp_path: Path):
    network = make_network()
    before = _identity(tmp_path / "one", network=network)
    with torch.no_grad():
        values = network.state_dict()[part].view(-1)
        values[-1] = torch.nextafter(values[-1], torch.tensor(9.0))
    assert _identity(tmp_path / "two", network=network) != before


@pytest.mark.parametrize(
    "geometry",
    [
        Geometry(width=32, height=8, fps=10, segment_s=1.2, sample_rate=400),
        Geometry(width=16, height=8, fps=20, segment_s=0.6, sample_rate=400),
        Geometry(width=16, height=8, fps=10, segment_s=1.2, sample_rate=800),
    ],
)
def test_the_geometry_makes_a_difference(geometry: Geometry, tmp_path: Path):
    network = make_network()
    assert _identity(tmp_path / "one", network=network) != _identity(
        tmp_path / "two", geometry=geometry, network=network
    )


def test_strides_make_a_difference(tmp_path: Path):
    settings = Model(name="paper", dim=4, channels=8, strides="4x4x8")
    assert PAPER.strides != settings.strides
    assert _identity(tmp_path / "one") != _identity(tmp_path / "two", model=settings)


@pytest.mark.parametrize(("model", "differs"), [(STAGED, True), (PAPER, False)])
def test_the_search_for_codes_makes_a_difference_where_there_is_one(model: Model, differs: bool, tmp_path: Path):
    network = make_network(model=model)
    wide, narrow = (
        _identity(tmp_path / str(beam), model=replace(model, beam=beam), network=network) for beam in (8, 1)
    )
    assert (wide != narrow) == differs


def test_a_model_from_before_the_search_takes_the_nearest_codes(tmp_path: Path):
    run = make_run(tmp_path, model=replace(STAGED, beam=1))
    before = load_vqvae(run, CPU)
    stamp = json.loads((run / "stage.json").read_text())
    del stamp["config"]["model"]["beam"]
    (run / "stage.json").write_text(json.dumps(stamp))
    after = load_vqvae(run, CPU)
    assert after.identity == before.identity
    video = torch.rand((1, 3, TINY.frames, TINY.height, TINY.width), generator=torch.Generator().manual_seed(0))
    assert torch.equal(after.model.codes(video), before.model.codes(video))


def test_an_identity_stays_what_it_was(tmp_path: Path):
    """Of the same numbers it is the same for ever: code shards name it."""
    network = make_network()
    with torch.no_grad():
        for tensor in network.state_dict().values():
            tensor.copy_(1 + torch.arange(tensor.numel()).view(tensor.shape) % 7)
    assert _identity(tmp_path / "one", network=network, geometry=TINY) == "32eeb93ea9e106ff"
