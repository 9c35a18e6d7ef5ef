"""Memory does not grow with the length of a video: two hours of it, and a large picture, at the paper's geometry."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.source import CHECKOUT
from tests.media.datasets import records_of

LIMIT_MB = 600


def _long_video(path: Path, hours: int) -> Path:
    """A ten-minute piece whose first minute has sound, again and again."""
    piece = path.with_name("piece.mp4")
    picture = ["-f", "lavfi", "-i", "testsrc2=size=640x360:rate=10:duration=600"]
    tone = ["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=16000:duration=600,volume=0:enable='gt(t,60)'"]
    codecs = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac"]
    subprocess.run(["ffmpeg", "-v", "error", *picture, *tone, *codecs, piece], check=True)
    again = ["-stream_loop", str(6 * hours - 1), "-i", str(piece), "-c", "copy", str(path)]
    subprocess.run(["ffmpeg", "-v", "error", *again], check=True)
    piece.unlink()
    return path


def _peak_mb(videos: Path, out: Path, *settings: str) -> float:
    """Largest resident memory of any process of the command, MB."""
    program = (
        "import resource, subprocess, sys\n"
        "subprocess.run(sys.argv[1:], check=True)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)"
    )
    prepare = [sys.executable, "-m", "v2a.prepare", "--workers", "1", f"videos={videos}", f"out={out}", *settings]
    done = subprocess.run(
        [sys.executable, "-c", program, *prepare], cwd=CHECKOUT, check=True, stdout=subprocess.PIPE, text=True
    )
    return float(done.stdout)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("reader", ["pyav", "ffmpeg"])
def test_two_hours(reader: str, tmp_path: Path):
    video = _long_video(tmp_path / "long.mp4", hours=2)
    assert _peak_mb(video, tmp_path / "out", f"reader={reader}", "keep.min_level_db=-40") < LIMIT_MB
    [record] = records_of(tmp_path / "out")
    assert record.seconds == pytest.approx(7200, abs=3)
    assert (record.clips, record.dropped["quiet"]) == (pytest.approx(72, abs=13), pytest.approx(648, abs=13))


@pytest.mark.slow
@pytest.mark.parametrize("reader", ["pyav", "ffmpeg"])
def test_a_large_picture(reader: str, tmp_path: Path):
    picture = ["-f", "lavfi", "-i", "testsrc2=size=3840x2160:rate=10:duration=12"]
    codec = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]
    subprocess.run(["ffmpeg", "-v", "error", *picture, *codec, tmp_path / "4k.mp4"], check=True)
    assert _peak_mb(tmp_path / "4k.mp4", tmp_path / "out", f"reader={reader}") < LIMIT_MB
    assert [record.clips for record in records_of(tmp_path / "out")] == [1]
