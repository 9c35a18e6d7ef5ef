"""The test split, measured once when training has finished."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path

import torch

from v2a.comm import Comm
from v2a.training.agreement import weights_hash
from v2a.training.precision import Precision
from v2a.training.record import write_pictures, write_sounds
from v2a.training.task import Batch, Task
from v2a.training.validate import validate
from v2a.whole import write_json


def measure_test(  # noqa: PLR0913 - all of them belong to one measurement
    out: Path,
    step: float,
    clips: str,
    task: Task,
    batches: Iterable[Batch],
    *,
    comm: Comm,
    precision: Precision,
    draw: bool,
) -> dict[str, float]:
    """Means over the test split, as "test/…"; kept in `test.json` with a hash of the weights, and taken from there the next time.

    Args:
        out: the run's folder.
        step: that was reached.
        clips: identity of the test split.
        task: what is measured.
        batches: this rank's part.
        comm: the ranks; rank 0 reads and writes.
        precision: of the forward pass.
        draw: pictures and sounds of its first clip too, into the run's folder: no validation split has shown any.
    """
    path, names = out / "test.json", (*task.validation_sums, "clips")
    wanted = {"step": int(step), "clips": clips, "weights": weights_hash(task.model.state_dict())}
    kept = _kept(path, wanted) if comm.rank == 0 else {}
    values = comm.broadcast(torch.tensor([kept.get(name, torch.nan) for name in names], dtype=torch.float64))
    if bool(values[-1].isnan()):
        found, first = validate(task, batches, comm, precision)
        if comm.rank == 0 and draw and first is not None:
            with torch.no_grad(), precision.autocast():
                write_pictures(out / "pictures", task.pictures(first), task.fps)
                write_sounds(out / "sounds", task.sounds(first), task.sample_rate)
        if comm.rank == 0:
            write_json(path, {**wanted, "metrics": found})
    else:
        found = dict(zip(names, values.tolist(), strict=True))
    return {f"test/{name}": value for name, value in found.items() if not math.isnan(value)}


def _kept(path: Path, wanted: dict[str, object]) -> dict[str, float]:
    """What an earlier run measured of just this."""
    try:
        content = json.loads(path.read_text())
        return dict(content["metrics"]) if {name: content[name] for name in wanted} == wanted else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
