"""What a training step of our quantizers costs, forward and backward, ÷ vector-quantize-pytorch's: processor time and peak memory.

    python benchmarks/quantizer.py                      # about 10 minutes on one core
    python benchmarks/quantizer.py --rounds 1 --codes 512 --dims 16
    python benchmarks/quantizer.py --reference DIR      # where it was put by `pip install --target DIR vector-quantize-pytorch`

Each measurement is a process of its own, in turns, with one thread. Time: processor time and wall time of a step, the least of each
process (what else runs on the machine only adds), then the median over rounds. Memory: the kernel's peak of the process over the
steps (VmHWM) less what it held before the first (VmRSS): libraries, codebook, encodings and the decoder's gradient do not count;
what the step makes does. A small step before that loads what is loaded late, and malloc is told to give back what is freed
(MALLOC_MMAP_THRESHOLD_), so that a peak is of memory in use at one time.
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

SHAPES = {"2 whole clips": (2, 25, 18, 32), "4 crops of 16 frames": (4, 4, 18, 32)}
WARM_UP = 2


class Setting(NamedTuple):
    """What both are measured with."""

    shape: str
    kind: str
    codes: int
    dim: int


def make_ours(kind: str, codes: int, dim: int, rows):
    """Our quantizer with these codes; returns a function from encodings to vectors and loss."""
    from v2a.comm import LocalComm
    from v2a.quantize.config import Settings
    from v2a.quantize.make import make_quantizer

    restart = 0.05 if kind == "ema" else 0.0
    quantizer = make_quantizer(
        Settings(kind, codes, start="uniform", decay=0.99, restart_below=restart), dim, LocalComm()
    )
    quantizer.codebook.data.copy_(rows)
    if kind == "ema":
        quantizer.sums.copy_(rows)

    def step(z):
        found = quantizer(z)
        return found.vectors, found.loss

    return step


def make_reference(kind: str, codes: int, dim: int, rows):
    """vector-quantize-pytorch's, set up alike; its threshold of dead codes is a number of encodings, ours a share of the mean."""
    import vector_quantize_pytorch

    ema = kind == "ema"
    quantizer = vector_quantize_pytorch.VectorQuantize(
        dim, codebook_size=codes, decay=0.99, commitment_weight=0.25, accept_3d_fmap=True, rotation_trick=False, kmeans_init=False,
        threshold_ema_dead_code=0.1 if ema else 0, learnable_codebook=not ema, ema_update=ema,
    )  # fmt: skip
    quantizer._codebook.embed.data.copy_(rows[None])
    quantizer._codebook.embed_avg.data.copy_(rows[None])

    def step(z):
        vectors, _, loss = quantizer(z)
        return vectors, loss

    return step


def status(name: str) -> float:
    """A line of /proc/self/status, in MB."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) / 1024


def run(who: str, setting: Setting, steps: int) -> dict[str, float]:
    """Milliseconds per step and MB of one quantizer, in this process."""
    import torch

    torch.manual_seed(0)
    torch.set_num_threads(1)
    batch, *grid = SHAPES[setting.shape]
    dim = setting.dim
    make = make_ours if who == "ours" else make_reference
    step = make(setting.kind, setting.codes, dim, torch.randn(setting.codes, dim))
    z = torch.randn(batch, dim, *grid).requires_grad_()
    gradient = torch.randn_like(z)

    def once(z, gradient):
        z.grad = None
        vectors, loss = step(z)
        torch.autograd.backward([vectors, loss], [gradient, torch.ones_like(loss)])

    once(torch.randn(1, dim, 2, 8, 8).requires_grad_(), torch.randn(1, dim, 2, 8, 8))
    before = status("VmRSS")
    cpu, wall = [], []
    for _ in range(WARM_UP + steps):
        begun, used = time.perf_counter(), time.process_time()
        once(z, gradient)
        cpu.append((time.process_time() - used) * 1000)
        wall.append((time.perf_counter() - begun) * 1000)
    return {"cpu": min(cpu[WARM_UP:]), "wall": min(wall[WARM_UP:]), "mb": status("VmHWM") - before}


def measure(who: str, setting: Setting, options: argparse.Namespace) -> dict[str, float]:
    """`run` in a new process."""
    paths = [str(Path(__file__).resolve().parents[1]), options.reference, os.environ.get("PYTHONPATH", "")]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
        "MALLOC_MMAP_THRESHOLD_": "131072",
        "OMP_NUM_THREADS": "1",
    }
    words = [sys.executable, __file__, "--steps", str(options.steps), "--run", who, *map(str, setting)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise SystemExit(f"{who} {setting} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def compare(setting: Setting, options: argparse.Namespace) -> dict[str, float]:
    """Ratios of one setting; prints them."""
    found: dict[str, list[dict[str, float]]] = {"ours": [], "reference": []}
    for _ in range(options.rounds):
        for who, rounds in found.items():
            rounds.append(measure(who, setting, options))
    ratios, cells = {}, []
    for name in ("cpu", "wall", "mb"):
        ours, theirs = (statistics.median(each[name] for each in rounds) for rounds in found.values())
        ratios[name] = ours / theirs
        cells.append(f"{name} {ours:7.1f} / {theirs:7.1f} = {ours / theirs:5.3f}")
    shape = f"{setting.shape:<21} {setting.kind:<8} K {setting.codes:<5} D {setting.dim:<3}"
    print(shape, "   ".join(cells), flush=True)
    return ratios


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    top.add_argument("--rounds", type=int, default=3, help="turns of each measurement (default: 3)")
    top.add_argument("--steps", type=int, default=6, help="measured steps in each turn (default: 6)")
    top.add_argument("--codes", type=int, nargs="+", default=[512, 4096], help="sizes of codebooks (default: 512 4096)")
    top.add_argument("--dims", type=int, nargs="+", default=[16, 64], help="dimensions (default: 16 64)")
    top.add_argument("--kinds", nargs="+", default=["ema", "gradient"], choices=["ema", "gradient"])
    top.add_argument(
        "--reference", default="", metavar="DIR", help="holds vector_quantize_pytorch, if it is not installed"
    )
    top.add_argument("--run", nargs=5, help=argparse.SUPPRESS)
    return top


def main() -> None:
    """Measure in turns and print ratios."""
    options = parser().parse_args()
    if options.run:
        who, shape, kind, codes, dim = options.run
        print(json.dumps(run(who, Setting(shape, kind, int(codes), int(dim)), options.steps)))
        return
    print("forward + backward, one thread, ms and MB: ours / vector-quantize-pytorch = ratio")
    settings = itertools.product(SHAPES, options.kinds, options.codes, options.dims)
    ratios = [compare(Setting(*setting), options) for setting in settings]
    print("largest ratio: " + ", ".join(f"{name} {max(each[name] for each in ratios):.3f}" for name in ratios[0]))


if __name__ == "__main__":
    main()
