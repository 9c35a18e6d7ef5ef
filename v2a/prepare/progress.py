"""What a person sees while videos are prepared, and at the end."""

from __future__ import annotations

import sys
import time
from collections import Counter
from pathlib import Path
from typing import NoReturn, TextIO

from tqdm import tqdm

from v2a.prepare.inputs import Inputs
from v2a.prepare.plan import Plan
from v2a.shards.manifest import Manifest
from v2a.tasks import Counts

_LINE_S = 10.0  # between two lines where there is no terminal
_BAR_S = 0.2


class Progress:
    """A bar on a terminal, a line now and then elsewhere. All of it goes to `stream`.

    Args:
        stream: standard error by default.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._bar: tqdm[NoReturn] | None = None
        self._begun = time.monotonic()
        self._shown, self._ended = 0.0, False
        self._compared = time.monotonic()
        self._bytes = 0

    def say_cleaned(self, files: int) -> None:
        """An earlier run was killed."""
        if files:
            self._say(f"removed {files} unfinished shards of a run that was killed; their videos are read again")

    def comparing(self, read: int, total: int) -> None:
        """Files of equal size are being read to know copies; bytes."""
        now = time.monotonic()
        if now - self._compared >= _LINE_S and read < total:
            self._compared = now
            self._say(f"comparing files of equal size: {read / 1e9:.1f} of {total / 1e9:.1f} GB")

    def begin(self, inputs: Inputs, plan: Plan) -> None:
        """What was found, and what is left to do."""
        copies = sum(bundle.copies for bundle in plan.tasks)
        counts = {
            "done before": len(plan.done),
            "failed before": len(plan.failed),
            "left out": len(plan.failures) + len(inputs.refused),
            "with the content of another": copies,
        }
        known = [f"{count} {what}" for what, count in counts.items() if count]
        parts = ", ".join([*known, f"{sum(len(bundle.tasks) for bundle in plan.tasks) - copies} to read"])
        self._say(f"{len(inputs.videos) + len(inputs.refused)} inputs: {parts}")
        if inputs.ignored:
            kinds = ", ".join(f"{count} {suffix}" for suffix, count in inputs.ignored.most_common(5))
            self._say(f"not looked at: {kinds}")
        self._bytes = sum(bundle.bytes for bundle in plan.tasks)
        self._shown, self._ended = 0.0, False
        self._begun = time.monotonic()
        if self._stream.isatty() and plan.tasks:
            self._bar = tqdm(
                total=max(1, self._bytes),
                unit="B",
                unit_scale=True,
                file=self._stream,
                mininterval=_BAR_S,
                smoothing=0.05,
            )

    def show(self, done: int, total: int, counts: Counts) -> None:
        """Where it is: by bytes of input, which tells the time that is left better than the number of videos."""
        now = time.monotonic()
        if now - self._shown < (_BAR_S if self._bar is not None else _LINE_S) and done < total:
            return
        first, self._shown = not self._shown, now
        if self._bar is not None:
            self._bar.set_postfix_str(self._words(done, total, counts), refresh=False)
            self._bar.update(min(self._bytes, counts.get("bytes", 0)) - self._bar.n)
        elif not first and total and not self._ended:
            self._ended = done == total  # it is told again and again until the processes are gone
            self._say(f"{self._words(done, total, counts)}, {self._left(counts)}")

    def end(self, out: Path, manifest: Manifest, failures: Counter[str], stopped: bool) -> None:
        """What came of it."""
        self.close()
        total = manifest.total
        parts = ", ".join(f"{name} {counts.clips}" for name, counts in manifest.by_split.items())
        self._say(f"{out}: {total.clips} clips of {total.videos} videos, {total.seconds / 3600:.2f} h ({parts})")
        if failures:
            kinds = ", ".join(f"{count} {kind}" for kind, count in failures.most_common())
            self._say(f"{failures.total()} inputs gave no clip ({kinds}); {out / 'failures.jsonl'} says why")
        for warning in manifest.warnings:
            self._say(f"note: {warning}")
        if stopped:
            self._say("stopped as asked; the same command goes on from here")
        else:
            self._say(f"look at it: python -m v2a.shards show {out} --random 12 --out clips.png")

    def close(self) -> None:
        """Leave the bar as it is."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _words(self, done: int, total: int, counts: Counts) -> str:
        elapsed = max(1e-3, time.monotonic() - self._begun)
        failures = f", {counts['failures']:.0f} failed" if counts.get("failures") else ""
        speed = counts.get("seconds", 0.0) / elapsed
        return f"{done}/{total} videos, {counts.get('clips', 0):.0f} clips{failures}, {speed:.1f}x real time"

    def _left(self, counts: Counts) -> str:
        share = counts.get("bytes", 0.0) / max(1, self._bytes)
        if not share:
            return "time left unknown"
        seconds = (time.monotonic() - self._begun) * (1 - share) / share
        return f"{share:.0%}, {time.strftime('%H:%M:%S', time.gmtime(seconds))} left"

    def _say(self, text: str) -> None:
        print(text, file=self._stream, flush=True)
