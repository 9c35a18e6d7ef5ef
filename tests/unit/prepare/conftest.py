"""Small real videos, made by ffmpeg once."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Render = Callable[..., Path]


@pytest.fixture(scope="session")
def render(tmp_path_factory: pytest.TempPathFactory) -> Render:
    """`render(path, seconds, seed=0, sound=True)`: a small moving picture with a tone; each seed is another content."""
    made: dict[tuple[float, int, bool], bytes] = {}

    def make(path: Path, seconds: float, seed: int = 0, sound: bool = True) -> Path:
        key = (seconds, seed, sound)
        if key not in made:
            made[key] = _encode(tmp_path_factory.mktemp("render") / "video.mp4", seconds, seed, sound)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(made[key])
        return path

    return make


def _encode(path: Path, seconds: float, seed: int, sound: bool) -> bytes:
    picture = ["-f", "lavfi", "-i", f"testsrc2=size=96x54:rate=20:duration={seconds},hue=h={seed * 37}"]
    tone = (
        ["-f", "lavfi", "-i", f"sine=frequency={300 + 50 * seed}:sample_rate=16000:duration={seconds}"] if sound else []
    )
    codec = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-metadata", f"comment={seed}"]
    command = [
        "ffmpeg",
        "-v",
        "error",
        *picture,
        *tone,
        *codec,
        *(["-c:a", "aac"] if sound else []),
        "-shortest",
        str(path),
    ]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return path.read_bytes()
