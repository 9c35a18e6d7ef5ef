"""What a video may cost in time; the time in which the caller works on a segment does not count."""

from __future__ import annotations

import time

from v2a.media.reading import Limits, MediaError


class Budget:
    """A clock for the whole video, and one for the time without progress."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._spent = 0.0
        self._stalled = 0.0
        self._since: float | None = None

    def resume(self) -> None:
        """Reading goes on."""
        self._since = time.monotonic()

    def pause(self) -> None:
        """The caller works."""
        self._count()
        self._since = None

    def progress(self) -> None:
        """A frame was decoded."""
        self._count()
        self._stalled = 0.0

    def check(self) -> None:
        """To be called often.

        Raises:
            MediaError: too much time went by.
        """
        self._count()
        if self._spent > self._limits.seconds:
            raise MediaError("too-slow", f"reading it took longer than {self._limits.seconds:g} s (limit.minutes)")
        if self._stalled > self._limits.stall_s:
            raise MediaError("too-slow", f"no new picture came for {self._limits.stall_s:g} s (limit.stall_s)")

    def left(self) -> float:
        """Seconds until `check` would raise if nothing happened; at least 0."""
        self._count()
        return max(0.0, min(self._limits.seconds - self._spent, self._limits.stall_s - self._stalled))

    def _count(self) -> None:
        now = time.monotonic()
        if self._since is not None:
            self._spent += now - self._since
            self._stalled += now - self._since
            self._since = now
