"""Clips that several tests share: rendered once, and read back from their .mp4 as anybody would."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np

from v2a.synthetic.clip import Clip
from v2a.synthetic.config import Config
from v2a.synthetic.corpus import render_clip
from v2a.synthetic.encode import write_video

TINY = ("width=128", "height=72", "fps=10", "seconds=1", "sample_rate=16000", "workers=1")


@dataclass(frozen=True)
class Film:
    """A clip as rendered, and as decoded from its file; sounds in -1..1."""

    truth: dict[str, Any]
    frames: np.ndarray
    sound: np.ndarray
    decoded_frames: np.ndarray
    decoded_sound: np.ndarray


def small(
    kind: str, index: int, seed: int = 3, seconds: float = 6.0, fps: int = 20
) -> tuple[Config, dict[str, Any], np.ndarray, np.ndarray]:
    """Settings, truth, frames and sound of a clip of 192x108."""
    config = Config(out="unused", seed=seed, seconds=seconds, width=192, height=108, fps=fps)
    clip = render_clip(kind, config, index)
    frames = np.stack(list(clip.frames))
    return config, clip.truth, frames, clip.sound


def encoded(kind: str, index: int, folder: Path, fps: int = 20) -> Film:
    """A clip of seed 3 through its .mp4. The sound is cut at the end of the picture: AAC fills its last packet up."""
    config, truth, frames, sound = small(kind, index, fps=fps)
    path = write_video(Clip(iter(frames), sound, truth), config.geometry(), 18, folder)
    pictures, heard = decode(path)
    assert 0 <= len(heard) - len(sound) < 1024
    return Film(truth, frames, sound / 32768, pictures, heard[: len(sound)])


def decode(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Frames `[T, H, W, 3]` and sound `[S]`, each from presentation time 0 on: what a player shows and plays."""
    with av.open(str(path)) as file:
        frames = np.stack([frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)])
    with av.open(str(path)) as file:
        rate = file.streams.audio[0].rate
        parts = []
        for frame in file.decode(audio=0):
            assert frame.pts is not None
            early = max(0, -round(float(frame.pts * frame.time_base) * rate))
            parts.append(frame.to_ndarray()[0, early:])
    return frames, np.concatenate(parts)


@cache
def flyby_with(family: str, least: float = 0.5) -> int:
    """Number of the first clip of seed 3 with one aircraft of that family that is mostly in view, near in the middle."""
    from v2a.synthetic.flyby_picture import seen_at
    from v2a.synthetic.flyby_scene import draw_scene

    geometry = Config(out="unused", seconds=6.0, width=192, height=108, fps=20).geometry()
    times = np.arange(geometry.frames) / geometry.fps
    for index in range(300):
        scene = draw_scene(geometry, 3, index)
        if len(scene.actors) == 1 and scene.actors[0].kind.family == family:
            visible = [one.visible for one in seen_at(scene, scene.actors[0], times)]
            near = np.argmin(np.linalg.norm(scene.actors[0].flight.position(times), axis=1))
            if np.mean(visible) > least and 0.2 < near / len(times) < 0.8:
                return index
    raise LookupError(family)
