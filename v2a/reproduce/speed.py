"""What a second of sound costs with each decoder, side by side.

python -m v2a.reproduce.speed runs/framewise runs/fc runs/wavenet --out speed.json
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import torch

from v2a.audio.load import load_audio
from v2a.export.errors import ModelError
from v2a.whole import write_json


@torch.no_grad()
def seconds_per_second(run: Path) -> float:
    """Processor time of a run's decoder for a second of sound, s, in one thread: of one segment of codes.

    Raises:
        ModelError: there is no model.
        ValueError: it takes something else than codes.
    """
    torch.set_num_threads(1)
    loaded = load_audio(run, torch.device("cpu"))
    grid = loaded.grid
    if loaded.decoder.input != "codes":
        raise ValueError(f"expected a decoder of codes, but {run} takes {loaded.decoder.input}")
    codes = torch.zeros(1, grid.steps, grid.rows, grid.columns, dtype=torch.int64)
    begun = time.process_time()
    loaded.decoder.sound(codes, torch.Generator().manual_seed(0))
    return (time.process_time() - begun) / loaded.geometry.segment_s


def main(arguments: list[str] | None = None) -> int:
    """Measure and write; 0, or 1 with a sentence."""
    top = argparse.ArgumentParser(prog="python -m v2a.reproduce.speed", description=(__doc__ or "").split("\n")[0])
    top.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="a run of stage audio, or an exported model")
    top.add_argument("--out", type=Path, required=True, metavar="FILE", help="JSON of seconds for each run")
    options = top.parse_args(arguments)
    try:
        write_json(options.out, {run.name: seconds_per_second(run) for run in options.runs})
    except (ModelError, ValueError, OSError) as error:
        print(f"speed: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
