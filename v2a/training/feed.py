"""Where batches come from, as the training loop sees it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from v2a.training.task import Batch


class Feed(Protocol):
    """This rank's share of an endless stream of batches, and of the validation split."""

    def batches(self) -> Iterator[Batch]:
        """From the present position on, without end; reads ahead as it likes."""
        ...

    def advance(self) -> None:
        """A batch was used: the position moves by one."""
        ...

    @property
    def epoch(self) -> float:
        """Epochs used, with their fraction."""
        ...

    @property
    def clips(self) -> int:
        """Clips of one batch of this rank."""
        ...

    def validation(self) -> Iterable[Batch]:
        """This rank's part of the validation split, in a fixed order."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """The position, equal on all ranks."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there, at this world size or another.

        Raises:
            ValueError: the state is of another dataset or seed.
        """
        ...
