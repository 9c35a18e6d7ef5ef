"""How good stage 1's pictures are, beside other ways to spend the same bits, on the test split of a dataset.

    python benchmarks/vqvae_quality.py data/planes                           # the baselines alone
    python benchmarks/vqvae_quality.py data/planes --run runs/planes         # and a trained run, or several
    python benchmarks/vqvae_quality.py data/planes --run runs/planes --pictures planes.png
    python benchmarks/vqvae_quality.py data/real --label foley --run runs/real

PSNR is that of each clip's mean squared error over its real frames, then the mean over clips; "of the mean" is the PSNR of the
mean squared error of all clips, which the worst ones decide; "moving" is PSNR with the error weighed by where the clip moves
(`v2a.vqvae.motion`, strength 10). SSIM is the mean over frames, then over clips. Bits are counted per
pixel of the clip. The budget of the baselines is one code of 10 bits for 4x8x8 pixels unless --bits says otherwise.

- mean frame: the mean of a clip's frames, exact, its bits not counted: what a model that sees no motion can reach at best;
- small video: frames averaged to fewer and smaller ones of 24-bit pixels, as many as the bits allow, and scaled up (bicubic);
- H.264: libx264, preset slow, the best quality that keeps a clip of 10 s within the budget (its own overhead counted out).
"""

import argparse
import math
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import interpolate
from torchmetrics.functional.image import structural_similarity_index_measure

from v2a.loading.dataset import ClipDataset, as_float
from v2a.vqvae.motion import motion_weight

Video = torch.Tensor  # [3, T, H, W], 0 to 1


@dataclass
class Scores:
    """Of one way, a number for each clip."""

    psnr: list[float] = field(default_factory=list)
    moving: list[float] = field(default_factory=list)
    mse: list[float] = field(default_factory=list)
    ssim: list[float] = field(default_factory=list)
    bits: list[float] = field(default_factory=list)

    def add(self, truth: Video, ours: Video, bits: float) -> None:
        """One clip; `bits` of the whole."""
        squares = (truth - ours.clamp(0, 1)).square()
        mse = float(squares.mean())
        weighed = float((squares * motion_weight(truth[None], 10.0)[0]).mean())
        self.moving.append(-10 * math.log10(max(weighed, 1e-10)))
        self.mse.append(mse)
        self.psnr.append(-10 * math.log10(max(mse, 1e-10)))
        frames = zip(ours.clamp(0, 1).unbind(1), truth.unbind(1), strict=True)
        self.ssim.append(
            statistics.mean(
                float(structural_similarity_index_measure(a[None], b[None], data_range=1.0)) for a, b in frames
            )
        )
        self.bits.append(bits / truth[0].numel())

    def line(self) -> str:
        """For the table."""
        mean = statistics.mean
        of_mean = -10 * math.log10(max(mean(self.mse), 1e-10))
        low, high = bootstrap(self.psnr)
        scores = f"{of_mean:8.2f} {mean(self.moving):8.2f} {mean(self.ssim):7.4f} {mean(self.bits):9.4f}"
        return f"{mean(self.psnr):7.2f} ({low:.2f} to {high:.2f}) {scores}"


def bootstrap(values: list[float]) -> tuple[float, float]:
    """95 % interval of the mean over clips."""
    random = np.random.default_rng(0)
    means = random.choice(values, (2000, len(values))).mean(axis=1)
    return float(np.quantile(means, 0.025)), float(np.quantile(means, 0.975))


def mean_frame(video: Video, budget: float) -> tuple[Video, float]:
    del budget
    return video.mean(dim=1, keepdim=True).expand_as(video), math.nan


def small_video(video: Video, budget: float) -> tuple[Video, float]:
    """The best of some frame rates."""
    _, frames, height, width = video.shape
    best: tuple[Video, float] | None = None
    for part in (1, 2, 4, 8, 16, 32):
        times = max(1, frames // part)
        scale = math.sqrt(budget / 24 / times / (height * width))
        rows, columns = max(1, int(height * scale)), max(1, int(width * scale))
        if scale > 1 or rows * columns * times * 24 > budget:
            continue
        small = interpolate(video[None], (times, rows, columns), mode="area")[0]
        small = (small * 255).round() / 255
        large = interpolate(small.movedim(0, 1), (height, width), mode="bicubic")  # [times, 3, H, W]
        made = large[(torch.arange(frames) * times) // frames].movedim(0, 1)
        if best is None or (made - video).square().mean() < (best[0] - video).square().mean():
            best = made, float(rows * columns * times * 24)
    assert best is not None, "the budget is too small for one pixel"
    return best


def h264(video: Video, budget: float, fps: int) -> tuple[Video, float]:
    """By bisection over the constant rate factor."""
    pixels = (video.movedim(0, -1) * 255).round().byte().contiguous().numpy()
    _, height, width, _ = pixels.shape
    low, high, best = 0.0, 51.0, None
    for _ in range(6):
        factor = (low + high) / 2
        made, bits = _x264(pixels, factor, fps, width, height)
        if bits <= budget:
            best, high = (made, bits), factor
        else:
            low = factor
    made, bits = best or _x264(pixels, 51, fps, width, height)
    return torch.from_numpy(made.copy()).movedim(-1, 0).float() / 255, bits


def _x264(pixels: np.ndarray, factor: float, fps: int, width: int, height: int) -> tuple[np.ndarray, float]:
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(fps)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.h264"  # the bare stream: no container to count
        encode = [
            "-c:v",
            "libx264",
            "-preset",
            "slow",
            "-crf",
            f"{factor:.2f}",
            "-pix_fmt",
            "yuv420p",
            "-g",
            "1000",
        ]
        encode += ["-bsf:v", "filter_units=remove_types=6"]  # the encoder's banner
        command = ["ffmpeg", "-v", "error", *raw, "-i", "-", *encode, str(path)]
        subprocess.run(command, input=pixels.tobytes(), check=True)
        decode = ["ffmpeg", "-v", "error", "-r", str(fps), "-i", str(path), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
        decoded = subprocess.run(decode, capture_output=True, check=True).stdout
        frames = np.frombuffer(decoded, np.uint8).reshape(-1, height, width, 3)
        return frames, 8.0 * path.stat().st_size


def trained(run: Path) -> Callable[[Video, float], tuple[Video, float]]:
    """A run folder or an exported model."""
    from v2a.vqvae.load import load_vqvae

    model = load_vqvae(run, torch.device("cpu")).model

    def rebuild(video: Video, budget: float) -> tuple[Video, float]:
        del budget
        with torch.no_grad():
            made = model(video[None])
        codes = made.quantized.codes
        return made.video[0], float(codes.numel() * math.log2(model.quantizer.codes))

    return rebuild


def clips(folder: Path, split: str, label: str, most: int) -> Iterator[tuple[Video, int]]:
    """Whole clips and their real frames."""
    dataset = ClipDataset(folder, split, with_audio=False)
    chosen = [number for number in range(len(dataset)) if label in ("", dataset.row(number).label)]
    for number in chosen[: most or None]:
        sample = dataset[number]
        yield as_float(sample["video"][None])[0], int(sample["frames"])


def picture(rows: list[list[Video]], path: Path) -> None:
    """A row for each clip: the middle frame of the truth and of every way."""
    from PIL import Image

    lines = [torch.cat([video[:, video.shape[1] // 2] for video in row], dim=2) for row in rows]
    whole = (torch.cat(lines, dim=1).clamp(0, 1) * 255).byte().permute(1, 2, 0).contiguous().numpy()
    Image.fromarray(whole).save(path)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("data", type=Path, help="a dataset of clips")
    made.add_argument(
        "--run", type=Path, action="append", default=[], help="run folder or exported model; may be repeated"
    )
    made.add_argument("--split", default="test")
    made.add_argument("--label", default="", help="clips of this label only")
    made.add_argument("--clips", type=int, default=0, help="at most so many; 0 for all")
    made.add_argument("--bits", type=float, default=10 / 256, help="per pixel, for the baselines")
    made.add_argument("--pictures", type=Path, help="PNG of middle frames")
    return made


def main() -> None:
    options = parser().parse_args()
    fps = ClipDataset(options.data, options.split, with_audio=False).geometry.fps
    ways: dict[str, Callable[[Video, float], tuple[Video, float]]] = {
        "mean frame": mean_frame,
        "small video": small_video,
        "H.264": lambda video, budget: h264(video, budget, fps),
        **{str(run): trained(run) for run in options.run},
    }
    scores = {name: Scores() for name in ways}
    rows = []
    for video, frames in clips(options.data, options.split, options.label, options.clips):
        truth = video[:, :frames]
        row = [truth]
        for name, way in ways.items():
            # A model takes whole multiples of its strides: it codes the padding, and it is measured without.
            made, bits = way(video if name in map(str, options.run) else truth, options.bits * truth[0].numel())
            row.append(made[:, :frames])
            scores[name].add(
                truth, made[:, :frames], bits * (frames / video.shape[1] if name in map(str, options.run) else 1)
            )
        rows.append(row)
    print(
        f"{len(rows)} clips of {options.data}, split {options.split}; from the left in pictures: truth, {', '.join(ways)}"
    )
    print(f"{'':<24}{'PSNR, dB (95 %)':>25} {'of mean':>8} {'moving':>8} {'SSIM':>7} {'bit/pixel':>9}")
    for name, found in scores.items():
        print(f"{name:<24}{found.line()}")
    if options.pictures:
        picture(rows[:12], options.pictures)


if __name__ == "__main__":
    main()
