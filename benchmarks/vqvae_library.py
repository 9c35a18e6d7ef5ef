"""Our quantizers and vector-quantize-pytorch's in the same network, trained alike, on the test split of a dataset.

    python benchmarks/vqvae_library.py data/planes                      # 400 steps each: about 10 minutes on 2 cores
    python benchmarks/vqvae_library.py data/planes --steps 1500 --only ema-ours ema-library

The network is the paper's (64 channels, 16 numbers a code, 1,024 codes), its loss the plain MSE, its training that of stage
`vqvae` with the same seed: weights, order, crops and flips are equal, only the quantizer differs. "ema" starts with k-means and
restarts dead codes ("ema-first" from the first batch, as the library does, "ema-ours" from many), "gradient" learns its codebook by
the quantization loss. PSNR is the mean over whole clips; usage and
perplexity are those of the last epoch, or of what there was of it.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from v2a.comm import LocalComm
from v2a.loading.dataset import ClipDataset
from v2a.loading.feed import ClipFeed, in_order
from v2a.models.make import make_vqvae
from v2a.quantize.base import Quantized
from v2a.stages import Context, load_config
from v2a.tasks import SerialTasks
from v2a.training.loop import train
from v2a.training.precision import Precision
from v2a.training.validate import validate
from v2a.vqvae.task import VQVAETask

CPU = torch.device("cpu")
SETTINGS = [
    "preset=base", "model=paper", "model.channels=64", "model.dim=16", "colours=0", "train.validate_every=0", "train.workers=0",
]  # fmt: skip


class Library(nn.Module):
    """vector-quantize-pytorch's behind our interface; its threshold of dead codes is a number of encodings in a batch's average."""

    def __init__(self, kind: str, codes: int, dim: int) -> None:
        from vector_quantize_pytorch import VectorQuantize

        super().__init__()
        ema = kind == "ema"
        self.codes, self.dim = codes, dim
        self.inner = VectorQuantize(
            dim, codebook_size=codes, decay=0.99, commitment_weight=0.25, accept_3d_fmap=True, rotation_trick=False,
            kmeans_init=ema, threshold_ema_dead_code=0.1 if ema else 0, learnable_codebook=not ema, ema_update=ema,
        )  # fmt: skip
        self.register_buffer("used", torch.zeros(codes, dtype=torch.int64))

    def forward(self, z: torch.Tensor) -> Quantized:
        """Encodings [B, D, …] to vectors, codes and loss."""
        vectors, codes, loss = self.inner(z.float())
        if self.training:
            self.used += torch.bincount(codes.flatten(), minlength=self.codes)
        return Quantized(vectors, codes, loss.sum(), (vectors - z).square().mean().detach())

    def wanted(self) -> int:
        """It starts by itself."""
        return 0

    def begin(self, encodings: list[torch.Tensor]) -> None:
        """Nothing."""

    def usage(self) -> float:
        """Share of the codes since `reset_usage`."""
        return float((self.used > 0).double().mean())

    def perplexity(self) -> float:
        """Of the codes since `reset_usage`."""
        shares = self.used.double() / self.used.sum().clamp(min=1)
        return float(torch.special.entr(shares).sum().exp())

    def reset_usage(self) -> None:
        """Count anew."""
        self.used.zero_()


def run(data: Path, way: str, steps: int) -> str:
    """Train and measure one way; a line of the table."""
    kind, whose = way.split("-")
    start = "kmeans" if kind == "ema" else "uniform"
    more = [f"data={data}", f"quantizer={kind}", f"quantizer.start={start}", f"train.steps={steps}"]
    more += [] if kind == "ema" else ["quantizer.restart_below=0"]
    more += ["quantizer.start_per_code=0"] if whose == "first" else []
    config = load_config("vqvae", [*SETTINGS, *more])
    comm = LocalComm()
    model = make_vqvae(config.model, config.quantizer, comm, config.train.seed)
    if whose == "library":
        torch.manual_seed(config.train.seed)
        model.quantizer = Library(kind, config.quantizer.codes, config.model.dim)
    clips = ClipDataset(data, "train", frames=config.crop, seed=config.train.seed, with_audio=False)
    test = ClipDataset(data, "test", with_audio=False)
    task = VQVAETask(model, CPU, config, fps=clips.geometry.fps)
    feed = ClipFeed(
        clips, None, batch=config.train.batch, comm=comm, seed=config.train.seed, workers=0, pin_memory=False
    )
    with tempfile.TemporaryDirectory() as folder:
        settings = replace(config.train, checkpoint_every=steps)
        context = Context(comm, SerialTasks(), Path(folder), lambda step, metrics: None, lambda: False)
        made = train(task, feed, settings, context, CPU)
    usage, perplexity = task.model.quantizer.usage(), task.model.quantizer.perplexity()
    found, _ = validate(task, in_order(test, 1, comm), comm, Precision("fp32", CPU))
    usage, perplexity = usage or made.get("epoch/usage", 0.0), perplexity or made.get("epoch/perplexity", 0.0)
    return f"{way:<20}{found['psnr']:8.2f}{found['ssim']:9.4f}{usage:8.3f}{perplexity:12.1f}"


def parser() -> argparse.ArgumentParser:
    ways = ["ema-ours", "ema-first", "ema-library", "gradient-ours", "gradient-library"]
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("data", type=Path, help="a dataset of clips")
    made.add_argument("--steps", type=int, default=400)
    made.add_argument("--only", nargs="+", choices=ways, default=ways)
    return made


def main() -> None:
    options = parser().parse_args()
    lines = [run(options.data, way, options.steps) for way in options.only]
    print(f"{options.steps} steps, the test split\n{'':<20}{'PSNR, dB':>8}{'SSIM':>9}{'usage':>8}{'perplexity':>12}")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
