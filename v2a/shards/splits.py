"""Which split a video belongs to: a function of its group alone, so that videos added later move none."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


@dataclass(frozen=True)
class Splits:
    """The part of the videos, 0 to 1, for validation and for test; the rest is for training."""

    validation: float = 0.1
    test: float = 0.1

    def __post_init__(self) -> None:
        """Refuse what leaves nothing to train on."""
        for name, part in (("validation", self.validation), ("test", self.test)):
            if not 0 <= part < 1:
                raise ValueError(f"expected a part of 0 up to 1 for {name}, but got {name}={part}")
        if self.validation + self.test >= 1:
            raise ValueError(
                f"expected validation and test to leave videos for training, but {self.validation} + {self.test} do not"
            )


def split_of(group: str, splits: Splits) -> Split:
    """The split of all videos of a group; the same for ever."""
    digest = hashlib.sha256(group.encode("utf-8", "surrogatepass")).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
    if place < splits.test:
        return "test"
    return "validation" if place < splits.test + splits.validation else "train"
