"""The training loop: where it starts from, when it stops, what it says, and what it refuses."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest
import torch
from torch import nn

from v2a.comm import Comm, LocalComm
from v2a.stages import Context
from v2a.tasks import SerialTasks
from v2a.training import Task, broadcast_parameters, ranks_agree, train


class _Log:
    def __init__(self) -> None:
        self.reports: list[tuple[int, dict[str, float]]] = []

    def __call__(self, step: int, metrics: Mapping[str, float]) -> None:
        self.reports.append((step, dict(metrics)))


def _context(comm: Comm | None = None, should_stop: object = None, report: object = None) -> Context:
    return Context(
        comm or LocalComm(), SerialTasks(), Path("/nowhere"), report or _Log(), should_stop or (lambda: False)
    )  # type: ignore[arg-type]


def _task(loss: object = None) -> tuple[Task, torch.optim.Optimizer]:
    """One weight of 4 and the loss weight²: with SGD of rate 0.25 it halves at every step."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 4.0)
    square = lambda step: model.weight.square().sum()  # noqa: E731
    return Task(model, loss or square), torch.optim.SGD(model.parameters(), lr=0.25)  # type: ignore[arg-type]


def test_metrics_are_the_first_and_the_last_loss():
    task, optimizer = _task()
    log = _Log()
    metrics = train(task, optimizer, 3, _context(report=log))
    assert metrics == {"step": 3, "stopped": 0.0, "loss_first": 16.0, "loss": 1.0}
    assert log.reports == [(1, {"loss": 16.0}), (2, {"loss": 4.0}), (3, {"loss": 1.0})]
    assert task.model.weight.item() == 0.5


def test_the_loss_gets_the_steps_number():
    task, optimizer = _task()
    seen = []

    def loss(step: int) -> torch.Tensor:
        seen.append(step)
        return task.model.weight.sum()

    train(Task(task.model, loss), optimizer, 4, _context())
    assert seen == [0, 1, 2, 3]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_loss_that_is_not_finite_is_an_error_with_its_step(value: float):
    task, optimizer = _task()
    losses = Task(task.model, lambda step: task.model.weight.sum() * (value if step == 2 else 1.0))
    log = _Log()
    with pytest.raises(FloatingPointError, match=rf"^the loss is {value} at step 2; try a smaller learning rate$"):
        train(losses, optimizer, 5, _context(report=log))
    assert len(log.reports) == 2
    assert bool(torch.isfinite(task.model.weight).all()), "the weights of the step before are not spoilt"


@pytest.mark.parametrize("stop_after", [0, 1, 3])
def test_it_stops_at_a_steps_boundary(stop_after: int):
    """A signal only sets a flag; the step that runs is finished, and the metrics say how far it came."""
    log = _Log()
    task, optimizer = _task()
    metrics = train(task, optimizer, 10, _context(report=log, should_stop=lambda: len(log.reports) >= stop_after))
    assert metrics["step"] == stop_after
    assert len(log.reports) == stop_after
    assert task.model.weight.item() == 4.0 / 2**stop_after


class _Peer(LocalComm):
    """Rank 0 of two whose peer is made up: what the peer gives is `peer(tensor)`, its gradients are this rank's."""

    size = 2

    def __init__(self, peer: object) -> None:
        self.peer = peer

    def all_reduce(self, tensor: torch.Tensor, reduction: str = "sum") -> torch.Tensor:
        other = self.peer(tensor)  # type: ignore[operator]
        return tensor + other if reduction == "sum" else torch.maximum(tensor, other)


def test_one_rank_that_is_asked_to_stop_stops_all():
    task, optimizer = _task()
    stopping = iter([False, False, True])

    def peer(tensor: torch.Tensor) -> torch.Tensor:
        is_flag = tensor.ndim == 0 and tensor.item() in (0.0, 1.0)
        return torch.tensor(float(next(stopping))) if is_flag else tensor

    task = Task(task.model, lambda step: task.model.weight.square().sum() + 100)
    assert train(task, optimizer, 10, _context(_Peer(peer)))["step"] == 2


def test_the_loss_is_the_mean_over_ranks():
    task, optimizer = _task()
    task = Task(task.model, lambda step: 0 * task.model.weight.sum() + 6)
    metrics = train(
        task, optimizer, 1, _context(_Peer(lambda tensor: torch.zeros_like(tensor) if tensor != 6 else tensor / 3))
    )
    assert metrics["loss"] == 4.0


def test_a_loss_that_is_not_finite_on_another_rank_is_an_error_here_too():
    task, optimizer = _task()
    peer = _Peer(lambda tensor: torch.zeros_like(tensor) if tensor == 0 else torch.full_like(tensor, float("nan")))
    with pytest.raises(FloatingPointError, match="the loss is nan at step 0"):
        train(task, optimizer, 1, _context(peer))


class _FromRoot(LocalComm):
    """Rank 1 of two: rank 0's tensors hold 7."""

    rank, size = 1, 2

    def broadcast(self, tensor: torch.Tensor, root: int = 0) -> torch.Tensor:
        assert root == 0
        return torch.full_like(tensor, 7)

    def wrap_optimizer(
        self, optimizer: torch.optim.Optimizer, named_parameters: Iterable[tuple[str, nn.Parameter]]
    ) -> torch.optim.Optimizer:
        self.wrapped = [name for name, _ in named_parameters]
        return optimizer


def test_every_rank_starts_from_rank_0():
    model = nn.BatchNorm1d(3)  # its running statistics are buffers, and one of them counts in whole numbers
    parameters = list(model.parameters())
    broadcast_parameters(model, _FromRoot())
    assert all(bool((tensor == 7).all()) for tensor in [*model.parameters(), *model.buffers()])
    assert all(a is b for a, b in zip(parameters, model.parameters(), strict=True)), "the optimizer holds the old ones"


def test_training_starts_from_rank_0_and_averages_every_gradient():
    task, optimizer = _task()
    comm = _FromRoot()
    seen = []

    def loss(step: int) -> torch.Tensor:
        seen.append(task.model.weight.item())
        return task.model.weight.sum()

    train(Task(task.model, loss), optimizer, 1, _context(comm))
    assert seen == [7.0]
    assert comm.wrapped == ["weight"]


@pytest.mark.parametrize(
    ("off", "agree"), [(0.0, True), (2.0**-22, False), (float("nan"), False)], ids=["same", "last bit", "nan"]
)
def test_ranks_agree_only_bit_for_bit(off: float, agree: bool):
    model = nn.Linear(2, 2)
    nn.init.constant_(model.weight, 1.0)
    nn.init.constant_(model.bias, 2.0)

    def peer(tensor: torch.Tensor) -> torch.Tensor:
        """The other rank's weights, or their negatives when this rank gives its own negatives; they are 1 and 2."""
        other = tensor.clone()
        other[2] += off if other[2] > 0 else -off
        return other

    assert ranks_agree(model, _Peer(peer)) is agree
