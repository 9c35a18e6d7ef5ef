"""What a person sees while clips are encoded, and at the end."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import NoReturn, TextIO

from tqdm import tqdm

from v2a.codes.plan import Plan
from v2a.shards.code_folder import CodeUse
from v2a.tasks import Counts

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
        self._total = 0
        self._first: tuple[int, float] | None = None

    def begin(self, plan: Plan, cleaned: int) -> None:
        """What is left to do."""
        if cleaned:
            self._say(f"removed {cleaned} unfinished shards of a run that was killed; their clips are encoded again")
        for name in plan.strays:
            self._say(f"note: {name} belongs to no shard of the dataset; nothing reads it")
        self._say(f"{plan.clips} clips in {len(plan.tasks)} shards to encode, {plan.done} clips done before")
        self._begun, self._total = time.monotonic(), plan.clips
        if self._stream.isatty() and plan.clips:
            self._bar = tqdm(total=plan.clips, unit="clip", file=self._stream, smoothing=0.05)

    def show(self, counts: Counts) -> None:
        """How far, how fast, how long still."""
        done, now = int(counts.get("clips", 0)), time.monotonic()
        if self._bar is not None:
            self._bar.update(done - self._bar.n)
            return
        if done and self._first is None:
            self._first = done, now  # processes take seconds to start, which say nothing of those to come
        if self._first is None or now - self._shown < _LINE_S or done == self._first[0]:
            return
        self._shown = now
        rate = (done - self._first[0]) / (now - self._first[1])
        left = time.strftime("%H:%M:%S", time.gmtime((self._total - done) / rate))
        self._say(f"{done}/{self._total} clips, {rate:.3g} clips/s, {left} left")

    def end(self, out: Path, use: CodeUse | None, counts: Counts, stopped: bool) -> None:
        """What came of it."""
        self.close()
        clips, seconds = counts.get("clips", 0.0), time.monotonic() - self._begun
        if clips:
            self._say(f"encoded {clips:.0f} clips in {seconds:.1f} s, {clips / seconds:.3g} clips/s")
        if use is not None:
            self._say(f"{out}: {use}")
        if stopped:
            self._say("stopped as asked; the same command goes on from the last whole shards")

    def close(self) -> None:
        """Leave the bar as it is."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _say(self, text: str) -> None:
        print(text, file=self._stream, flush=True)
