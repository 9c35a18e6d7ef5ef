"""How often a service may be asked."""

from __future__ import annotations

import argparse
import re
import threading
import time
from collections.abc import Callable

_SECONDS = {"s": 1.0, "sec": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0}


def rate(text: str) -> float:
    """Times per second of "5/s", "30/min" or "100/h"; a type for argparse."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)/(s|sec|m|min|h)", text.strip())
    number = float(match[1]) if match else 0.0
    if match is None or not 0 < number <= 1e6:
        raise argparse.ArgumentTypeError(f"expected a rate such as 5/s, 30/min or 100/h, but got {text!r}")
    return number / _SECONDS[match[2]]


class Limiter:
    """Lets callers of all threads through, one every 1 / `per_second` seconds, never two at once to catch up."""

    def __init__(self, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval = 1.0 / per_second
        self._clock = clock
        self._lock = threading.Lock()
        self._next = clock()

    def wait(self, stop: threading.Event) -> bool:
        """Wait for a turn; False when `stop` was set meanwhile."""
        while not stop.is_set():
            with self._lock:
                now = self._clock()
                delay = self._next - now
                if delay <= 0:
                    self._next = now + self._interval
                    return True
            stop.wait(min(delay, 1.0))
        return False

    def hold(self, seconds: float) -> None:
        """Let nobody through for so long: the service asked for it."""
        with self._lock:
            self._next = max(self._next, self._clock() + seconds)
