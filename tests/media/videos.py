"""Small videos, each seed another content."""

from __future__ import annotations

import subprocess
from functools import lru_cache
from pathlib import Path


@lru_cache(maxsize=256)
def video_bytes(seconds: float, seed: int = 0, sound: bool = True) -> bytes:
    """An MP4 of a moving test picture, 96x54 at 20 frames/s, with a tone of 1/8 of full scale."""
    picture = ["-f", "lavfi", "-i", f"testsrc2=size=96x54:rate=20:duration={seconds},hue=h={seed * 37}"]
    tone = (
        ["-f", "lavfi", "-i", f"sine=frequency={300 + 50 * seed}:sample_rate=16000:duration={seconds}"] if sound else []
    )
    codec = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-metadata", f"comment={seed}"]
    shape = ["-movflags", "frag_keyframe+empty_moov", "-f", "mp4", "-"]
    command = [
        "ffmpeg",
        "-v",
        "error",
        *picture,
        *tone,
        *codec,
        *(["-c:a", "aac"] if sound else []),
        "-shortest",
        *shape,
    ]
    return subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True).stdout


def write_video(path: Path, seconds: float, seed: int = 0, sound: bool = True, mark: int = 0) -> Path:
    """Write one; a `mark` other than 0 makes another content of the same picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tail = (b"\0\0\0\x0cfree" + mark.to_bytes(4, "big")) if mark else b""  # a box that every player skips
    path.write_bytes(video_bytes(seconds, seed, sound) + tail)
    return path
