"""What stage `vqvae` must do on any number of ranks; each function is called on every rank with that rank's `Comm`.

The reference is an undisturbed run, or one rank with the whole batch, in the same process.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
import xxhash

from v2a.comm import Comm
from v2a.quantize.base import Quantizer
from v2a.stages import Context, load_config
from v2a.tasks import SerialTasks
from v2a.training.checkpoint import CheckpointError, Checkpoints
from v2a.training.loop import RanksDiffer
from v2a.vqvae.stage import run
from v2a.vqvae.task import VQVAETask

STEPS = 24
CLOCKS = ("clips_per_s", "step_ms", "data_wait", "gpu_share")
# Every period is another, so that they meet in all ways; codes die and restart soon; an epoch lasts five steps at most.
SETTINGS = (
    "preset=tiny", "model=paper", "crop=8", "quantizer.decay=0.5", "quantizer.restart_below=0.2", "train.batch=2",
    "train.accumulate=2", f"train.steps={STEPS}", "train.warmup=4", "train.log_every=4", "train.validate_every=9",
    "train.checkpoint_every=5", "train.workers=0", "train.precision=fp32",
)  # fmt: skip
KINDS = ("ema", "gradient")
# A codebook, or our network with a codebook for each of the two steps of a group: two groups in a clip, one in a crop.
NETWORKS: dict[str, tuple[str, ...]] = {
    **{kind: (f"quantizer={kind}",) for kind in KINDS},
    "residual": ("model=residual", "model.group=2", "model.channels=16", "model.dim=8", "quantizer.start_per_code=16"),
}


class Place:
    """Where a check works.

    Args:
        comm: of this rank.
        data: the dataset.
        folder: of this check, the same for all ranks.
    """

    def __init__(self, comm: Comm, data: Path, folder: Path) -> None:
        self.comm, self.data, self.folder = comm, data, folder

    def train(
        self, name: str, *settings: str, comm: Comm | None = None, should_stop: Callable[[], bool] = lambda: False
    ) -> dict[str, float]:
        """The stage in a folder of this name; it goes on from what is there."""
        comm = comm or self.comm
        out = self.folder / name
        out.mkdir(parents=True, exist_ok=True)
        config = load_config("vqvae", [*SETTINGS, f"data={self.data}", *settings])
        metrics = run(config, Context(comm, SerialTasks(), out, lambda _step, _metrics: None, should_stop))
        comm.barrier()
        return metrics

    def on_rank_0(self, act: Callable[[], object]) -> None:
        """While the others wait."""
        if self.comm.rank == 0:
            act()
        self.comm.barrier()

    def copy(self, name: str, other: str) -> None:
        """A run's folder, once more."""
        self.on_rank_0(lambda: shutil.copytree(self.folder / name, self.folder / other))


def left(out: Path, step: int = STEPS) -> dict[str, Any]:
    """All that a run left that no clock made: its checkpoint of a step, its records, its test."""
    state = torch.load(out / "checkpoints" / f"step-{step:08d}.pt", weights_only=True)
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    records = [{name: value for name, value in line.items() if name not in CLOCKS} for line in lines]
    test = json.loads((out / "test.json").read_text()) if (out / "test.json").exists() else None
    return {"state": state, "records": records, "test": test}


def differences(one: Any, two: Any, name: str = "") -> list[str]:
    """Names of what is not equal, bit for bit."""
    if isinstance(one, torch.Tensor) and isinstance(two, torch.Tensor):
        equal = one.dtype == two.dtype and one.shape == two.shape and one.numpy().tobytes() == two.numpy().tobytes()
        return [] if equal else [name]
    if isinstance(one, dict) and isinstance(two, dict) and list(one) == list(two):
        return [found for key in one for found in differences(one[key], two[key], f"{name}.{key}")]
    if isinstance(one, list) and isinstance(two, list) and len(one) == len(two):
        return [
            found for at, (a, b) in enumerate(zip(one, two, strict=True)) for found in differences(a, b, f"{name}.{at}")
        ]
    return [] if repr(one) == repr(two) else [f"{name}: {one!r} {two!r}"[:200]]  # repr: nan is nan, -0.0 is not 0.0


def asked_after(steps: int) -> Callable[[], bool]:
    """`should_stop` is asked once a step."""
    answers = iter([False] * steps)
    return lambda: next(answers, True)


@contextmanager
def changed(method: str, after: Callable[..., Any]) -> Iterator[None]:
    """`after(result, task, batch, step)` instead of what a method of the task returns."""
    true = getattr(VQVAETask, method)
    with patch.object(VQVAETask, method, lambda task, *given: after(true(task, *given), task, *given)):
        yield


@contextmanager
def noted_restarts() -> Iterator[list[int]]:
    """Number of codes of each restart."""
    numbers: list[int] = []
    true = Quantizer._restart

    def noting(quantizer: Quantizer, dead: torch.Tensor, encodings: torch.Tensor) -> None:
        numbers.append(len(dead))
        true(quantizer, dead, encodings)

    with patch.object(Quantizer, "_restart", noting):
        yield numbers


# --- resume -----------------------------------------------------------------------------------------------------------


def check_a_resumed_run_is_the_undisturbed_one(place: Place, network: str) -> None:
    """Stopped inside a window of records and inside an epoch, twice: everything is equal in the end."""
    settings = NETWORKS[network]
    with noted_restarts() as restarts:
        expected = place.train("whole", *settings)
    assert sum(restarts) > 0, "no code restarted: this run shows too little"
    assert expected["epoch/usage"] > 0
    for stop in (7, 11):
        stopped = place.train("parts", *settings, should_stop=asked_after(stop if stop == 7 else stop - 7))
        assert (stopped["step"], stopped["stopped"]) == (stop, 1)
    found = place.train("parts", *settings)
    assert differences(left(place.folder / "whole"), left(place.folder / "parts")) == []
    assert differences(expected, found) == []


def check_one_rank_that_is_asked_stops_all(place: Place) -> None:
    """At the same step, with a checkpoint of it."""
    last = place.comm.size - 1
    never = asked_after(10**6)
    found = place.train("run", should_stop=asked_after(6) if place.comm.rank == last else never)
    steps = torch.zeros(place.comm.size)
    steps[place.comm.rank] = found["step"]
    assert place.comm.all_reduce(steps).tolist() == [6.0] * place.comm.size
    assert left(place.folder / "run", step=6)["state"]["world"] == place.comm.size


def check_a_refused_resume_changes_nothing(place: Place) -> None:
    """Another seed is other clips: all ranks say so, and the folder says what it said."""
    place.train("run", should_stop=asked_after(3))
    files = [place.folder / "run" / name for name in ("stage.json", "metrics.jsonl")]
    before = [path.read_bytes() for path in files]
    place.comm.barrier()  # every rank has read
    with pytest.raises(ValueError, match="another order: the seed was 0 and is 1"):
        place.train("run", "train.seed=1")
    place.comm.barrier()
    assert [path.read_bytes() for path in files] == before


# --- ranks ------------------------------------------------------------------------------------------------------------


def check_ranks_that_differ_are_found(place: Place) -> None:
    """One number of one rank's codebook, in its last bit: no checkpoint is written."""

    def nudge(result: Any, task: VQVAETask, _batch: Any, step: int) -> Any:
        if step == 3 and place.comm.rank == place.comm.size - 1:
            row = task.model.quantizer.codebook.data[-1]
            row[-1] = torch.nextafter(row[-1], row[-1] + 1)
        return result

    with changed("loss", nudge), pytest.raises(RanksDiffer, match="at step 4 the ranks hold different weights"):
        place.train("run", "train.checkpoint_every=4", "quantizer.restart_below=0")
    place.comm.barrier()
    assert not (place.folder / "run" / "checkpoints").exists()


def _spoil(place: Place, first: int, steps: int) -> Callable[..., Any]:
    """The loss of the last rank is not a number at some steps."""

    def spoil(result: dict[str, torch.Tensor], _task: VQVAETask, _batch: Any, step: int) -> dict[str, torch.Tensor]:
        if first <= step < first + steps and place.comm.rank == place.comm.size - 1:
            result["loss"] = result["loss"] * float("nan")
        return result

    return spoil


def check_a_step_spoiled_on_one_rank_is_left_out_on_all(place: Place) -> None:
    """And counted; training goes on with finite weights, equal on all ranks, or no checkpoint would be there."""
    with changed("loss", _spoil(place, 6, 2)):
        found = place.train("run")
    assert (found["skipped"], found["step"]) == (2, STEPS)
    state = left(place.folder / "run")["state"]
    assert all(bool(torch.isfinite(value).all()) for value in state["model"].values())
    assert state["skipped"] == 2


def check_too_much_spoiled_on_one_rank_stops_all(place: Place) -> None:
    """With step and rank, by either policy."""
    last = place.comm.size - 1
    for name, settings, times in (
        ("stop", ["train.on_nan=stop"], ""),
        ("skips", ["train.max_skips=1"], " 2 times in a row"),
    ):
        step = 6 if name == "stop" else 7
        sentence = rf"not finite{times} at step {step} \(the loss of ranks {last} is not\); try a smaller train.lr"
        with changed("loss", _spoil(place, 6, 99)), pytest.raises(FloatingPointError, match=sentence):
            place.train(name, *settings)
    place.comm.barrier()


# --- damage -----------------------------------------------------------------------------------------------------------


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "flipped": _flip,
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "empty": lambda path: path.write_bytes(b""),
    "gone": Path.unlink,
    "without note": lambda path: path.with_suffix(".json").unlink(),
    "half a note": lambda path: path.with_suffix(".json").write_text('{"step": 2'),
    "another note": lambda path: path.with_suffix(".json").write_text("[]"),
}


def newest(out: Path, place: int = -1) -> Path:
    """The newest checkpoint, or an older one."""
    return sorted((out / "checkpoints").glob("*.pt"))[place]


def check_damaged_checkpoints_give_way_to_older_ones(place: Place) -> None:
    """In every way, on all ranks; the run that goes on from the older one ends as the undisturbed one."""
    place.train("whole")
    place.train("stopped", should_stop=asked_after(17))
    for name, damage in DAMAGES.items():
        place.copy("stopped", name)
        place.on_rank_0(lambda: damage(newest(place.folder / name)))  # noqa: B023 - called at once
        found = Checkpoints(place.folder / name / "checkpoints", keep=3).load_latest(place.comm, torch.device("cpu"))
        assert found is not None
        assert found[1] == 15, f"{name}: step {found[1]}"
    place.train("flipped", "train.keep=1")
    assert differences(left(place.folder / "whole"), left(place.folder / "flipped")) == []
    names = {path.name for path in (place.folder / "flipped" / "checkpoints").iterdir()}
    assert f"step-{STEPS:08d}.pt" in names, "what was damaged counted among those kept"
    assert "step-00000017.damaged" in names


def check_damage_that_one_rank_sees_makes_all_go_back(place: Place) -> None:
    """As with a file system that shows one node another file: the last rank has a folder of its own here."""
    last = place.comm.rank == place.comm.size - 1
    place.train("whole")
    place.train("run", should_stop=asked_after(17))
    place.copy("run", "other")
    if last:
        _flip(newest(place.folder / "other"))
    place.train("other" if last else "run")
    if not last or place.comm.size == 1:
        out = place.folder / ("other" if last else "run")
        assert differences(left(place.folder / "whole"), left(out)) == []


def check_nothing_sound_is_an_error(place: Place) -> None:
    """On all ranks, with each file and the way out."""
    place.train("run", "train.keep=2", should_stop=asked_after(17))
    place.copy("run", "notes")
    place.on_rank_0(lambda: [_flip(path) for path in (place.folder / "run" / "checkpoints").glob("*.pt")])
    notes = place.folder / "notes" / "checkpoints"
    place.on_rank_0(lambda: [path.write_text("[]") for path in notes.glob("*.json")])
    with pytest.raises(CheckpointError, match="none of the checkpoints"):
        place.train("notes")
    with pytest.raises(CheckpointError) as caught:
        place.train("run")
    for part in (
        "none of the checkpoints in",
        "step-00000017.pt: its bytes are not",
        "Remove that folder to begin anew",
    ):
        assert part in str(caught.value)


class _Evil:
    def __init__(self, made: Path) -> None:
        self.made = made

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.made),)


def check_code_in_a_checkpoint_is_not_run(place: Place) -> None:
    """Though size and checksum are those of its note."""
    made = place.folder / "made by a checkpoint"
    place.train("run", "train.keep=1", should_stop=asked_after(8))

    def smuggle() -> None:
        for path in (place.folder / "run" / "checkpoints").glob("*.pt"):
            torch.save({"format": 1, "model": _Evil(made)}, path)
            note = json.loads(path.with_suffix(".json").read_text())
            note |= {"bytes": path.stat().st_size, "xxh3": xxhash.xxh3_128(path.read_bytes()).hexdigest()}
            path.with_suffix(".json").write_text(json.dumps(note))

    place.on_rank_0(smuggle)
    with pytest.raises(CheckpointError, match="holds something other than tensors and numbers"):
        place.train("run")
    assert not made.exists()


CONTRACT: dict[str, Callable[[Place], None]] = {
    **{f"resumed {name}": partial(check_a_resumed_run_is_the_undisturbed_one, network=name) for name in NETWORKS},
    "refused": check_a_refused_resume_changes_nothing,
    "stop": check_one_rank_that_is_asked_stops_all,
    "spoiled": check_a_step_spoiled_on_one_rank_is_left_out_on_all,
    "too much spoiled": check_too_much_spoiled_on_one_rank_stops_all,
    "damaged": check_damaged_checkpoints_give_way_to_older_ones,
    "damaged for one": check_damage_that_one_rank_sees_makes_all_go_back,
    "nothing sound": check_nothing_sound_is_an_error,
    "code": check_code_in_a_checkpoint_is_not_run,
}
