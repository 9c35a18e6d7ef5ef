"""How much of the time the GPUs of a run work, as `nvidia-smi` says it; nothing where there is none, and at no cost."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Mapping
from types import TracebackType

from hpc.preflight.limits import ask

_EVERY_S = 10.0
_LIMIT_S = 5.0
_MOST_TROUBLE = 3  # times in a row that it does not answer


class GpuShare:
    """While it is entered, a thread of rank 0 looks at the GPUs of its node that this job may use.

    Args:
        rank: of this process; ranks other than 0 do not look.
        every_s: seconds between two looks.
    """

    def __init__(self, rank: int, every_s: float = _EVERY_S) -> None:
        self._looks = (
            rank == 0 and os.environ.get("CUDA_VISIBLE_DEVICES") != "" and shutil.which("nvidia-smi") is not None
        )
        self._every_s = every_s
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._seen: list[float] = []
        self._said: dict[str, float] = {}

    def measured(self) -> Mapping[str, float]:
        """`{"gpu_share": …}`, 0 to 1: mean over the GPUs and over the looks since it was asked last; the same again when there was
        none since, and empty when there was none at all."""
        with self._lock:
            if self._seen:
                self._said = {"gpu_share": sum(self._seen) / len(self._seen)}
                self._seen.clear()
            return self._said

    def __enter__(self) -> GpuShare:
        if self._looks:
            threading.Thread(target=self._look, name="gpu share", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()

    def _look(self) -> None:
        trouble = 0
        while trouble < _MOST_TROUBLE:
            share = look()
            trouble = trouble + 1 if share is None else 0
            if share is not None:
                with self._lock:
                    self._seen.append(share)
            if self._ended.wait(self._every_s):
                return


def look() -> float | None:
    """Share of the last moment in which the GPUs that this process may use worked, 0 to 1; None when nobody says so."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    which = [f"--id={visible}"] if visible else []
    answer = ask(["nvidia-smi", *which, "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"], _LIMIT_S)
    values = [line.strip() for line in answer.text.splitlines()] if answer.outcome == "answered" else []
    shares = [float(value) / 100 for value in values if value.isdecimal()]  # "[N/A]" where a GPU does not count it
    return sum(shares) / len(shares) if shares else None
