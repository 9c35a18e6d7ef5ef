"""The self-test itself: two 3D convolutions learn the loudness of made-up clips, data-parallel, and the ranks must agree."""

from collections.abc import Iterator
from itertools import count

import torch
from torch import nn

from v2a.comm import Comm
from v2a.selftest.clips import make_clips
from v2a.selftest.config import Config
from v2a.stages import Context
from v2a.training.agreement import ranks_agree
from v2a.training.alone import alone_in
from v2a.training.config import Train
from v2a.training.loop import train
from v2a.training.precision import pick_device

Clips = tuple[torch.Tensor, torch.Tensor]  # video [N, 3, T, H, W], loudness [N, T]


class LoudnessNet(nn.Module):
    """Two 3D convolution + ReLU blocks as in the paper's encoder, small, and a mean over the picture."""

    def __init__(self, channels: int = 8) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            nn.Conv3d(3, channels, kernel_size=3, stride=(1, 2, 2), padding=1),
            nn.ReLU(),
            nn.Conv3d(channels, channels, kernel_size=3, stride=(1, 2, 2), padding=1),
            nn.ReLU(),
        )
        self.out = nn.Linear(channels, 1)

    def forward(self, video: torch.Tensor) -> torch.Tensor:
        """Video `[N, 3, T, H, W]` in 0..1 to loudness `[N, T]`."""
        features = self.blocks(video).mean(dim=(3, 4))  # [N, C, T]
        loudness: torch.Tensor = self.out(features.transpose(1, 2)).squeeze(-1)
        return loudness


class _LoudnessTask:
    """Mean squared error of the loudness of every frame."""

    validation_sums: tuple[str, ...] = ("loss",)
    fps = 8
    sample_rate = 0

    def __init__(self, model: nn.Module) -> None:
        self.model = model

    def begin(self, batches: Iterator[Clips]) -> None:
        """Nothing depends on the data."""

    def loss(self, batch: Clips, step: int) -> dict[str, torch.Tensor]:
        """Of one batch."""
        del step
        video, loudness = batch
        return {"loss": nn.functional.mse_loss(self.model(video), loudness)}

    def metrics(self) -> dict[str, float]:
        """Nothing more."""
        return {}

    def epoch_end(self) -> dict[str, float]:
        """Nothing is counted."""
        return {}

    def validate(self, batch: Clips) -> dict[str, torch.Tensor]:
        """The same loss, on clips that are never trained on."""
        return {"loss": self.loss(batch, 0)["loss"] * len(batch[0]), "clips": torch.tensor(len(batch[0]))}

    def pictures(self, batch: Clips) -> dict[str, torch.Tensor]:
        """The first clip."""
        return {"clip": (batch[0][0] * 255).byte().permute(1, 2, 3, 0).cpu()}

    def sounds(self, batch: Clips) -> dict[str, torch.Tensor]:
        """A stage without sound."""
        del batch
        return {}


class _MadeUpFeed:
    """Every rank makes the whole batch of a step and takes its share, so that N ranks see what one would."""

    def __init__(self, config: Config, comm: Comm, device: torch.device) -> None:
        self._config, self._comm, self._device = config, comm, device
        self._step = 0
        self.clips = config.batch // comm.size

    def batches(self) -> Iterator[Clips]:
        """Without end."""
        for step in count(self._step):
            yield self._make(step)

    def advance(self) -> None:
        """One step was used."""
        self._step += 1

    @property
    def epoch(self) -> float:
        """No clip comes twice."""
        return 0.0

    def validation(self) -> list[Clips]:
        """One batch that no step has."""
        return [self._make(-1)]

    def state_dict(self) -> dict[str, int]:
        """The step."""
        return {"step": self._step}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from there."""
        self._step = state["step"]

    def _make(self, step: int) -> Clips:
        video, loudness = make_clips(self._config.batch, seed=self._config.seed * 1_000_003 + step + 1)
        mine = slice(self._comm.rank * self.clips, (self._comm.rank + 1) * self.clips)
        return video[mine].to(self._device), loudness[mine].to(self._device)


def run(config: Config, context: Context) -> dict[str, float]:
    """Train, and check that every rank ends with the same weights.

    Returns:
        What `v2a.training.loop.train` returns, and "ranks_agree" (1 or 0).

    Raises:
        ValueError: the batch does not divide over the ranks.
        RunBusy: another process trains in the run's folder.
        RuntimeError: the ranks ended with different weights: the collectives of this cluster are broken.
    """
    comm = context.comm
    if config.batch % comm.size:
        raise ValueError(
            f"expected a batch that divides over {comm.size} ranks, but got batch={config.batch}; try batch={comm.size * 4}"
        )
    with alone_in(context.out, comm):
        return _train(config, context)


def _train(config: Config, context: Context) -> dict[str, float]:
    comm = context.comm
    torch.manual_seed(config.seed)
    device = pick_device("auto", comm.local_rank)
    model = LoudnessNet().to(device)
    how = Train(
        steps=config.steps, lr=config.lr, lr_final=1.0, warmup=0, clip_norm=0, seed=config.seed, log_every=1, precision="fp32",
        validate_every=0, checkpoint_every=max(1, config.steps // 2),
    )  # fmt: skip
    metrics = train(_LoudnessTask(model), _MadeUpFeed(config, comm, device), how, context, device)
    metrics["ranks_agree"] = float(ranks_agree(model, comm))
    if not metrics["ranks_agree"]:
        raise RuntimeError("the ranks ended with different weights: their all-reduce is broken")
    if comm.rank == 0:
        unfinished = context.out / "weights.pt.tmp"
        torch.save(model.state_dict(), unfinished)
        unfinished.replace(context.out / "weights.pt")
    return metrics
