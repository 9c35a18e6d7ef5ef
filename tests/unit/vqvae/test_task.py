"""What the stage measures: losses in closed form, real frames only, pictures of the right things."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from tests.unit.vqvae.runs import small
from v2a.comm import LocalComm
from v2a.loading.dataset import ClipDataset
from v2a.loading.feed import in_order
from v2a.models.make import make_vqvae
from v2a.models.vqvae import Reconstruction
from v2a.quantize.base import Quantized
from v2a.vqvae.config import Config
from v2a.vqvae.pictures import colour_codes, draw_pictures
from v2a.vqvae.task import VQVAETask

CPU = torch.device("cpu")


class Shifted(nn.Module):
    """Gives its input, brighter by a tenth; its codes and their loss are made up."""

    def forward(self, video: torch.Tensor) -> Reconstruction:
        codes = torch.zeros(len(video), 5, 9, 8, dtype=torch.int64)
        loss = torch.tensor(0.25)
        return Reconstruction(video + 0.1, Quantized(torch.zeros(1), codes, loss, loss))


def task(model: nn.Module, flip: bool = False, motion: float = 0) -> VQVAETask:
    """Around a made-up model."""
    return VQVAETask(model, CPU, Config(flip=flip, colours=0, motion=motion, loss_scale=0.05), fps=10)  # type: ignore[arg-type]


def batch(frames: tuple[int, ...] = (20, 17)) -> dict[str, torch.Tensor]:
    """Random clips with so many real frames."""
    video = torch.randint(0, 200, (len(frames), 20, 36, 64, 3), dtype=torch.uint8)
    return {"video": video, "frames": torch.tensor(frames)}


def test_the_loss_is_the_scaled_error_and_the_quantizers():
    found = task(Shifted()).loss(batch(), step=0)
    assert float(found["mse"]) == pytest.approx(0.01, rel=1e-5)
    assert float(found["loss"]) == pytest.approx((0.01 + 0.25) / 0.05, rel=1e-5)
    assert float(found["psnr"]) == pytest.approx(20.0, abs=1e-3)
    assert float(found["quantization"]) == 0.25


def test_what_moves_weighs_more_in_the_loss_and_in_psnr_moving_but_not_in_psnr():
    class Wrong(Shifted):
        """Off by a tenth in the small square that moves, or in as many pixels of the sky."""

        moving = True

        def forward(self, video: torch.Tensor) -> Reconstruction:
            made = super().forward(video)
            wrong = video.clone()
            for frame in range(20):
                column = 2 * frame if self.moving else 40
                wrong[:, :, frame, 30 if not self.moving else 10, column : column + 2] -= 0.1
            return Reconstruction(wrong, made.quantized)

    clips = batch((20,))
    clips["video"][:] = 150
    for frame in range(20):
        clips["video"][:, frame, 10, 2 * frame : 2 * frame + 2] = 50
    wrong = Wrong()
    measured = {}
    for wrong.moving in (True, False):
        for motion in (0, 10):
            found = task(wrong, motion=motion)
            loss = float(found.loss(clips, 0)["loss"]) * 0.05 - 0.25
            measured[wrong.moving, motion] = (
                loss,
                *(float(found.validate(clips)[name]) for name in ("psnr", "psnr_moving")),
            )
    assert measured[True, 0][:2] == pytest.approx(measured[False, 0][:2], rel=1e-4)
    assert measured[True, 10][0] > 20 * measured[False, 10][0]
    assert measured[True, 10][1] == pytest.approx(measured[False, 10][1], abs=1e-3)
    assert measured[True, 10][2] < measured[False, 10][2] - 10


def test_flips_mirror_columns_and_follow_the_seed():
    seen = []

    class Watching(Shifted):
        def forward(self, video: torch.Tensor) -> Reconstruction:
            seen.append(video)
            return super().forward(video)

    clips = batch((20, 20, 20))
    plain = clips["video"].movedim(-1, 1).float() / 255
    mirrored = set()
    for seed in range(12):
        torch.manual_seed(seed)
        task(Watching(), flip=True).loss(clips, 0)
        ways = [(torch.equal(a, b), torch.equal(a, b.flip(-1))) for a, b in zip(seen[-1], plain, strict=True)]
        assert all(any(way) for way in ways)
        mirrored.add(tuple(way[1] for way in ways))
        torch.manual_seed(seed)
        task(Watching(), flip=True).loss(clips, 0)
        assert torch.equal(seen[-1], seen[-2])
    assert len(mirrored) > 3, "each clip by itself"


def test_what_fills_up_a_short_clip_is_not_learned():
    """The loss of a clip with 17 real frames is that of these; its gradient of the others is 0."""

    class Off(nn.Module):
        def forward(self, video: torch.Tensor) -> Reconstruction:
            self.made = (video + 0.1 + 0.4 * (torch.arange(20) >= 17).view(1, 1, 20, 1, 1)).requires_grad_()
            zero = torch.zeros(())
            return Reconstruction(self.made, Quantized(torch.zeros(1), torch.zeros(1), zero, zero))

    model = Off()
    found = task(model).loss(batch((17, 17)), step=0)
    assert float(found["mse"]) == pytest.approx(0.01, rel=1e-4)
    assert float(found["loss"]) == pytest.approx(0.01 / 0.05, rel=1e-4)
    found["loss"].backward()
    assert model.made.grad is not None
    assert bool((model.made.grad[:, :, 17:] == 0).all())
    assert bool((model.made.grad[:, :, :17] > 0).all())


def test_padding_is_not_measured():
    clips = batch((20, 17))
    whole = task(Shifted()).validate(clips)

    class BadPadding(Shifted):
        def forward(self, video: torch.Tensor) -> Reconstruction:
            made = super().forward(video)
            made.video[1, :, 17:] = 0
            return made

    spoiled = task(BadPadding()).validate(clips)
    assert {name: float(value) for name, value in spoiled.items()} == {
        name: float(value) for name, value in whole.items()
    }
    assert int(whole["clips"]) == 2
    assert float(whole["mse"]) == pytest.approx(0.02, rel=1e-5)
    assert float(whole["psnr"]) == pytest.approx(40.0, abs=1e-3)


def test_a_perfect_picture_has_ssim_one_and_a_finite_psnr():
    class Perfect(Shifted):
        def forward(self, video: torch.Tensor) -> Reconstruction:
            made = super().forward(video)
            return Reconstruction(video, made.quantized)

    found = task(Perfect()).validate(batch((20,)))
    assert float(found["ssim"]) == pytest.approx(1.0, abs=1e-5)
    assert float(found["psnr"]) == pytest.approx(100.0)


def test_usage_counts_over_an_epoch(discs: Path):
    config = small(discs)
    model = make_vqvae(config.model, config.quantizer, LocalComm(), 0)
    real = VQVAETask(model, CPU, config, fps=10)
    assert real.metrics() == {"usage": 0.0, "perplexity": 0.0}
    model.train()
    for clips in in_order(ClipDataset(discs, "train", frames=16, with_audio=False), 2, LocalComm()):
        real.loss(clips, 0)
    ended = real.epoch_end()
    assert ended["usage"] > 0.1
    assert ended["perplexity"] > 1
    assert real.metrics()["usage"] == 0


def test_pictures_show_the_middle_frame_and_its_codes():
    video = torch.rand(3, 20, 36, 64)
    codes = torch.arange(5 * 9 * 8).view(5, 9, 8)
    found = draw_pictures(video, video, codes)
    assert torch.equal(found["frame"], (video[:, 10] * 255).round().byte().permute(1, 2, 0))
    assert torch.equal(found["frame"], found["reconstruction"])
    assert int(found["error"].max()) == 0
    assert found["video"].shape == (20, 36, 3 * 64, 3)
    blocks = found["codes"].view(9, 4, 8, 8, 3)  # latent steps of 4 rows and 8 columns
    assert torch.equal(blocks[:, 0, :, 0], colour_codes(codes)[2])
    assert bool((blocks == blocks[:, :1, :, :1]).all())


def test_neighbouring_codes_have_far_colours():
    palette = colour_codes(torch.arange(64)).float()
    assert len({tuple(colour.tolist()) for colour in palette}) == 64
    assert float((palette[1:] - palette[:-1]).abs().sum(-1).min()) > 60
