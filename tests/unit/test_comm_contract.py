"""The contract of `Comm` on `LocalComm`; tests/distributed/test_comm.py runs the same on Horovod."""

from collections.abc import Callable

import pytest
import torch

from tests.contracts.comm import CONTRACT
from v2a.comm import Comm, LocalComm


@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
def test_local_comm_keeps_the_contract(check: Callable[[Comm], None]):
    check(LocalComm())
    assert isinstance(LocalComm(), Comm)


class _Aliasing(LocalComm):
    def all_reduce(self, tensor: torch.Tensor, reduction: str = "sum") -> torch.Tensor:  # noqa: ARG002
        return tensor


class _OffByOne(LocalComm):
    def all_reduce(self, tensor: torch.Tensor, reduction: str = "sum") -> torch.Tensor:  # noqa: ARG002
        return tensor.clone() + 1


class _Unchecked(LocalComm):
    def broadcast(self, tensor: torch.Tensor, root: int = 0) -> torch.Tensor:  # noqa: ARG002
        return tensor.clone()


class _Doubling(LocalComm):
    def wrap_optimizer(self, optimizer, named_parameters, passes=1, compression="none"):  # type: ignore[no-untyped-def]
        named = list(named_parameters)
        for _, parameter in named:
            parameter.register_hook(lambda gradient: 2 * gradient)
        return super().wrap_optimizer(optimizer, named, passes, compression)


@pytest.mark.parametrize(
    ("comm", "broken"),
    [
        (_Aliasing(), {"check_results_are_new_tensors", "check_unknown_reductions_are_refused"}),
        (
            _OffByOne(),
            {
                "check_layout",
                "check_sum",
                "check_maximum",
                "check_dtypes_and_shapes_are_kept",
                "check_views_are_reduced_as_they_look",
                "check_barrier_waits_for_the_last",
                "check_unknown_reductions_are_refused",
                "check_a_wrapped_optimizer_goes_on_step_after_step",
            },
        ),
        (_Unchecked(), {"check_roots_out_of_range_are_refused"}),
        (_Doubling(), {"check_gradients_are_averaged", "check_two_passes_under_a_loss_scale"}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_contract_finds_broken_comms(comm: Comm, broken: set[str]):
    found = set()
    for check in CONTRACT:
        try:
            check(comm)
        except (AssertionError, RuntimeError, pytest.fail.Exception):
            found.add(check.__name__)
    assert found == broken
