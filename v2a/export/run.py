"""A run's folder as a model: which stage, the weights of its last or best checkpoint, and what was measured."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from v2a.export.errors import ModelError
from v2a.training.agreement import weights_hash
from v2a.training.checkpoint import CheckpointError, Checkpoints, Saved, load_checkpoint
from v2a.training.stamp import FILE, read_stamp

_KEPT = ("validation/", "epoch/")


@dataclass(frozen=True)
class Run:
    """A checkpoint of a run.

    Attributes:
        folder: the run's.
        stamp: its `stage.json`.
        step: of the checkpoint.
        best: it is the one with the lowest validation loss.
        weights: the model's state, on the CPU.
        metrics: by name, as "test/psnr"; those that were measured at this step, and the epoch's before it.
    """

    folder: Path
    stamp: dict[str, Any]
    step: int
    best: bool
    weights: dict[str, torch.Tensor]
    metrics: dict[str, float]


def read_run(folder: Path, best: bool = False) -> Run:
    """The last or the best checkpoint of a run, verified.

    Raises:
        ModelError: no run, no checkpoint, or a damaged one.
    """
    saved, stamp = find_checkpoint(folder, best)
    try:
        state = load_checkpoint(saved.path, torch.device("cpu"))
        weights = dict(state["model"])
    except (CheckpointError, KeyError, TypeError) as error:
        raise ModelError(
            saved.path, f"is damaged ({error}). Go on with the training, or remove it to take the checkpoint before it"
        ) from None
    lowest = _checkpoints(folder).best()
    is_best = lowest is not None and lowest.step == saved.step
    return Run(
        Path(folder), stamp, saved.step, is_best, weights, read_metrics(folder, saved.step, weights_hash(weights))
    )


def find_checkpoint(folder: Path, best: bool = False) -> tuple[Saved, dict[str, Any]]:
    """Which checkpoint is meant, and the run's `stage.json`; the checkpoint's content is not looked at.

    Raises:
        ModelError: no run, or no checkpoint.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ModelError(folder, "is a file, where a run is a folder" if folder.exists() else "is not there")
    try:
        stamp = read_stamp(folder)
    except (ValueError, OSError) as error:
        raise ModelError(folder, f"cannot be read: {error}") from None
    if stamp is None:
        raise ModelError(folder, f"has no {FILE}, so it is no run of a training stage")
    checkpoints = _checkpoints(folder)
    every = checkpoints.all()
    if not every:
        raise ModelError(folder, "has no checkpoint yet; train until train.checkpoint_every steps are done")
    if not best:
        return every[-1], stamp
    found = checkpoints.best()
    if found is None:
        raise ModelError(folder, "has no checkpoint that was validated; leave --best out to take the last one")
    return found, stamp


def read_metrics(folder: Path, step: int, weights: str) -> dict[str, float]:
    """What the run wrote about this step: the validation at it, the last epoch before it, and the test when it was made with these
    weights (`weights_hash`)."""
    found: dict[str, float] = {}
    for line in _lines(Path(folder) / "metrics.jsonl"):
        kept = {name: value for name, value in line.items() if name.startswith(_KEPT)}
        at = line.get("step", step + 1)
        if at == step or (at < step and not any(name.startswith("validation/") for name in kept)):
            found |= kept
    try:
        test = json.loads((Path(folder) / "test.json").read_text())
        if test["step"] == step and test["weights"] == weights:
            found |= {f"test/{name}": float(value) for name, value in test["metrics"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass  # not tested yet
    return found


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """The records that can be read: a killed run may leave half a line, a broken disk anything."""
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return
    for line in text.splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and isinstance(record.get("step"), int):
            yield record


def _checkpoints(folder: Path) -> Checkpoints:
    return Checkpoints(Path(folder) / "checkpoints", keep=1)  # only read
