"""A small dataset of moving shapes, written straight into shards: every clip another, in a second."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from v2a.geometry import Geometry
from v2a.shards.manifest import write_manifest
from v2a.shards.records import Clip, ClipRow
from v2a.shards.splits import Splits
from v2a.shards.writer import ShardWriter

GEOMETRY = Geometry(width=32, height=16, fps=10, segment_s=1.6, sample_rate=400)
CLIPS = 26


def write_moving(folder: Path) -> Path:
    """Coloured squares that cross the picture, each at its own speed; three videos in four are to be trained on."""
    folder.mkdir(parents=True)
    with ShardWriter(folder, GEOMETRY, prefix="m", clips_per_shard=9) as writer:
        for number in range(CLIPS):
            group = f"{number:032x}"
            row = ClipRow(
                source=f"{number}.mp4", content=group, group=group, label="", segment=0, start_s=0.0, frames=GEOMETRY.frames,
                has_audio=False, level_db=-100.0, motion=1.0,
            )  # fmt: skip
            writer.add(Clip(_film(number), np.zeros(GEOMETRY.samples, np.int16), row))
    write_manifest(folder, GEOMETRY, {"fit": "stretch"}, Splits(validation=0.15, test=0.1))
    return folder


def _film(number: int) -> np.ndarray:
    random = np.random.default_rng(number)
    film = np.full((GEOMETRY.frames, GEOMETRY.height, GEOMETRY.width, 3), random.integers(0, 80, 3), np.uint8)
    place, speed = random.uniform(0, (10, 26)), random.uniform(-1.5, 1.5, 2)
    for frame in film:
        top, left = (int(at) for at in place % (10, 26))
        frame[top : top + 6, left : left + 6] = random.integers(60, 256, 3)
        place += speed
    return film
