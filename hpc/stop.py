"""Signals that ask a rank to stop: they only set a flag, which the training loop looks at between steps."""

import signal
from types import FrameType, TracebackType

# Slurm's warning before a time limit or a preemption is USR2 and not USR1, which NCCL may catch; TERM is scancel's.
_SIGNALS = (signal.SIGUSR2, signal.SIGTERM)


class StopSignals:
    """While it is entered, USR2 and TERM set `requested` instead of ending the process."""

    def __init__(self) -> None:
        self._requested = False
        self._before: dict[int, object] = {}

    def requested(self) -> bool:
        """Whether a signal came."""
        return self._requested

    def _note(self, _signal: int, _frame: FrameType | None) -> None:
        self._requested = True

    def __enter__(self) -> "StopSignals":
        self._before = {number: signal.signal(number, self._note) for number in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
