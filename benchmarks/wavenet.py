"""What one second of sound costs: decoders of sound side by side, and a WaveNet's samples with and without its queues.

    python benchmarks/wavenet.py runs/framewise runs/fc runs/wavenet
    python benchmarks/wavenet.py --rounds 5 --threads 1 models/framewise models/wavenet

Models are exported folders or runs of stage `audio`. In turns, each makes the sound of one segment of random video: seconds of wall
and of processor time for a second of sound, of the decoder alone and with the encoder before it, and how many times the first
model's that is; the best of the rounds. For `decoder=wavenet` also that of samples without what was
kept of those before.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from v2a.audio.given import given_of
from v2a.audio.load import LoadedAudio, load_audio
from v2a.audio.mulaw import SILENCE
from v2a.audio.wavenet import WaveNet

_NAIVE = 20  # samples


class Cost(NamedTuple):
    """Seconds of wall and of processor time."""

    wall_s: float
    busy_s: float


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--rounds", type=int, default=3)
    made.add_argument("--threads", type=int, default=1, help="of torch, as in inference by default")
    made.add_argument("models", type=Path, nargs="+")
    return made


def timed(work: Callable[[], object]) -> Cost:
    wall, busy = time.perf_counter(), time.process_time()
    work()
    return Cost(time.perf_counter() - wall, time.process_time() - busy)


def best(costs: list[Cost]) -> Cost:
    return Cost(min(cost.wall_s for cost in costs), min(cost.busy_s for cost in costs))


def round_of(loaded: LoadedAudio) -> tuple[Cost, Cost]:
    """Of the encoder and of the decoder, for a segment."""
    geometry = loaded.geometry
    video = np.random.default_rng(0).integers(0, 256, (geometry.frames, geometry.height, geometry.width, 3), np.uint8)
    found = []
    seen = timed(lambda: found.append(given_of(loaded.decoder.input, loaded.encoder.model, video)))
    return seen, timed(lambda: loaded.decoder.sound(found[0], torch.Generator().manual_seed(0)))


def naive(decoder: WaveNet, steps: int) -> Cost:
    """Of a sample without queues: a full convolution over all that it depends on."""
    codes = torch.zeros(1, steps, decoder.grid.rows, decoder.grid.columns, dtype=torch.int64)
    condition = decoder.conditions(codes)
    known = torch.full((1, decoder.reach), SILENCE)
    cost = timed(lambda: [decoder(condition, torch.tensor([number]), known) for number in range(_NAIVE)])
    return Cost(cost.wall_s / _NAIVE, cost.busy_s / _NAIVE)


@torch.no_grad()
def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    torch.set_num_threads(options.threads)
    models = {path: load_audio(path, torch.device("cpu")) for path in options.models}
    costs: dict[Path, list[tuple[Cost, Cost]]] = {path: [] for path in models}
    for _ in range(options.rounds):
        for path, loaded in models.items():
            costs[path].append(round_of(loaded))
    print(f"seconds for a second of sound, wall (processor); best of {options.rounds}, {options.threads} threads")
    first: float | None = None
    for path, loaded in models.items():
        seconds = loaded.geometry.segment_s
        encoder, decoder = (best([pair[k] for pair in costs[path]]) for k in (0, 1))
        first = first or decoder.busy_s / seconds
        print(
            f"{path.name} ({type(loaded.decoder).__name__}): decoder {decoder.wall_s / seconds:.4f} "
            f"({decoder.busy_s / seconds:.4f}), {decoder.busy_s / seconds / first:.1f} times the first model's; encoder "
            f"{encoder.wall_s / seconds:.4f} ({encoder.busy_s / seconds:.4f})", flush=True,
        )  # fmt: skip
        if isinstance(loaded.decoder, WaveNet):
            rate = loaded.geometry.sample_rate
            without = best([naive(loaded.decoder, loaded.grid.steps) for _ in range(options.rounds)])
            print(
                f"  without queues {without.wall_s * rate:.1f} ({without.busy_s * rate:.1f}): "
                f"{without.busy_s * rate * seconds / decoder.busy_s:.1f} times as slow"
            )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
