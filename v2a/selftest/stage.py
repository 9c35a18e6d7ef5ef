"""The self-test itself: two 3D convolutions learn the loudness of made-up clips, data-parallel, and the ranks must agree."""

import torch
from torch import nn

from v2a.selftest.clips import make_clips
from v2a.selftest.config import Config
from v2a.stages import Context
from v2a.training import Task, ranks_agree, train


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


def run(config: Config, context: Context) -> dict[str, float]:
    """Train, and check that every rank ends with the same weights.

    Returns:
        "step", "stopped", "loss_first", "loss", and "ranks_agree" (1 or 0).

    Raises:
        ValueError: the batch does not divide over the ranks.
        RuntimeError: the ranks ended with different weights: the collectives of this cluster are broken.
    """
    comm = context.comm
    if config.batch % comm.size:
        raise ValueError(
            f"expected a batch that divides over {comm.size} ranks, but got batch={config.batch}; try batch={comm.size * 4}"
        )
    torch.manual_seed(config.seed)
    device = _device(comm.local_rank)
    model = LoudnessNet().to(device)
    share = config.batch // comm.size

    def loss(step: int) -> torch.Tensor:
        # Every rank makes the whole batch and takes its share, so that N ranks see what one would.
        video, loudness = make_clips(config.batch, seed=config.seed * 1_000_003 + step)
        mine = slice(comm.rank * share, (comm.rank + 1) * share)
        return nn.functional.mse_loss(model(video[mine].to(device)), loudness[mine].to(device))

    optimizer = torch.optim.AdamW(model.parameters(), lr=config.lr)
    metrics = train(Task(model, loss), optimizer, config.steps, context)
    metrics["ranks_agree"] = float(ranks_agree(model, comm))
    if not metrics["ranks_agree"]:
        raise RuntimeError("the ranks ended with different weights: their all-reduce is broken")
    if comm.rank == 0:
        unfinished = context.out / "weights.pt.tmp"
        torch.save(model.state_dict(), unfinished)
        unfinished.replace(context.out / "weights.pt")
    return metrics


def _device(local_rank: int) -> torch.device:
    """This rank's GPU; the CPU where there is none."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    index = local_rank % torch.cuda.device_count()  # --gpus-per-task shows each task one device, number 0
    torch.cuda.set_device(index)
    return torch.device("cuda", index)
