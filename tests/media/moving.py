"""A dataset of small clips without any video file: discs that move, and sound as loud as they are large."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from v2a.geometry import Geometry
from v2a.shards.manifest import write_manifest
from v2a.shards.records import Clip, ClipRow
from v2a.shards.splits import Splits
from v2a.shards.writer import ShardWriter

TINY = Geometry(width=64, height=36, fps=10, segment_s=2.0, sample_rate=8000)  # `preset=tiny` of prepare


def moving_discs(folder: Path, clips: int = 30, geometry: Geometry = TINY, per_shard: int = 8, seed: int = 0) -> Path:
    """Write the dataset: each clip of its own video, 60 % to train on, 20 % each for validation and test.

    The last clip of every four is shorter than a segment: its last frame is repeated.
    """
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    with ShardWriter(folder, geometry, prefix="discs", clips_per_shard=per_shard) as writer:
        for number in range(clips):
            frames = geometry.frames - (3 if number % 4 == 3 else 0)
            video, radius = _disc(geometry, random)
            video[frames:] = video[frames - 1]
            name = f"disc-{seed}-{number}"
            row = ClipRow(name, name, f"{name}.mp4", "disc", 0, 0.0, frames, True, -20.0, 1.0)
            writer.add(Clip(video, _sound(geometry, radius, random), row))
    write_manifest(folder, geometry, {}, Splits(0.2, 0.2))
    return folder


def _disc(geometry: Geometry, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """uint8 [T, H, W, 3], and the radius in each frame, pixels."""
    time = np.linspace(0, 1, geometry.frames)
    x = geometry.width * (random.uniform(0.1, 0.9) + random.uniform(-0.5, 0.5) * time)
    y = geometry.height * random.uniform(0.2, 0.8) + 0 * time
    radius = geometry.height * (random.uniform(0.1, 0.25) + random.uniform(-0.1, 0.15) * time)
    rows, columns = np.mgrid[: geometry.height, : geometry.width]
    distance = np.hypot(columns - x[:, None, None], rows - y[:, None, None])
    inside = np.clip(radius[:, None, None] - distance, 0, 1)[..., None]
    colour, ground = random.uniform(80, 255, 3), random.uniform(0, 120, 3)
    return (inside * colour + (1 - inside) * ground).astype(np.uint8), radius


def _sound(geometry: Geometry, radius: np.ndarray, random: np.random.Generator) -> np.ndarray:
    time = np.arange(geometry.samples) / geometry.sample_rate
    loudness = np.interp(time * geometry.fps, np.arange(len(radius)), radius) / geometry.height
    return (30000 * loudness * np.sin(2 * np.pi * random.uniform(200, 900) * time)).astype(np.int16)
