"""The order in which clips are seen: a function of seed, epoch and position alone.

Nothing here depends on a library's random generator, whose stream may change with its version: a run that is resumed years
later continues in the same order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt


class Draw(NamedTuple):
    """A clip in an epoch: what the sampler hands to the dataset."""

    epoch: int
    clip: int


def permutation(size: int, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    """All numbers 0 to size - 1, shuffled: `[size]`. Sorted by a hash of each number."""
    return np.argsort(_hashes(np.arange(size, dtype=np.uint64), "order", seed, epoch), kind="stable")


def crop_starts(draws: Sequence[Draw], room: npt.NDArray[np.int64], seed: int) -> npt.NDArray[np.int64]:
    """Where the crop of each clip begins: `[n]`, 0 to `room` `[n]`, each equally likely, whatever the other draws are."""
    starts = np.zeros(len(draws), np.int64)
    for epoch in {draw.epoch for draw in draws}:
        own = np.array([draw.epoch == epoch for draw in draws])
        clips = np.array([draw.clip for draw in draws if draw.epoch == epoch], np.uint64)
        starts[own] = (_hashes(clips, "crop", seed, epoch) >> np.uint64(11)).astype(np.int64) % (room[own] + 1)
    return starts


class ShuffledBatches:
    """Batches without end for training, as DataLoader's `batch_sampler`.

    The permutations of epoch 0, 1, … stand one after the other. A step takes the next world * batch places of this row, and
    each rank its slice of them. So every clip is seen exactly once in an epoch, every rank has a full batch at every step,
    and another world size changes only how the same row is cut.

    What was trained on is counted by the caller, with `advance`: a loader's workers fetch ahead of it.

    Args:
        clips: number of clips, the dataset's length.
        seed: of the shuffle.
        batch: clips of a step on each rank.
        rank: which process this is.
        world: of how many.
        identity: of the dataset, so that a state is not loaded with another one.

    Attributes:
        samples_seen: places of the row that were trained on, by all ranks together.
    """

    def __init__(  # noqa: PLR0913 - settings by name
        self, clips: int, *, seed: int, batch: int, rank: int = 0, world: int = 1, identity: str = ""
    ) -> None:
        if clips < 1:
            raise ValueError(
                "expected at least one clip to train on, but the dataset has none: see its splits and filters"
            )
        _check_ranks(batch, rank, world)
        self.clips = clips
        self.seed = seed
        self.samples_seen = 0
        self._batch = batch
        self._rank = rank
        self._world = world
        self._identity = identity

    def __iter__(self) -> Iterator[list[Draw]]:
        """This rank's batches, from `samples_seen` on."""
        place = self.samples_seen
        epoch, order = -1, permutation(0, 0, 0)
        while True:
            batch = []
            for at in range(place + self._rank * self._batch, place + (self._rank + 1) * self._batch):
                if at // self.clips != epoch:
                    epoch = at // self.clips
                    order = permutation(self.clips, self.seed, epoch)
                batch.append(Draw(epoch, int(order[at % self.clips])))
            yield batch
            place += self._world * self._batch

    @property
    def epoch(self) -> int:
        """Whole epochs that were trained on."""
        return self.samples_seen // self.clips

    @property
    def position(self) -> int:
        """Clips of the current epoch that were trained on, 0 to clips - 1."""
        return self.samples_seen % self.clips

    def advance(self, steps: int = 1) -> None:
        """Call after training on so many steps."""
        self.samples_seen += steps * self._world * self._batch

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint holds. The same on all ranks, and good for any number of them."""
        return {
            "clips": self.clips, "identity": self._identity, "seed": self.seed, "samples_seen": self.samples_seen,
        }  # fmt: skip

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where the state was taken; iterators that exist do not move.

        Raises:
            ValueError: not such a state, or of another dataset or seed.
        """
        own = self.state_dict()
        if set(state) != set(own):
            raise ValueError(f"expected a state with {', '.join(own)}, but got {', '.join(state) or 'nothing'}")
        seen = state["samples_seen"]
        if not isinstance(seen, int) or seen < 0:
            raise ValueError(f"expected samples_seen from 0 on, but got {seen!r}")
        for name, what in (("clips", "a dataset of so many clips"), ("identity", "the dataset"), ("seed", "the seed")):
            if state[name] != own[name]:
                raise ValueError(
                    f"the state belongs to another order: {what} was {state[name]!r} and is {own[name]!r}. "
                    "Continue with the same dataset, split, filters and seed, or start a new run"
                )
        self.samples_seen = seen


class OrderedBatches:
    """Every clip once, for validation, as DataLoader's `batch_sampler`: each rank has a range of them, some one clip more.

    Args: as of `ShuffledBatches`. The last batch of a rank may be smaller. Crops are those of epoch 0.
    """

    def __init__(self, clips: int, *, batch: int, rank: int = 0, world: int = 1) -> None:
        _check_ranks(batch, rank, world)
        self._clips = range(clips * rank // world, clips * (rank + 1) // world)
        self._batch = batch

    def __len__(self) -> int:
        return (len(self._clips) + self._batch - 1) // self._batch

    def __iter__(self) -> Iterator[list[Draw]]:
        for start in range(0, len(self._clips), self._batch):
            yield [Draw(0, clip) for clip in self._clips[start : start + self._batch]]


def _check_ranks(batch: int, rank: int, world: int) -> None:
    if batch < 1:
        raise ValueError(f"expected a batch of at least one clip, but got batch={batch}")
    if not 0 <= rank < world:
        raise ValueError(f"expected a rank from 0 to {world - 1}, but got rank={rank}")


def _hashes(numbers: npt.NDArray[np.uint64], use: str, seed: int, epoch: int) -> npt.NDArray[np.uint64]:
    """A hash of each number, for one use, seed and epoch: SplitMix64 (Steele, Lea and Flood 2014), each number its own stream."""
    key = int.from_bytes(hashlib.sha256(f"{use} {seed} {epoch}".encode()).digest()[:8], "little")
    mixed = (numbers + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(key)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    result: npt.NDArray[np.uint64] = mixed ^ (mixed >> np.uint64(31))
    return result
