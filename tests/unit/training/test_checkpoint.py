"""Which checkpoints stay, and which is the best."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from v2a.comm import LocalComm
from v2a.training.checkpoint import CheckpointError, Checkpoints, file_hash, load_checkpoint

CPU = torch.device("cpu")
MODEL = {"model": {"weight": torch.zeros(3)}}


def steps(checkpoints: Checkpoints) -> list[int]:
    return [saved.step for saved in checkpoints.all()]


def test_a_loss_that_is_no_number_is_not_the_best(tmp_path: Path):
    checkpoints = Checkpoints(tmp_path, keep=1)
    for step, score in ((10, math.nan), (20, 0.1), (30, 0.2), (40, math.inf)):
        checkpoints.save(MODEL, step, score)
    best = checkpoints.best()
    assert best is not None
    assert best.step == 20
    assert steps(checkpoints) == [20, 40]


def test_what_is_passed_over_is_named_and_no_longer_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    Checkpoints(tmp_path, keep=2).save(MODEL, 100, None)
    Checkpoints(tmp_path, keep=2).save(MODEL, 150, 0.1)
    checkpoints = Checkpoints(tmp_path, keep=1)
    (tmp_path / "step-00000150.pt").write_bytes(b"damaged")
    found = checkpoints.load_latest(LocalComm(), CPU)
    assert found is not None
    assert found[1] == 100
    said = capsys.readouterr().out
    assert "checkpoint step-00000150.pt: its bytes are not those that were written; step-00000100.pt is used" in said
    checkpoints.save(MODEL, 120, None)
    assert steps(checkpoints) == [120]
    assert checkpoints.best() is None
    assert (tmp_path / "step-00000150.damaged").read_bytes() == b"damaged"


def test_steps_of_nine_digits(tmp_path: Path):
    checkpoints = Checkpoints(tmp_path, keep=3)
    for step in (99_999_999, 123_456_789):
        checkpoints.save(MODEL, step, None)
    found = checkpoints.load_latest(LocalComm(), CPU)
    assert found is not None
    assert found[1] == 123_456_789


def write(folder: Path, step: int, state: dict[str, object], noted: int | None = None) -> None:
    """A checkpoint whose note fits its bytes, whatever is in it."""
    path = folder / f"step-{step:08d}.pt"
    torch.save(state, path)
    note = {
        "step": step if noted is None else noted,
        "score": None,
        "bytes": path.stat().st_size,
        "xxh3": file_hash(path),
    }
    path.with_suffix(".json").write_text(json.dumps(note))


def rename(folder: Path, step: int, other: int) -> None:
    """Both files."""
    for suffix in (".pt", ".json"):
        (folder / f"step-{step:08d}{suffix}").rename(folder / f"step-{other:08d}{suffix}")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda folder: rename(folder, 20, 30), "step 30, its note 20, and its content 20"),
        (
            lambda folder: write(folder, 30, {"format": 1, "step": 20, **MODEL}),
            "step 30, its note 30, and its content 20",
        ),
        (lambda folder: write(folder, 30, {"format": 1, "step": 30, **MODEL}, noted=20), "step 30, its note 20, and"),
        (
            lambda folder: write(folder, 30, {"format": 1, **MODEL}, noted=20),
            "step 30, its note 20, and its content 20",
        ),
        (lambda folder: write(folder, 30, {"format": 1, "step": 30}), "it holds no model"),
        (lambda folder: write(folder, 30, {"format": 1, "step": 30, "model": None}), "it holds no model"),
    ],
)
def test_a_checkpoint_that_is_not_what_its_name_says_is_damaged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], spoil: Callable[[Path], None], reason: str
):
    """Though its bytes are those of its note."""
    checkpoints = Checkpoints(tmp_path, keep=3)
    for step in (10, 20):
        checkpoints.save(MODEL, step, None)
    spoil(tmp_path)
    with pytest.raises(CheckpointError, match=reason):
        load_checkpoint(tmp_path / "step-00000030.pt", CPU)
    found = checkpoints.load_latest(LocalComm(), CPU)
    assert found is not None
    assert found[1] == max(steps(checkpoints)) < 30
    assert f"step-{found[1]:08d}.pt is used, and that one put aside as step-00000030.damaged" in capsys.readouterr().out
    assert (tmp_path / "step-00000030.damaged").exists()


def test_checkpoints_of_before_steps_were_in_them_are_read(tmp_path: Path):
    write(tmp_path, 30, {"format": 1, **MODEL})
    found = Checkpoints(tmp_path, keep=3).load_latest(LocalComm(), CPU)
    assert found is not None
    assert found[1] == 30
    assert "step" not in found[0]
