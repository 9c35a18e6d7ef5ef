"""What a person sees while clips are measured, and at the end."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import NoReturn, TextIO

from tqdm import tqdm

_LINE_S = 10.0  # between two lines where there is no terminal


class Progress:
    """A bar on a terminal, a line now and then elsewhere.

    Args:
        stream: standard error by default.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._bar: tqdm[NoReturn] | None = None
        self._begun = self._shown = time.monotonic()

    def say(self, text: str) -> None:
        """A line."""
        print(text, file=self._stream, flush=True)

    def show(self, what: str, done: int, total: int) -> None:
        """How far, and how long still."""
        if not done:
            self._begun = time.monotonic()
        if self._stream.isatty():
            if self._bar is None or self._bar.desc != f"{what}: ":
                self.close()
                self._bar = tqdm(total=total, desc=what, file=self._stream)
            self._bar.update(done - self._bar.n)
            return
        now = time.monotonic()
        if done and now - self._shown >= _LINE_S:
            self._shown = now
            left = time.strftime("%H:%M:%S", time.gmtime((total - done) * (now - self._begun) / done))
            self.say(f"{what} {done}/{total}, about {left} left")

    def end(self, out: Path, files: list[str]) -> None:
        """Where everything is."""
        self.close()
        self.say(f"{out}: {', '.join(files)}")

    def close(self) -> None:
        """Leave the bar as it is."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
