"""Signals that ask to stop: they only set a flag, which long work looks at where it can stop cleanly."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from types import FrameType, TracebackType
from typing import Any

ASK = (signal.SIGINT, signal.SIGTERM)


class StopSignals:
    """While it is entered, these signals set `requested` instead of ending the process.

    Args:
        signals: by default Ctrl-C and SIGTERM.
        person: someone is at the terminal: the first is answered by a sentence, and the second raises `KeyboardInterrupt`.
    """

    def __init__(self, signals: Sequence[signal.Signals] = ASK, *, person: bool = True) -> None:
        self._signals, self._person = signals, person
        self._requested = False
        self._before: dict[int, Any] = {}

    def requested(self) -> bool:
        """Whether one came."""
        return self._requested

    def _note(self, _signal: int, _frame: FrameType | None) -> None:
        if self._requested and self._person:
            raise KeyboardInterrupt
        self._requested = True
        if self._person:
            print("\nstopping; what is whole is kept (once more: stop at once)", file=sys.stderr, flush=True)

    def __enter__(self) -> StopSignals:
        self._before = {number: signal.signal(number, self._note) for number in self._signals}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
