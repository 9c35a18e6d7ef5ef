"""Which clips are measured, which of the training split they are held against, and their sound."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np

from v2a.evaluate.config import Config
from v2a.loading.codes import CodeDataset
from v2a.metrics.correlation import Array
from v2a.shards.identity import clip_key


def open_clips(config: Config, split: str, encoder: str | None = None) -> CodeDataset:
    """The clips with sound of a split, whole, with their codes.

    Raises:
        v2a.shards.errors.ShardError: a shard is missing, damaged, or of another encoder than wanted.
    """
    return CodeDataset(Path(config.codes), Path(config.data), split, encoder=encoder, need_audio=True)


def pick(clips: CodeDataset, most: int) -> list[int]:
    """Numbers of at most `most` clips (0: all), ascending: the first of every video, then the second of every video, and so on."""
    if not most or len(clips) <= most:
        return list(range(len(clips)))
    taken: dict[str, int] = defaultdict(int)
    rounds = []
    for clip in range(len(clips)):
        group = clips.row(clip).group
        rounds.append((taken[group], clip))
        taken[group] += 1
    return sorted(clip for _, clip in sorted(rounds)[:most])


def sound_of(clips: CodeDataset, clip: int) -> Array:
    """The true sound of a clip's real frames: float32 [S'], full scale 1."""
    sample = clips[clip]
    samples = clips.geometry.samples_until(int(sample["frames"]))
    wave: Array = sample["audio"].numpy()[:samples].astype(np.float32) / np.float32(32768)
    return wave


def fit_length(wave: Array, samples: int) -> Array:
    """Cut, or silence added at the end: [samples]."""
    found: Array = np.zeros(samples, np.float32)
    count = min(samples, len(wave))
    found[:count] = wave[:count]
    return found


def key_of(clips: CodeDataset, clip: int) -> str:
    """A clip's name in files: content of its video, begin in microseconds, real frames."""
    return "-".join(str(part) for part in clip_key(clips.row(clip)))


def partners(groups: list[str], seed: int) -> list[int | None]:
    """For each clip another one of another video, each used about once; None where there is only one video.

    Clips in a drawn order that keeps videos together, moved on by the largest video's number of clips: so nobody meets its own.
    """
    random = np.random.default_rng([seed, 0x5F])
    order: dict[str, list[int]] = defaultdict(list)
    for clip, group in enumerate(groups):
        order[group].append(clip)
    names = sorted(order)
    row = [clip for name in (names[k] for k in random.permutation(len(names))) for clip in order[name]]
    step = max((len(clips) for clips in order.values()), default=0)
    found: list[int | None] = [None] * len(groups)
    for place, clip in enumerate(row):
        other = row[(place + step) % len(row)]
        if groups[other] == groups[clip]:  # one video has more than half of the clips
            others = [candidate for candidate in row if groups[candidate] != groups[clip]]
            found[clip] = others[place % len(others)] if others else None
        else:
            found[clip] = other
    return found
