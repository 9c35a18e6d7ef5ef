"""Small real videos, made as they are needed."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np


def make_video(path: Path, seconds: float = 2.0, seed: int = 0, size: tuple[int, int] = (96, 64)) -> Path:
    """H.264 with AAC in MP4, its index at the beginning, coloured by `seed`; some tens of KB."""
    random = np.random.default_rng(seed)
    colour = random.integers(40, 216, 3)
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        video = container.add_stream("libx264", rate=10, options={"crf": "20", "preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = *size, "yuv420p"
        audio = container.add_stream("aac", rate=16000, layout="mono")
        for number in range(round(seconds * 10)):
            picture = np.clip(colour + random.integers(-30, 31, (size[1], size[0], 3)), 0, 255).astype(np.uint8)
            picture[:, : 4 + number * size[0] // max(1, round(seconds * 10))] //= 2
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        tone = (3000 * np.sin(np.arange(round(seconds * 16000)) / 16000 * 2 * np.pi * 220)).astype(np.int16)
        for start in range(0, len(tone), 1024):
            frame = av.AudioFrame.from_ndarray(tone[None, start : start + 1024], format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 16000, start, Fraction(1, 16000)
            container.mux(audio.encode(frame))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
    return path
