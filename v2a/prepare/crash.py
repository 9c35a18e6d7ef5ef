"""Knowing afterwards which video ended its process: a decoder may crash, and under MPI nobody is left to tell.

While a worker reads a video, a file of its own names it; Python's faulthandler writes into that file when the process crashes. A
process that was killed from outside leaves the name only: that is no fault of the video's.
"""

from __future__ import annotations

import faulthandler
import json
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from v2a.prepare.bundle import VideoTask
from v2a.prepare.failures import Failure, Key, append_failure, read_failures

_CRASHES = "crashes.jsonl"
_TRIES = 2


class AtWork:
    """While it is entered, a crash of this process is written down beside the name of the video it is at.

    Args:
        path: the worker's own file.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb", buffering=0)

    def begin(self, task: VideoTask) -> None:
        """The worker begins this video."""
        self._file.seek(0)
        self._file.truncate()
        self._file.write(
            json.dumps([task.video.path, task.video.span, task.bytes, task.mtime_ns]).encode("ascii") + b"\n"
        )

    def __enter__(self) -> AtWork:
        faulthandler.enable(self._file, all_threads=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        faulthandler.disable()
        self._file.close()


def named_at_work(state: Path) -> set[Key]:
    """The inputs that workers were at when they last wrote, those that are dead since included."""
    names: set[Key] = set()
    for path in state.glob("at-work-*.log"):
        with suppress(OSError, ValueError):  # it is just being removed, or written
            source, span, *_ = json.loads(path.read_bytes().partition(b"\n")[0])
            names.add((source, span))
    return names


def collect_crashes(state: Path) -> list[Failure]:
    """Look through what dead workers left; the videos that crashed their process twice, as failures.

    Args:
        state: the folder of the workers' files. Those of dead workers are removed: call it while no worker is there.
    """
    for path in sorted(state.glob("at-work-*.log")):
        first, _, rest = path.read_bytes().partition(b"\n")
        if b"Fatal Python error" in rest:
            how = rest.split(b"\n")[0].removeprefix(b"Fatal Python error: ").decode(errors="replace")
            source, span, size, mtime_ns = json.loads(first)
            reason = f"it crashed the process that read it {_TRIES} times: {how}"
            append_failure(state / _CRASHES, Failure(source, span, "crash", reason, size, mtime_ns))
        path.unlink()
    crashes = read_failures(state / _CRASHES)
    counted: dict[tuple[str, str, int], list[Failure]] = {}
    for crash in crashes:
        counted.setdefault((*crash.key, crash.mtime_ns), []).append(crash)
    return [found[-1] for found in counted.values() if len(found) >= _TRIES]
