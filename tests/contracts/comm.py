"""What every implementation of `v2a.comm.Comm` must do; each function is called on every rank with that rank's `Comm`.

The answers are closed forms of rank and size, so that one rank and many are checked by the same lines.
"""

import time
from collections.abc import Callable

import pytest
import torch
from torch import nn

from v2a.comm import Averaged, Comm

REDUCED_DTYPES = (torch.float32, torch.float64, torch.float16, torch.int64, torch.int32)
BROADCAST_DTYPES = (
    *REDUCED_DTYPES,
    torch.uint8,
    torch.bool,
)  # torch's random state is uint8; Horovod reduces no such bytes


def check_layout(comm: Comm) -> None:
    """Rank and local rank lie within the world, and all ranks are different ones."""
    assert isinstance(comm, Comm)
    assert 0 <= comm.rank < comm.size
    assert 0 <= comm.local_rank <= comm.rank
    present = torch.zeros(comm.size)
    present[comm.rank] = 1
    assert comm.all_reduce(present, "sum").tolist() == [1.0] * comm.size


def check_sum(comm: Comm) -> None:
    """Ranks 1 to n sum to n (n + 1) / 2, and sum is the default."""
    expected = comm.size * (comm.size + 1) / 2
    mine = torch.full((2, 3), comm.rank + 1.0)
    assert comm.all_reduce(mine, "sum").tolist() == [[expected] * 3] * 2
    assert comm.all_reduce(mine).tolist() == [[expected] * 3] * 2


def check_maximum(comm: Comm) -> None:
    """The largest of rank, of -rank, and of what only one rank has, element by element."""
    spike = torch.zeros(comm.size)
    spike[comm.rank] = 5.0
    assert comm.all_reduce(torch.tensor([comm.rank, -comm.rank]), "max").tolist() == [comm.size - 1, 0]
    assert comm.all_reduce(spike, "max").tolist() == [5.0] * comm.size


def check_broadcast_from_every_root(comm: Comm) -> None:
    """Every rank gets the root's tensor, whoever the root is; rank 0 is the default."""
    for root in range(comm.size):
        assert comm.broadcast(torch.tensor([comm.rank, 7]), root).tolist() == [root, 7]
    assert comm.broadcast(torch.tensor(float(comm.rank + 3))).item() == 3.0


def check_results_are_new_tensors(comm: Comm) -> None:
    """What was given stays as it was, and writing into a result does not reach it."""
    for collective in (lambda t: comm.all_reduce(t, "sum"), lambda t: comm.all_reduce(t, "max"), comm.broadcast):
        given = torch.arange(4.0) + comm.rank
        result = collective(given)
        assert result.data_ptr() != given.data_ptr()
        result.fill_(-1)
        assert given.tolist() == (torch.arange(4.0) + comm.rank).tolist()


def check_dtypes_and_shapes_are_kept(comm: Comm) -> None:
    """Of numbers of every kind, scalars too."""
    for shape in ((), (3,), (2, 1, 2)):
        for dtype in REDUCED_DTYPES:
            given = torch.ones(shape, dtype=dtype)
            for reduction, expected in (("sum", comm.size), ("max", 1)):
                result = comm.all_reduce(given, reduction)
                assert (result.dtype, result.shape) == (dtype, given.shape)
                assert bool((result == expected).all())
        for dtype in BROADCAST_DTYPES:
            given = torch.full(shape, comm.rank + 1).to(dtype)
            result = comm.broadcast(given)
            assert (result.dtype, result.shape) == (dtype, given.shape)
            assert bool((result == 1).all())


def check_views_are_reduced_as_they_look(comm: Comm) -> None:
    """A transposed tensor and a column are not contiguous in memory."""
    grid = torch.arange(6.0).reshape(2, 3) * (comm.rank + 1)
    total = comm.size * (comm.size + 1) / 2
    expected = torch.arange(6.0).reshape(2, 3)
    assert comm.all_reduce(grid.t(), "sum").tolist() == (expected.t() * total).tolist()
    assert comm.all_reduce(grid[:, 1], "max").tolist() == (expected[:, 1] * comm.size).tolist()
    assert comm.broadcast(grid.t()).tolist() == expected.t().tolist()


def check_barrier_waits_for_the_last(comm: Comm) -> None:
    """No rank leaves before the last one has come: it comes 0.3 s late, on a clock that the ranks of one machine share."""
    comm.barrier()
    if comm.rank == comm.size - 1:
        time.sleep(0.3)
    came = time.monotonic()
    comm.barrier()
    left = time.monotonic()
    last_came = comm.all_reduce(torch.tensor(came, dtype=torch.float64), "max").item()
    assert left >= last_came


def check_unknown_reductions_are_refused(comm: Comm) -> None:
    """On every rank, before anything is sent: no rank waits for one that raised."""
    with pytest.raises(ValueError, match="expected the reduction sum or max, but got 'mean'"):
        comm.all_reduce(torch.ones(1), "mean")  # type: ignore[arg-type]


def check_roots_out_of_range_are_refused(comm: Comm) -> None:
    """On every rank, before anything is sent."""
    for root in (-1, comm.size):
        with pytest.raises(ValueError, match=f"expected a root rank from 0 to {comm.size - 1}, but got {root}"):
            comm.broadcast(torch.ones(1), root)


def _network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 1))


def _batch(size: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(size, 5, generator=generator), torch.randn(size, 1, generator=generator)


def _step(averaged: Averaged) -> None:
    averaged.average()
    with averaged.stepping():
        averaged.optimizer.step()


def check_gradients_are_averaged(comm: Comm) -> None:
    """Each rank's gradient of its share, averaged over ranks, is the gradient of the whole batch."""
    share = 4
    inputs, targets = _batch(share * comm.size)
    mine = slice(comm.rank * share, (comm.rank + 1) * share)
    network = _network()
    averaged = comm.wrap_optimizer(torch.optim.SGD(network.parameters(), lr=1.0), network.named_parameters())
    before = [parameter.detach().clone() for parameter in network.parameters()]
    nn.functional.mse_loss(network(inputs[mine]), targets[mine]).backward()
    _step(averaged)
    whole = _network()
    nn.functional.mse_loss(whole(inputs), targets).backward()
    for old, new, reference in zip(before, network.parameters(), whole.parameters(), strict=True):
        # SGD of rate 1 moves by the gradient. Gradients here are below 4, weights below 1, so a move carries the rounding
        # of a handful of fp32 sums of that size: 1e-6 is some ten units in the last place, a wrong average is off by 0.01.
        torch.testing.assert_close(old - new.detach(), reference.grad, rtol=0, atol=1e-6)


def check_a_wrapped_optimizer_goes_on_step_after_step(comm: Comm) -> None:
    """Three steps with momentum: all ranks hold the same weights, bit for bit, and those are not the first ones."""
    network = _network()
    first = [parameter.detach().clone() for parameter in network.parameters()]
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    averaged = comm.wrap_optimizer(optimizer, network.named_parameters())
    for step in range(3):
        inputs = torch.full((2, 5), 1.0 + comm.rank + step)
        averaged.optimizer.zero_grad()
        network(inputs).square().mean().backward()
        _step(averaged)
    for old, new in zip(first, network.parameters(), strict=True):
        flat = new.detach()
        assert not torch.equal(old, flat)
        assert torch.equal(comm.all_reduce(flat, "max"), -comm.all_reduce(-flat, "max"))


def check_two_passes_under_a_loss_scale(comm: Comm) -> None:
    """As on GPUs: gradients of two passes are averaged as one; what overflows on one rank is left out on all, and then goes on."""
    network, optimizer_of = _network(), lambda network: torch.optim.SGD(network.parameters(), lr=1.0)
    averaged = comm.wrap_optimizer(optimizer_of(network), network.named_parameters(), passes=2)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    inputs, targets = _batch(4 * comm.size)
    whole = _network()
    plain = optimizer_of(whole)
    for overflow in (False, True, False):
        averaged.optimizer.zero_grad()
        for part in range(2):
            mine = slice(4 * comm.rank + 2 * part, 4 * comm.rank + 2 * part + 2)
            loss = nn.functional.mse_loss(network(inputs[mine]), targets[mine]) / 2
            # 1e37 is a number, and 1,024 times that is none.
            scaler.scale(loss * (1e37 if overflow and comm.rank == comm.size - 1 else 1.0)).backward()
        averaged.average()
        scaler.unscale_(averaged.optimizer)
        before = [parameter.detach().clone() for parameter in network.parameters()]
        with averaged.stepping():
            scaler.step(averaged.optimizer)
        scaler.update()
        moved = [not torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True)]
        assert moved == [not overflow] * len(moved)
        if not overflow:
            plain.zero_grad()
            nn.functional.mse_loss(whole(inputs), targets).backward()
            plain.step()
    assert scaler.get_scale() == 512
    for ours, reference in zip(network.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(ours, reference, rtol=0, atol=1e-5)  # as above, twice


CONTRACT: tuple[Callable[[Comm], None], ...] = (
    check_layout,
    check_sum,
    check_maximum,
    check_broadcast_from_every_root,
    check_results_are_new_tensors,
    check_dtypes_and_shapes_are_kept,
    check_views_are_reduced_as_they_look,
    check_barrier_waits_for_the_last,
    check_unknown_reductions_are_refused,
    check_roots_out_of_range_are_refused,
    check_gradients_are_averaged,
    check_a_wrapped_optimizer_goes_on_step_after_step,
    check_two_passes_under_a_loss_scale,
)


def check_ranks_of_different_shapes_raise(comm: Comm) -> None:
    """Ranks that disagree get an error, all of them, and do not wait for each other."""
    with pytest.raises(Exception, match=r"(?i)mismatch|shape|differ"):
        comm.all_reduce(torch.ones(2 + comm.rank), "sum")


def check_ranks_of_different_dtypes_raise(comm: Comm) -> None:
    """The same for the kind of number."""
    with pytest.raises(Exception, match=r"(?i)mismatch|type|differ"):
        comm.all_reduce(torch.ones(2, dtype=REDUCED_DTYPES[comm.rank % 2]), "sum")


# With one rank there is nobody to disagree with. Last: an error may be the end of the connection.
CONTRACT_OF_SEVERAL: tuple[Callable[[Comm], None], ...] = (
    check_ranks_of_different_shapes_raise,
    check_ranks_of_different_dtypes_raise,
)
