"""A model of stage `audio` is one folder: encoder and decoder come back the same, and nothing that does not fit is used."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.house.documents import broken_commands, broken_python
from tests.unit.audio.making import CPU, FC, FRAMEWISE, WAVENET, make_audio_run
from tests.unit.codes.making import make_run
from v2a.audio.config import Decoder
from v2a.audio.encoder import keep_encoder
from v2a.audio.load import LoadedAudio, load_audio
from v2a.comm import LocalComm
from v2a.export.__main__ import main
from v2a.export.errors import ModelError
from v2a.export.folder import read_config, write_model
from v2a.export.run import read_run
from v2a.training.agreement import weights_hash
from v2a.vqvae.load import load_vqvae


@pytest.fixture(name="run", scope="module")
def run_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nobody changes it."""
    return make_audio_run(tmp_path_factory.mktemp("audio") / "run")


@pytest.fixture(name="model", scope="module")
def model_fixture(run: Path) -> Path:
    """Nobody changes it."""
    assert main([str(run), "--out", str(run.with_name("model"))]) == 0
    return run.with_name("model")


def _sound(loaded: LoadedAudio) -> torch.Tensor:
    video = torch.rand(
        1, 3, loaded.geometry.frames, loaded.geometry.height, loaded.geometry.width,
        generator=torch.Generator().manual_seed(1),
    )  # fmt: skip
    sound: torch.Tensor = loaded.decoder.sound(loaded.encoder.model.codes(video), torch.Generator().manual_seed(0))
    return sound


@pytest.mark.parametrize("settings", [FRAMEWISE, FC, WAVENET], ids=["framewise", "fc", "wavenet"])
def test_run_and_export_are_the_same_model(settings: Decoder, tmp_path: Path):
    run = make_audio_run(tmp_path / "run", settings)
    shutil.rmtree(tmp_path / "run-stage1")  # not needed any more
    assert main([str(run), "--out", str(tmp_path / "model")]) == 0
    ours, theirs = load_audio(tmp_path / "model", CPU), load_audio(run, CPU)
    assert ours.identity == theirs.identity == read_config(tmp_path / "model")["identity"]
    assert ours.encoder.identity == theirs.encoder.identity == read_config(run / "encoder")["identity"]
    assert (ours.geometry, ours.grid) == (theirs.geometry, theirs.grid)
    assert set(os.listdir(tmp_path / "model")) == {"model.safetensors", "config.json", "README.md"}
    sound = _sound(ours)
    assert sound.shape == (1, ours.geometry.samples)
    assert torch.equal(sound, _sound(theirs))
    for part in (ours.decoder, ours.encoder.model):
        assert not part.training
        assert not any(parameter.requires_grad for parameter in part.parameters())


def test_identity_covers_decoder_encoder_and_gain(tmp_path: Path):
    plain = make_audio_run(tmp_path / "a", FC)
    other_seed = make_audio_run(tmp_path / "b", FC, seed=1)
    louder = make_audio_run(tmp_path / "c", Decoder(name="fc", hidden=16, gain=2.0))
    again = make_audio_run(tmp_path / "d", FC, step=77)
    found = [load_audio(run, CPU).identity for run in (plain, other_seed, louder, again)]
    assert len(set(found[:3])) == 3
    assert found[0] == found[3]
    moved = load_audio(plain, CPU).decoder
    with torch.no_grad():
        moved.layers[0].bias[0] += 1e-6
    assert load_audio(make_audio_run(tmp_path / "e", FC, decoder=moved), CPU).identity not in found


def test_identity_covers_how_a_wavenet_is_dilated(tmp_path: Path):
    """Twice four layers and once eight have the same weights, and look back differently far."""
    deep = make_audio_run(tmp_path / "a", WAVENET)
    weights = load_audio(deep, CPU).decoder
    other = make_audio_run(tmp_path / "b", replace(WAVENET, stacks=1, layers=8), decoder=weights)
    first, second = load_audio(deep, CPU), load_audio(other, CPU)
    assert all(torch.equal(a, b) for a, b in zip(first.decoder.parameters(), second.decoder.parameters(), strict=True))
    assert first.identity != second.identity


def test_the_card(run: Path, tmp_path: Path):
    copy = shutil.copytree(run, tmp_path / "it's a run")
    weights = weights_hash(read_run(run).weights)
    (copy / "test.json").write_text(json.dumps({"step": 3, "weights": weights, "metrics": {"envelope": 0.875}}))
    assert main([str(copy), "--out", str(tmp_path / "it's a model")]) == 0
    card = (tmp_path / "it's a model/README.md").read_text()
    for text in ("stage `audio`", "envelope 0.875", load_audio(run, CPU).encoder.identity, "envelope: correlation"):
        assert text in card
    assert str(tmp_path) not in card
    assert broken_python("README.md", card) == []
    assert broken_commands("README.md", card) == []
    assert read_config(tmp_path / "it's a model")["metrics"] == {"test/envelope": 0.875}


def test_a_model_of_stage_1_is_not_one(tmp_path: Path):
    stage1 = make_run(tmp_path / "stage1")
    with pytest.raises(ModelError, match="is a model of stage vqvae, where one of stage audio is expected"):
        load_audio(stage1, CPU)


def test_a_run_without_its_encoder_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run = make_audio_run(tmp_path / "run")
    shutil.rmtree(run / "encoder")
    with pytest.raises(ModelError, match=r"encoder is missing: .* Repeat the command that trained it"):
        load_audio(run, CPU)
    assert main([str(run), "--out", str(tmp_path / "m")]) == 1
    assert "Repeat the command that trained it" in capsys.readouterr().err
    assert not (tmp_path / "m").exists()


def test_a_run_goes_on_with_its_own_encoder_only(tmp_path: Path):
    run = make_audio_run(tmp_path / "run")
    stage1, other = tmp_path / "run-stage1", make_run(tmp_path / "other", seed=9)
    mine, before = load_vqvae(stage1, CPU).identity, (run / "encoder/config.json").stat().st_mtime_ns
    keep_encoder(run, stage1, mine, LocalComm())
    keep_encoder(run, run / "encoder", mine, LocalComm())
    assert (run / "encoder/config.json").stat().st_mtime_ns == before
    theirs = load_vqvae(other, CPU).identity
    with pytest.raises(
        ValueError, match=rf"on codes of the encoder {mine}, but .*other is the encoder {theirs}; go on"
    ):
        keep_encoder(run, other, theirs, LocalComm())
    with pytest.raises(ModelError, match="changed in this moment"):
        keep_encoder(tmp_path / "new", other, mine, LocalComm())
    assert not (tmp_path / "new/encoder").exists()


def _rewrite(folder: Path, out: Path, tensors: dict[str, torch.Tensor] | None = None, **config: Any) -> Path:
    """The same model with something changed, and every checksum right."""
    found = {name: value for name, value in read_config(folder).items() if name not in ("format", "version", "weights")}
    write_model(out, {**found, **config}, tensors or load_file(folder / "model.safetensors"), "card")
    return out


def test_parts_that_do_not_fit_each_other(model: Path, tmp_path: Path):
    tensors = load_file(model / "model.safetensors")
    other = load_audio(make_audio_run(tmp_path / "run", seed=4), CPU)
    theirs = {f"sound.{name}": tensor for name, tensor in other.decoder.state_dict().items()}
    config = read_config(model)
    with pytest.raises(ModelError, match=f"says that it is {config['identity']}, but its weights are"):
        load_audio(_rewrite(model, tmp_path / "1", {**tensors, **theirs}), CPU)
    from v2a.audio.identity import audio_identity

    right = audio_identity({name[6:]: tensor for name, tensor in theirs.items()}, config)
    with pytest.raises(ModelError, match="has a decoder of another encoder's codes"):
        load_audio(_rewrite(model, tmp_path / "2", {**tensors, **theirs}, identity=right), CPU)
    changed = {**tensors, "stage1.encoder.0.bias": tensors["stage1.encoder.0.bias"] + 1}
    with pytest.raises(ModelError, match="says that its encoder is"):
        load_audio(_rewrite(model, tmp_path / "3", changed), CPU)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"geometry": {"width": 8}}, "settings that this version does not know"),
        ({"decoder": {"name": "transformer"}}, "settings that this version does not know"),
        ({"encoder": {}}, "settings that this version does not know"),
        ({"stage": "evaluate"}, "is a model of stage evaluate"),
    ],
)
def test_settings_that_do_not_fit(model: Path, tmp_path: Path, change: dict[str, Any], reason: str):
    with pytest.raises(ModelError, match=reason):
        load_audio(_rewrite(model, tmp_path / "other", **change), CPU)


def test_a_damaged_encoder_of_a_run(run: Path, tmp_path: Path):
    copy = shutil.copytree(run, tmp_path / "run")
    weights = bytearray((copy / "encoder/model.safetensors").read_bytes())
    weights[-1] ^= 1
    (copy / "encoder/model.safetensors").write_bytes(weights)
    with pytest.raises(ModelError, match="does not match its checksum"):
        load_audio(copy, CPU)
