"""Which checkpoints stay, and which is the best."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from v2a.comm import LocalComm
from v2a.training.checkpoint import Checkpoints

CPU = torch.device("cpu")


def steps(checkpoints: Checkpoints) -> list[int]:
    return [saved.step for saved in checkpoints.all()]


def test_a_loss_that_is_no_number_is_not_the_best(tmp_path: Path):
    checkpoints = Checkpoints(tmp_path, keep=1)
    for step, score in ((10, math.nan), (20, 0.1), (30, 0.2), (40, math.inf)):
        checkpoints.save({"step": step}, step, score)
    best = checkpoints.best()
    assert best is not None
    assert best.step == 20
    assert steps(checkpoints) == [20, 40]


def test_what_is_passed_over_is_named_and_no_longer_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    Checkpoints(tmp_path, keep=2).save({"step": 100}, 100, None)
    Checkpoints(tmp_path, keep=2).save({"step": 150}, 150, 0.1)
    checkpoints = Checkpoints(tmp_path, keep=1)
    (tmp_path / "step-00000150.pt").write_bytes(b"damaged")
    found = checkpoints.load_latest(LocalComm(), CPU)
    assert found is not None
    assert found[1] == 100
    said = capsys.readouterr().out
    assert "checkpoint step-00000150.pt: its bytes are not those that were written; step-00000100.pt is used" in said
    checkpoints.save({"step": 120}, 120, None)
    assert steps(checkpoints) == [120]
    assert checkpoints.best() is None
    assert (tmp_path / "step-00000150.damaged").read_bytes() == b"damaged"


def test_steps_of_nine_digits(tmp_path: Path):
    checkpoints = Checkpoints(tmp_path, keep=3)
    for step in (99_999_999, 123_456_789):
        checkpoints.save({"step": step}, step, None)
    found = checkpoints.load_latest(LocalComm(), CPU)
    assert found is not None
    assert found[1] == 123_456_789
