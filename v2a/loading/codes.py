"""Codes of clips, or of random crops of them, with the sound of the same frames: what stage 2 trains on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset

from v2a.loading.batch import Memory, Sample, Samples
from v2a.loading.catalog import read_catalog
from v2a.loading.opened import OpenShards, open_clips
from v2a.loading.order import Draw, crop_starts
from v2a.shards.code_folder import check_frames, check_head
from v2a.shards.code_layout import Head, code_shard_path
from v2a.shards.code_reader import CodeShard
from v2a.shards.errors import ShardError
from v2a.shards.reader import Shard
from v2a.shards.records import ClipRow


class CodeDataset(Dataset[Sample]):
    """The clips of a split, each once, by their codes: the same clips under the same numbers as in `ClipDataset`.

    Takes a clip's number, or a `Draw` of epoch and clip from a sampler; the epoch moves the crop. A sample is a dict:

        codes   int64 [t', h, w]
        audio   int16 [S'], the sound of just the frames that these codes stand for; only with `with_audio`
        clip    number of the clip
        start   first frame of the crop within the clip
        frames  real frames in it; after them the clip repeats its last one, and is silent

    Crops are cut out of the codes of the whole clip, and begin where codes that belong together begin.

    Args:
        codes: folder of code shards.
        data: the dataset of clips that they were made from.
        split: "train", "validation", "test", or "all".
        frames: length of random crops within the real frames of a clip, a multiple of `step`; clips with fewer are left out.
            None: whole clips.
        seed: of the crops.
        encoder: identity that the codes must have; None for whatever encoder made them, the same for all.
        with_audio: read the sound.
        need_audio: leave out clips of videos without sound.
        open_files: shards of each of the two kinds that a process holds open.

    Attributes:
        head: of the first code shard: encoder, geometry, strides, grid, size of the codebook.
        step: frames that crops are a multiple of, and begin at.
        left_out, identity: as of `ClipDataset`.

    Raises (constructor):
        ShardError: a shard of either kind is missing, damaged, of other clips, or of another encoder; names both.
        ValueError: crops of a length that does not fit; there is no shard.
    """

    def __init__(  # noqa: PLR0913 - settings by name
        self,
        codes: Path,
        data: Path,
        split: str = "train",
        *,
        frames: int | None = None,
        seed: int = 0,
        encoder: str | None = None,
        with_audio: bool = True,
        need_audio: bool = False,
        open_files: int = 64,
    ) -> None:
        self._catalog = read_catalog(Path(data), split, least_frames=frames or 1, need_audio=need_audio)
        paths = [code_shard_path(Path(codes), path.name) for path in self._catalog.paths]
        self.head = _check_all(paths, self._catalog.paths, encoder)
        self.geometry = self._catalog.geometry
        self.step = self.head.strides[0] * self.head.group
        if frames is not None and (not 1 <= frames <= self.geometry.frames or frames % self.step):
            raise ValueError(
                f"expected crops of a multiple of {self.step} frames up to {self.geometry.frames}, but got frames={frames}"
            )
        self.left_out = self._catalog.left_out
        self.identity = self._catalog.identity
        self._frames = frames
        self._seed = seed
        self._with_audio = with_audio
        self._memory = Memory()
        self._codes = OpenShards(paths, CodeShard, open_files)
        self._clips = OpenShards(self._catalog.paths, open_clips, open_files)

    def __len__(self) -> int:
        return len(self._catalog.row)

    def __getitem__(self, index: int | tuple[int, int]) -> Sample:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int | tuple[int, int]]) -> Samples:
        """A batch of samples in one piece of memory; DataLoader calls this."""
        frames, count = self._frames or self.geometry.frames, len(indices)
        steps = frames // self.head.strides[0]
        samples = self.geometry.samples_until(frames) if self._with_audio else 0
        codes = self._memory.tensor((count, steps, *self.head.grid[1:]), torch.int64)
        audio = self._memory.tensor((count, samples), torch.int16)
        draws = [self._draw(index) for index in indices]
        starts = self._starts(draws)
        for place, draw in enumerate(draws):
            self._read(draw.clip, int(starts[place]), codes.numpy()[place], audio.numpy()[place])
        clips = np.array([draw.clip for draw in draws], np.int64)
        batch = {"codes": codes, "clip": torch.from_numpy(clips), "start": torch.from_numpy(starts)}
        batch["frames"] = torch.from_numpy(np.minimum(self._catalog.frames[clips] - starts, frames))
        if self._with_audio:
            batch["audio"] = audio
        return Samples(batch)

    def row(self, clip: int) -> ClipRow:
        """What the table says of a clip."""
        clip = self._draw(clip).clip
        return self._clips[int(self._catalog.shard[clip])].rows()[int(self._catalog.row[clip])]

    def close(self) -> None:
        """Close the open shards of this process."""
        self._codes.close()
        self._clips.close()

    def _draw(self, index: int | tuple[int, int]) -> Draw:
        draw = Draw(*index) if isinstance(index, tuple) else Draw(0, int(index))
        if not 0 <= draw.clip < len(self):
            raise IndexError(f"expected a clip from 0 to {len(self) - 1}, but got {draw.clip}")
        return draw

    def _starts(self, draws: Sequence[Draw]) -> npt.NDArray[np.int64]:
        """First frame of each crop, `[n]`."""
        if self._frames is None:
            return np.zeros(len(draws), np.int64)
        room = self._catalog.frames[[draw.clip for draw in draws]].astype(np.int64) - self._frames
        return crop_starts(draws, room // self.step, self._seed) * self.step

    def _read(self, clip: int, start: int, codes: npt.NDArray[np.int64], audio: npt.NDArray[np.int16]) -> None:
        shard, row = int(self._catalog.shard[clip]), int(self._catalog.row[clip])
        codes[:] = self._codes[shard].codes(row, start // self.head.strides[0], len(codes))
        if self._with_audio:
            self._clips[shard].audio(row, self.geometry.samples_until(start), len(audio), out=audio)


def _check_all(paths: Sequence[Path], clips: Sequence[Path], encoder: str | None) -> Head:
    """The head of the first code shard, when all are of one encoder and of these shards of clips."""
    first: Head | None = None
    for path, its_clips in zip(paths, clips, strict=True):
        if not path.exists():
            raise ShardError(
                path, f"is missing: {its_clips} is not encoded; run codes with the same settings, and it goes on"
            )
        with CodeShard(path) as codes, Shard(its_clips) as shard:
            first = first or codes.head
            wanted = Head(
                encoder or first.encoder, shard.geometry, first.strides, first.codes, first.group, its_clips.name, shard.checksum
            )  # fmt: skip
            check_head(path, codes.head, wanted)
            check_frames(path, codes.frames, shard)
    if first is None:
        raise ValueError("the dataset has no shards of clips yet")
    return first
