"""The end of a rank that has waited too long for the others."""

from __future__ import annotations

import os
import sys
import threading
import time
from types import TracebackType

_LOOKS_PER_LIMIT = 20
STALLED = 1  # exit status


class StallLimit:
    """A context for each wait: when one lasts longer than the limit, the process ends.

    Horovod's own limit (`HOROVOD_STALL_SHUTDOWN_TIME_SECONDS`) is kept by a thread that talks to the other ranks through MPI. When
    a rank is gone and nothing ends the step, as srun cannot while Slurm's controller is away, that thread itself waits inside MPI,
    and would for ever. This one talks to nobody.

    Args:
        seconds: the limit, wall time; 0: none.
        rank: for the words.
    """

    def __init__(self, seconds: float, rank: int) -> None:
        self._limit, self._rank = seconds, rank
        self._since: float | None = None
        if seconds > 0:
            threading.Thread(target=self._look, name="stall-limit", daemon=True).start()

    def __enter__(self) -> None:
        self._since = time.monotonic()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._since = None

    def _look(self) -> None:
        while True:
            time.sleep(self._limit / _LOOKS_PER_LIMIT)
            since = self._since
            if since is not None and time.monotonic() - since > self._limit:
                self._end()

    def _end(self) -> None:
        print(
            f"worker: rank {self._rank} has waited for the other ranks for more than {self._limit:g} s; one of them is gone or "
            "hangs. It ends here; the same command goes on from the last checkpoint",
            file=sys.stderr,
            flush=True,
        )
        os._exit(STALLED)  # the main thread is inside the wait
