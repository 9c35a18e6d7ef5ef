"""Clips, or random crops of them, as torch tensors."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from torch.utils.data import Dataset

from v2a.loading.batch import Sample, Samples, empty_batch
from v2a.loading.catalog import read_catalog
from v2a.loading.opened import OpenShards
from v2a.loading.order import Draw, crop_start
from v2a.shards.errors import ShardError
from v2a.shards.records import ClipRow

_log = logging.getLogger(__name__)
_MOST_DAMAGED = 100  # in a row: then it is not this clip, but the disk


class ClipDataset(Dataset[Sample]):
    """The clips of a split, each once.

    Takes a clip's number, or a `Draw` of epoch and clip from a sampler; the epoch moves the crop. A sample is a dict:

        video   uint8 [T, H, W, 3], as stored; `as_float` makes a model's input of it, on the device
        audio   int16 [S], the sound of just these frames; only with `with_audio`
        clip    number of the clip
        start   first frame of the crop within the clip
        frames  real frames in it; after them the last one is repeated

    Args:
        folder: a dataset with its manifest.
        split: "train", "validation", "test", or "all".
        frames: length of random crops, which lie within the real frames of a clip; clips with fewer are left out. None: whole clips.
        seed: of the crops.
        with_audio: read the sound.
        need_audio: leave out clips of videos without sound.
        on_damage: "raise" a `ShardError` that names shard and clip; or "skip": the next sound clip stands in, and `skipped`
            of the batch counts it.
        open_files: shards that a process holds open.

    Attributes:
        geometry: of the clips.
        left_out: clips of the split that are not in the dataset, by reason.
        identity: hash of which clips these are, for the sampler's state.
        skipped: damaged clips that this process met; workers count their own, which batches carry.
    """

    def __init__(  # noqa: PLR0913 - settings by name
        self,
        folder: Path,
        split: str = "train",
        *,
        frames: int | None = None,
        seed: int = 0,
        with_audio: bool = True,
        need_audio: bool = False,
        on_damage: Literal["raise", "skip"] = "raise",
        open_files: int = 64,
    ) -> None:
        if on_damage not in ("raise", "skip"):
            raise ValueError(f"expected on_damage raise or skip, but got {on_damage!r}")
        self._catalog = read_catalog(Path(folder), split, least_frames=frames or 1, need_audio=need_audio)
        self.geometry = self._catalog.geometry
        if frames is not None and not 1 <= frames <= self.geometry.frames:
            raise ValueError(f"expected crops of 1 to {self.geometry.frames} frames, but got frames={frames}")
        self.left_out = self._catalog.left_out
        self.identity = self._catalog.identity
        self.skipped = 0
        self._frames = frames
        self._seed = seed
        self._with_audio = with_audio
        self._on_damage = on_damage
        self._shards = OpenShards(self._catalog.paths, open_files)

    def __len__(self) -> int:
        return len(self._catalog.row)

    def __getitem__(self, index: int | tuple[int, int]) -> Sample:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int | tuple[int, int]]) -> Samples:
        """A batch of samples in one piece of memory; DataLoader calls this."""
        samples = empty_batch(
            len(indices), self.geometry, self._frames or self.geometry.frames, with_audio=self._with_audio
        )
        for place, index in enumerate(indices):
            self._read(samples, place, self._draw(index))
        return samples

    def row(self, clip: int) -> ClipRow:
        """What the table says of a clip."""
        shard, number = self._place(self._draw(clip).clip)
        return self._shards[shard].rows()[number]

    def close(self) -> None:
        """Close the open shards of this process."""
        self._shards.close()

    def _draw(self, index: int | tuple[int, int]) -> Draw:
        draw = Draw(*index) if isinstance(index, tuple) else Draw(0, int(index))
        if not 0 <= draw.clip < len(self):
            raise IndexError(f"expected a clip from 0 to {len(self) - 1}, but got {draw.clip}")
        return draw

    def _place(self, clip: int) -> tuple[int, int]:
        return int(self._catalog.shard[clip]), int(self._catalog.row[clip])

    def _read(self, samples: Samples, place: int, draw: Draw) -> None:
        for attempt in range(len(self)):
            here = Draw(draw.epoch, (draw.clip + attempt) % len(self))
            try:
                self._read_one(samples, place, here)
                return
            except ShardError as error:
                if self._on_damage == "raise" or attempt + 1 >= min(_MOST_DAMAGED, len(self)):
                    raise
                _log.warning("left out a damaged clip: %s", error)
                self.skipped += 1
                samples.batch["skipped"] += 1

    def _read_one(self, samples: Samples, place: int, draw: Draw) -> None:
        number, clip = self._place(draw.clip)
        real = int(self._catalog.frames[draw.clip])
        batch = samples.batch
        length = batch["video"].shape[1]
        start = crop_start(real - length, self._seed, draw) if self._frames else 0
        shard = self._shards[number]
        shard.frames(clip, start, length, out=batch["video"][place].numpy())
        if self._with_audio:
            first = self.geometry.samples_until(start)
            shard.audio(clip, first, batch["audio"].shape[1], out=batch["audio"][place].numpy())
        for name, value in (("clip", draw.clip), ("start", start), ("frames", min(real - start, length))):
            batch[name][place] = value


def as_float(video: torch.Tensor) -> torch.Tensor:
    """What a model takes, from the loader's uint8 `[B, T, H, W, 3]`: float32 `[B, 3, T, H, W]`, -1 to 1. Call it on the device."""
    return video.movedim(-1, -4).float().div_(127.5).sub_(1)
