"""Which device a rank takes, and what it says when there is none."""

from __future__ import annotations

import pytest
import torch

from v2a.training.precision import pick_device


def with_gpus(monkeypatch: pytest.MonkeyPatch, count: int) -> list[int]:
    """As if there were so many; returns those that were set."""
    chosen: list[int] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    return chosen


@pytest.mark.parametrize("name", ["auto", "cuda"])
def test_each_rank_of_a_node_takes_its_own_gpu(monkeypatch: pytest.MonkeyPatch, name: str):
    chosen = with_gpus(monkeypatch, 4)
    assert [pick_device(name, rank) for rank in range(5)] == [torch.device("cuda", n) for n in (0, 1, 2, 3, 0)]
    assert chosen == [0, 1, 2, 3, 0]
    assert pick_device("cuda:2", 0) == torch.device("cuda", 2)
    assert pick_device("cpu", 1) == torch.device("cpu")


def test_without_a_gpu(monkeypatch: pytest.MonkeyPatch):
    with_gpus(monkeypatch, 0)
    assert pick_device("auto", 3) == torch.device("cpu")
    with pytest.raises(ValueError, match=r"expected a GPU for device=cuda, but torch sees none; device=auto takes"):
        pick_device("cuda", 0)


@pytest.mark.parametrize(
    ("name", "sentence"), [("cuda:4", "torch sees 2"), ("meta", "expected device=auto"), ("", "auto")]
)
def test_others_are_refused(monkeypatch: pytest.MonkeyPatch, name: str, sentence: str):
    with_gpus(monkeypatch, 2)
    with pytest.raises(ValueError, match=sentence):
        pick_device(name, 0)
