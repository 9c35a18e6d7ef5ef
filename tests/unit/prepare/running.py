"""The command in this process, and in one that is killed."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.house.source import CHECKOUT
from tests.media.datasets import rows_of
from v2a.prepare.__main__ import main
from v2a.prepare.failures import Failure, read_failures
from v2a.shards.folder import shard_paths
from v2a.shards.reader import Shard

TINY = ["preset=tiny", "clips_per_shard=3"]


def run(videos: Path, out: Path, *more: str) -> int:
    """The command, in this process."""
    return main(["--workers", "0", f"videos={videos}", f"out={out}", *TINY, *more])


def kill_when(ready: Callable[[], bool], videos: Path, out: Path, *more: str) -> None:
    """The command in another process, killed as soon as it is `ready`; one that ends before was quicker than the look."""
    command = [sys.executable, "-m", "v2a.prepare", "--workers", "0", f"videos={videos}", f"out={out}", *TINY, *more]
    process = subprocess.Popen(command, cwd=CHECKOUT, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not ready():
        if process.poll() is not None:
            assert process.returncode == 0
            return
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.kill()
    process.wait()


def killed_early(
    ready: Callable[[Path], bool], early: Callable[[Path], bool], videos: Path, place: Path, *more: str
) -> Path:
    """The folder of a run killed when it was `ready` and still `early`. A run that was quicker than the kill does not count."""
    for attempt in range(10):
        out = place / f"killed{attempt}"
        kill_when(lambda out=out: ready(out), videos, out, *more)  # type: ignore[misc]
        if early(out):
            return out
    raise AssertionError("ten runs were quicker than the kill")


def failures_of(out: Path) -> dict[tuple[str, str], Failure]:
    """By file name and span."""
    return {(Path(failure.source).name, failure.span): failure for failure in read_failures(out / "failures.jsonl")}


def stored(out: Path) -> list[bytes]:
    """Picture and sound of every clip, sorted; one that is there twice stands twice."""
    clips = []
    for path in shard_paths(out):
        with Shard(path) as shard:
            clips += [shard.frames(number).tobytes() + shard.audio(number).tobytes() for number in range(shard.clips)]
    return sorted(clips)


def labels_of(out: Path) -> list[tuple[float, int, str]]:
    """Start, real frames and label of each clip."""
    return sorted((row.start_s, row.frames, row.label) for row in rows_of(out))
