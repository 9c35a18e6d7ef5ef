"""What a stage supplies to the training loop."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import torch
from torch import nn

Batch = Any  # what the stage's batches give
Sounds = Mapping[str, torch.Tensor]  # name → float [S], -1 to 1
Pictures = Mapping[str, torch.Tensor]  # name → uint8 [H, W, 3], or [T, H, W, 3] for a video


class Task(Protocol):
    """A network and how it is trained. All ranks hold one, with equal weights.

    Attributes:
        model: everything that is saved: trained parameters, and buffers such as a codebook's statistics.
        validation_sums: names of what `validate` sums; "loss" among them, by which the best checkpoint is chosen.
        fps: frames per second of videos among the pictures.
        sample_rate: of the sounds, Hz.
    """

    @property
    def model(self) -> nn.Module:
        """See above."""
        ...

    @property
    def validation_sums(self) -> tuple[str, ...]:
        """See above."""
        ...

    @property
    def fps(self) -> int:
        """See above."""
        ...

    @property
    def sample_rate(self) -> int:
        """See above."""
        ...

    def begin(self, batches: Iterator[Batch]) -> None:
        """Before the first step of a new run, on every rank: set what depends on the data. Nothing of it counts as trained on.

        Args:
            batches: this rank's, from the first on, without end.
        """
        ...

    def loss(self, batch: Batch, step: int) -> dict[str, torch.Tensor]:
        """One forward pass over this rank's batch.

        Returns:
            "loss", the scalar to be minimised, and other scalars to be recorded (means over ranks are).
        """
        ...

    def metrics(self) -> dict[str, float]:
        """More numbers for the record, equal on all ranks; called by all ranks when a record is made."""
        ...

    def epoch_end(self) -> dict[str, float]:
        """Numbers of the epoch that has just ended, equal on all ranks; what is counted over an epoch begins anew."""
        ...

    def validate(self, batch: Batch) -> dict[str, torch.Tensor]:
        """One batch of the validation split, without gradients: sums over its clips, and "clips", their number."""
        ...

    def pictures(self, batch: Batch) -> Pictures:
        """What a person looks at, from a batch of the validation split; rank 0 only."""
        ...

    def sounds(self, batch: Batch) -> Sounds:
        """What a person listens to, likewise; nothing for a stage without sound."""
        ...
