"""What each rank of Horovod's proof does: reduce tensors and gradients whose results are known beforehand.

    python -m hpc.build_horovod --check --prove     # starts two ranks under MPI and two under Gloo (hpc/build_horovod/prove.py)

Every answer has a closed form, so a rank that reduced nothing, or reduced twice, is found and not averaged away.
"""

import argparse
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def _rank(controller: str, ranks: int) -> str:
    """What each rank does; returns its line.

    Raises:
        ValueError: a reduction's result is not the known one, or the ranks are not the expected ones.
    """
    import horovod.torch as hvd
    import torch

    hvd.init()
    enabled = {"mpi": hvd.mpi_enabled(), "gloo": hvd.gloo_enabled()}
    if hvd.size() != ranks or not enabled[controller]:
        raise ValueError(f"expected {ranks} ranks over {controller}, but got {hvd.size()} ranks, controllers {enabled}")
    devices = [torch.device("cpu")]
    # NCCL refuses two ranks on one GPU: it is proven where each rank has its own.
    if hvd.nccl_built() and torch.cuda.device_count() >= ranks:
        devices.append(torch.device("cuda", hvd.local_rank()))
    for device in devices:
        _prove_sum(hvd, device)
        difference = _prove_gradient(hvd, device)
    names = " and ".join(device.type for device in devices)
    line = f"rank {hvd.rank()} of {ranks} over {controller}: proven on {names}: sum exact, averaged gradient = full batch's"
    hvd.shutdown()
    return f"{line} (difference {difference:.1e})"


def _prove_sum(hvd: Any, device: "torch.device") -> None:
    """Rank r gives (r + 1) * [0, 1, ..., 999]; the sum over n ranks is n (n + 1) / 2 times that, exact in float32."""
    import torch

    base = torch.arange(1000, dtype=torch.float32, device=device)  # [1000]
    total = hvd.allreduce(base * (hvd.rank() + 1), op=hvd.Sum, name=f"sum.{device.type}")  # [1000]
    expected = base * (hvd.size() * (hvd.size() + 1) // 2)
    if not torch.equal(total, expected):
        wrong = int((total != expected).sum())
        raise ValueError(
            f"rank {hvd.rank()}: {wrong} of 1000 sums on {device} are wrong, the last is {total[-1].item()}"
        )


def _prove_gradient(hvd: Any, device: "torch.device") -> float:
    """Each rank has its share of one batch; the averaged gradient must be the whole batch's. Returns the difference."""
    import torch

    torch.manual_seed(7)
    shares = torch.randn(hvd.size(), 4, 16, device=device)  # [rank, B, features]
    model = torch.nn.Linear(16, 3).to(device)
    with torch.no_grad():
        model.weight.add_(hvd.rank())  # ranks start apart, so that the broadcast is needed
    hvd.broadcast_parameters(model.state_dict(), root_rank=0)
    optimizer = hvd.DistributedOptimizer(
        torch.optim.SGD(model.parameters(), lr=0.1), named_parameters=model.named_parameters()
    )
    model(shares[hvd.rank()]).square().mean().backward()
    optimizer.synchronize()

    torch.manual_seed(7)
    torch.randn(hvd.size(), 4, 16, device=device)
    whole = torch.nn.Linear(16, 3).to(device)
    whole(shares.flatten(0, 1)).square().mean().backward()
    assert model.weight.grad is not None
    assert whole.weight.grad is not None
    difference = float((model.weight.grad - whole.weight.grad).abs().max())
    # float32 sums of at most 8 * 3 terms of order one, in another order: a few units in the last place.
    if difference > 1e-5:
        raise ValueError(
            f"rank {hvd.rank()}: the averaged gradient on {device} is {difference:.3g} off the full batch's"
        )
    return difference


def main() -> int:
    """Entry of one rank."""
    parser = argparse.ArgumentParser(description="one rank of the proof, started by --prove")
    parser.add_argument("--controller", choices=("mpi", "gloo"), required=True)
    parser.add_argument("--ranks", type=int, required=True)
    options = parser.parse_args()
    try:
        # One write with its newline: lines of two ranks that come at once must not mix.
        sys.stdout.write(_rank(options.controller, options.ranks) + "\n")
        sys.stdout.flush()
    except ValueError as error:
        print(f"proof failed: {error}", file=sys.stderr, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
