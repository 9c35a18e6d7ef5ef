"""What stage `vqvae` trains: reconstruction and quantization losses, and what is measured of held-out clips."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from v2a.loading.dataset import as_float
from v2a.models.vqvae import VQVAE
from v2a.vqvae.colours import random_colours
from v2a.vqvae.config import Config
from v2a.vqvae.motion import motion_weight
from v2a.vqvae.pictures import draw_pictures

Batch = dict[str, Any]
_MOVING = 10.0
_LEAST_MSE = 1e-10  # 100 dB: a perfect picture has no PSNR


class VQVAETask:
    """Section 3.1 of the paper: loss = (MSE(x, decoder(e)) + the quantizer's losses) / `loss_scale`; `motion`
    weighs the squared errors.

    Args:
        model: the network.
        device: that it is on.
        config: its `flip`, `colours`, `motion` and `loss_scale`. AdamW does not see the scale; `train.clip_norm` does.
        fps: of the clips.
    """

    validation_sums: tuple[str, ...] = ("loss", "mse", "psnr", "psnr_moving", "ssim")
    sample_rate = 0

    def __init__(self, model: VQVAE, device: torch.device, config: Config, *, fps: int) -> None:
        self.model = model
        self.fps = fps
        self._device = device
        self._flip, self._colours = config.flip, config.colours
        self._motion, self._scale = config.motion, config.loss_scale

    def begin(self, batches: Iterator[Batch]) -> None:
        """Start the codebook from the encodings of the first batches."""
        self.model.begin(map(self._varied, batches))

    def loss(self, batch: Batch, step: int) -> dict[str, torch.Tensor]:
        """Of a batch of crops: "loss", "mse", "psnr" (dB), "quantization" (the quantizer's part of the loss).

        Means over each clip's real frames, then over clips: what a short clip is filled up with does not count.
        """
        del step
        video = self._varied(batch)
        made = self.model(video)
        squares = (made.video.float() - video).square()
        errors = _mean_of_real(squares.detach(), batch["frames"])  # [B]
        weighed = squares * motion_weight(video, self._motion) if self._motion else squares
        rebuilding = _mean_of_real(weighed, batch["frames"]).mean()
        quantization = made.quantized.loss
        return {
            "loss": (rebuilding + quantization) / self._scale,
            "mse": errors.mean(),
            "psnr": _psnr(errors).mean(),
            "quantization": quantization,
        }

    def metrics(self) -> dict[str, float]:
        """How much of the codebook was used in this epoch so far."""
        return {"usage": self.model.quantizer.usage(), "perplexity": self.model.quantizer.perplexity()}

    def epoch_end(self) -> dict[str, float]:
        """The same over the whole epoch; the next one begins to count anew."""
        found = self.metrics()
        self.model.quantizer.reset_usage()
        return found

    def validate(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Sums over whole clips, of their real frames only; PSNR is that of each clip's mean squared error, in dB;
        "psnr_moving" that of the error weighed by where the clip moves (`motion_weight`, strength 10, whatever the training's)."""
        video = self._video(batch)
        made = self.model(video)
        rebuilt = made.video.float()
        sums = {name: torch.zeros(()) for name in self.validation_sums}
        for truth, ours, frames in zip(video, rebuilt, batch["frames"].tolist(), strict=True):
            squares = (ours[:, :frames] - truth[:, :frames]).square()
            mse = squares.mean().cpu()
            sums["mse"] += mse
            sums["psnr"] += _psnr(mse)
            sums["psnr_moving"] += _psnr((squares * motion_weight(truth[None, :, :frames], _MOVING)[0]).mean().cpu())
            sums["ssim"] += _ssim(ours[:, :frames], truth[:, :frames])
            sums["loss"] += (mse + made.quantized.loss.cpu()) / self._scale
        return {**sums, "clips": torch.tensor(len(video))}

    def pictures(self, batch: Batch) -> dict[str, torch.Tensor]:
        """The paper's figures 4 to 7 of the first clip: frame, reconstruction, codes; and a short video of all three."""
        video = self._video(batch)[:1]
        made = self.model(video)
        return draw_pictures(video[0], made.video[0].float(), made.quantized.codes[0])

    def sounds(self, batch: Batch) -> dict[str, torch.Tensor]:
        """None."""
        del batch
        return {}

    def _varied(self, batch: Batch) -> torch.Tensor:
        """The batch's video as it is trained on: mirrored, in other colours."""
        video = self._video(batch)
        if self._flip:
            mirrored = torch.rand(len(video), 1, 1, 1, 1) < 0.5  # on the CPU: a seed means the same on every device
            video = torch.where(mirrored.to(video.device), video.flip(-1), video)
        return random_colours(video, self._colours) if self._colours else video

    def _video(self, batch: Batch) -> torch.Tensor:
        """[B, 3, T, H, W], 0 to 1."""
        return as_float(batch["video"].to(self._device, non_blocking=True))


def _mean_of_real(values: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
    """Mean of each clip's first `frames` frames, [B], of values [B, 3, T, H, W]."""
    of_frames = values.mean(dim=(1, 3, 4))  # [B, T]
    real = torch.arange(values.shape[2]) < frames.cpu().unsqueeze(1)
    share = (real / real.sum(1, keepdim=True)).to(values.device)
    return (of_frames * share).sum(1)


def _psnr(mse: torch.Tensor) -> torch.Tensor:
    """Of pictures from 0 to 1, dB."""
    return -10 * torch.log10(mse.clamp(min=_LEAST_MSE))


def _ssim(ours: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Mean over the frames of [3, T, H, W]: Wang et al. 2004, Gaussian window of 11 pixels."""
    # Takes two seconds, more than all else that a process imports; a worker that only trains need not wait.
    from torchmetrics.functional.image import structural_similarity_index_measure

    total = torch.zeros(())
    for a, b in zip(ours.unbind(1), truth.unbind(1), strict=True):  # a frame at a time: it needs much memory
        found = structural_similarity_index_measure(a[None], b[None], data_range=1.0)
        assert isinstance(found, torch.Tensor)  # a pair only when the picture of it is asked for, too
        total += found.cpu()
    return total / ours.shape[1]
