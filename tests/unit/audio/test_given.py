"""Codes, latents or pixels into the same decoder: the same pictures but for what quantising costs, and the whole road with each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.media.moving import TINY
from tests.unit.audio.making import CPU, FRAMEWISE, WAVENET, make_audio_run
from tests.unit.audio.test_picture import WIDE, alike, codes_of, vqvae
from v2a.audio.config import Config, Decoder, Weights
from v2a.audio.fc import FullyConnected
from v2a.audio.given import given_of
from v2a.audio.grid import make_grid
from v2a.audio.load import load_audio
from v2a.audio.make import AudioDecoder, make_decoder
from v2a.audio.picture import Picture
from v2a.audio.vectors import CodeVectors, codebooks_of
from v2a.codes.encode import encode_latents
from v2a.config import ConfigError, build_config
from v2a.models.config import Model
from v2a.models.vqvae import VQVAE

RESIDUAL = Model(dim=24, channels=16, narrow=8, blocks=1, encoder_blocks=1)
PAPER = Model(name="paper", channels=16, dim=8, strides="4x8x8")


def picture(made: VQVAE, kind: str) -> Picture:
    books = codebooks_of(made)
    return Picture(
        books, CodeVectors(books.vectors), make_grid(WIDE, made.strides), Decoder(channels=32, input=kind)
    ).eval()


def clip(frames: int = WIDE.frames) -> np.ndarray:
    """uint8 [T, H, W, 3]: a bright square that moves over slopes of grey."""
    video = np.zeros((frames, WIDE.height, WIDE.width, 3), np.uint8)
    video += np.linspace(0, 150, WIDE.width).astype(np.uint8)[:, None]
    for frame in range(frames):
        video[frame, 40:80, 4 * frame : 4 * frame + 48] = 230
    return video


@torch.no_grad()
@pytest.mark.parametrize("model", [RESIDUAL, PAPER], ids=["residual", "paper"])
def test_latents_that_are_codes_vectors_are_seen_as_these_codes(model: Model):
    """What the encoder says is of the same space as the vectors: for the residual network as the sum of a group's."""
    made = vqvae(model)
    codes = codes_of(WIDE, made.strides, 7)  # the second group is cut short
    vectors = made.quantizer.codes_to_vectors(codes)
    group = len(getattr(made.quantizer, "stages", (0,)))
    sums = [vectors[:, :, at : at + group].sum(2) for at in range(0, 7, group)]
    latents = torch.stack(sums, 2).repeat_interleave(group, 2)[:, :, :7]
    seen, unquantised = picture(made, "codes"), picture(made, "latents")
    assert unquantised.frames_of(latents).shape == (1, 3, 28, 72, 128)
    torch.testing.assert_close(unquantised.frames_of(latents), seen.frames_of(codes), rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_pictures_of_all_three_kinds_are_of_one_size_and_of_the_same_video():
    """An untrained residual network is a codec already: cosines there and back. Its codes are of this clip."""
    made, video = vqvae(replace(RESIDUAL, dim=48)), clip()
    first, *others = made.quantizer.stages
    latents = encode_latents(made, video)[0].flatten(1)
    first.codebook.copy_(latents[:, :: latents.shape[1] // 32][:, :32].t())
    for stage in others:
        stage.codebook.zero_()
    found = {kind: picture(made, kind) for kind in ("codes", "latents", "pixels")}
    given = {kind: given_of(kind, made, video) for kind in found}
    frames = {kind: found[kind].frames_of(given[kind]) for kind in found}
    assert {tuple(made.shape) for made in frames.values()} == {(1, 3, WIDE.frames, 72, 128)}
    assert {found[kind].length_of(given[kind]) for kind in found} == {WIDE.frames}
    small = torch.nn.functional.avg_pool3d(torch.from_numpy(video).permute(3, 0, 1, 2)[None] / 255, (1, 2, 2))
    torch.testing.assert_close(frames["pixels"], (small - 0.5) * 4)
    assert alike(frames["latents"], frames["pixels"]) > 0.9
    assert 0.8 < alike(frames["codes"], frames["pixels"]) < alike(frames["latents"], frames["pixels"])


def decoders(kind: str) -> list[tuple[AudioDecoder, torch.Tensor]]:
    """Both that take anything, with what they are given of a clip."""
    made = vqvae(RESIDUAL)
    grid, books = make_grid(WIDE, made.strides), codebooks_of(made)
    given = given_of(kind, made, clip())
    return [
        (make_decoder(replace(settings, input=kind), Weights(), grid, books, seed=0), given)
        for settings in (FRAMEWISE, WAVENET)
    ]


@pytest.mark.parametrize("kind", ["codes", "latents", "pixels"])
def test_the_decoders_train_on_each_kind_and_see_the_video(kind: str):
    audio = torch.randint(-8000, 8000, (1, WIDE.samples), dtype=torch.int16)
    audio[:, : WIDE.samples // 2] //= 1000  # an onset
    for decoder, given in decoders(kind):
        assert not isinstance(decoder, FullyConnected)
        decoder.train().loss(given, audio)["loss"].backward()
        lost = [name for name, p in decoder.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
        assert lost == []
        decoder.eval()
        with torch.no_grad():
            other = given.roll(1, dims=-1)
            assert not torch.allclose(decoder.picture(given), decoder.picture(other), atol=1e-4)


@pytest.mark.parametrize("kind", ["latents", "pixels"])
def test_a_model_of_another_input_is_another_model_and_comes_back_as_it_was(kind: str, tmp_path: Path):
    plain, other = (make_audio_run(tmp_path / name, replace(FRAMEWISE, input=name)) for name in ("codes", kind))
    first, second = load_audio(plain, CPU), load_audio(other, CPU)
    assert second.decoder.input == kind
    assert first.identity != second.identity
    video = np.random.default_rng(0).integers(0, 256, (TINY.frames, TINY.height, TINY.width, 3), np.uint8)
    sound = second.decoder.sound(given_of(kind, second.encoder.model, video), torch.Generator().manual_seed(0))
    assert sound.shape == (1, TINY.samples)


def test_settings_that_cannot_be():
    with pytest.raises(ConfigError, match=r"expected decoder.input=codes with decoder=fc, .* but got pixels"):
        build_config(Config, ["decoder=fc", "decoder.input=pixels"])
    with pytest.raises(ConfigError, match=r"there is no decoder\.input 'frames'"):
        build_config(Config, ["decoder.input=frames"])
    assert Decoder().input == "codes"
