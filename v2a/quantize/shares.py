"""What each rank says of its share of a batch, and what all of them read from the sum."""

from __future__ import annotations

import torch

LENGTH = 3


def announce(z: torch.Tensor, spoiled: torch.Tensor) -> torch.Tensor:
    """Float64 [3] to be summed over ranks: encodings of this rank, their number squared, and 1 if they are spoiled.

    Args:
        z: this rank's, [B, D, S].
        spoiled: boolean scalar: they hold what is not finite, or so large that its square is not.
    """
    count = float(z.shape[0] * z.shape[2])
    header = torch.tensor([count, count * count, 0], dtype=torch.float64, device=z.device)
    header[2] = spoiled
    return header


def read(header: torch.Tensor, size: int) -> int | None:
    """Encodings of all ranks, from the sum over `size` ranks; None when any rank's are spoiled.

    Raises:
        ValueError: the shares differ (n ranks' numbers are equal just when n times the sum of squares is the square of the sum).
            All ranks read the same, so all raise.
    """
    total, squares, spoiled = (int(value) for value in header.tolist())
    if size * squares != total**2:
        raise ValueError(
            f"expected equal shares of the batch on all {size} ranks, but they hold different numbers of encodings, "
            f"{total} together; leave out the last, smaller batch"
        )
    return None if spoiled else total
