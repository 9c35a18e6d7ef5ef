"""Clips, or random crops of them, as torch tensors."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset

from v2a.loading.batch import Memory, Sample, Samples
from v2a.loading.catalog import read_catalog
from v2a.loading.opened import OpenShards, open_clips
from v2a.loading.order import Draw, crop_starts
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
        frames: length of random crops within the real frames of a clip; clips with fewer are left out. None: whole clips.
        seed: of the crops.
        with_audio: read the sound.
        need_audio: leave out clips of videos without sound.
        on_damage: "raise" a `ShardError` that names shard and clip; or "skip": the next sound clip stands in, and `skipped`
            of the batch counts it.
        open_files: shards that a process holds open.
        threads: clips of a batch that are read at the same time.

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
        threads: int = 1,
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
        self._threads = threads
        self._pool: dict[int, ThreadPoolExecutor] = {}  # by process
        self._memory = Memory()
        self._shards = OpenShards(self._catalog.paths, open_clips, open_files)

    def __len__(self) -> int:
        return len(self._catalog.row)

    def __getitem__(self, index: int | tuple[int, int]) -> Sample:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int | tuple[int, int]]) -> Samples:
        """A batch of samples in one piece of memory; DataLoader calls this."""
        g, frames, count = self.geometry, self._frames or self.geometry.frames, len(indices)
        video = self._memory.tensor((count, frames, g.height, g.width, 3), torch.uint8)
        audio = self._memory.tensor((count, g.samples_until(frames) if self._with_audio else 0), torch.int16)
        draws = [self._draw(index) for index in indices]
        skipped = self._fill(draws, video.numpy(), audio.numpy())
        clips = np.array([draw.clip for draw in draws], np.int64)
        starts = self._starts(draws)
        batch = {"video": video, "clip": torch.from_numpy(clips), "start": torch.from_numpy(starts)}
        batch["frames"] = torch.from_numpy(np.minimum(self._catalog.frames[clips] - starts, frames))
        batch["skipped"] = torch.from_numpy(np.array(skipped, np.int64))
        if self._with_audio:
            batch["audio"] = audio
        return Samples(batch)

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

    def _fill(self, draws: list[Draw], video: npt.NDArray[np.uint8], audio: npt.NDArray[np.int16]) -> int:
        """Read each draw; a damaged clip's place in `draws` takes the next sound clip. Returns how many were damaged."""
        starts = self._starts(draws).tolist()

        def fill(place: int) -> int:
            for attempt in range(min(_MOST_DAMAGED, len(self))):
                try:
                    self._read(draws[place].clip, starts[place], video[place], audio[place])
                except ShardError as error:
                    if self._on_damage == "raise":
                        raise
                    last = error
                    _log.warning("left out a damaged clip: %s", error)
                    draws[place] = Draw(draws[place].epoch, (draws[place].clip + 1) % len(self))
                    starts[place] = int(self._starts([draws[place]])[0])
                else:
                    return attempt
            raise last

        if self._threads == 1 or len(draws) == 1:
            skipped = sum(map(fill, range(len(draws))))
        else:
            skipped = sum(self._readers().map(fill, range(len(draws))))
        self.skipped += skipped
        return skipped

    def _readers(self) -> ThreadPoolExecutor:
        """Threads of this process: a forked worker has none of its parent's."""
        if os.getpid() not in self._pool:
            self._pool = {os.getpid(): ThreadPoolExecutor(self._threads, "clips")}
        return self._pool[os.getpid()]

    def __getstate__(self) -> dict[str, object]:
        """Pickled without threads."""
        return {**self.__dict__, "_pool": {}}

    def _starts(self, draws: Sequence[Draw]) -> npt.NDArray[np.int64]:
        """First frame of each crop, `[n]`."""
        if self._frames is None:
            return np.zeros(len(draws), np.int64)
        room = self._catalog.frames[[draw.clip for draw in draws]].astype(np.int64) - self._frames
        return crop_starts(draws, room, self._seed)

    def _read(self, clip: int, start: int, video: npt.NDArray[np.uint8], audio: npt.NDArray[np.int16]) -> None:
        number, row = self._place(clip)
        shard = self._shards[number]
        shard.frames(row, start, len(video), out=video)
        if self._with_audio:
            shard.audio(row, self.geometry.samples_until(start), len(audio), out=audio)


def as_float(video: torch.Tensor) -> torch.Tensor:
    """What a model takes, from the loader's uint8 `[B, T, H, W, 3]`: float32 `[B, 3, T, H, W]`, 0 to 1. Call it on the device."""
    return video.movedim(-1, -4).float().div_(255)
