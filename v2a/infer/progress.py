"""What a person sees while sound is made, and at the end."""

from __future__ import annotations

import sys
import time
from collections import Counter
from pathlib import Path
from typing import NoReturn, TextIO

from tqdm import tqdm

from v2a.infer.names import Found
from v2a.infer.plan import Plan
from v2a.infer.records import FAILURES, LINES, Done, Failed
from v2a.tasks import Counts

_LINE_S = 10.0  # between two lines where there is no terminal
_SHOWN = 5  # names in a list


class Progress:
    """A bar on a terminal, a line now and then elsewhere.

    Args:
        stream: standard error by default.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._bar: tqdm[NoReturn] | None = None
        self._begun = self._shown = time.monotonic()
        self._bytes = 0

    def begin(self, found: Found, plan: Plan, strays: int) -> None:
        """What was found, and what is left to do."""
        if strays:
            self._say(f"removed {strays} unfinished videos of a run that was killed; they are made again")
        parts = {"done before": plan.done, "failed before": plan.failed, "refused": len(found.refused)}
        known = [f"{count} {what}" for what, count in parts.items() if count]
        self._say(
            f"{len(found.items) + len(found.refused)} inputs: {', '.join([*known, f'{len(plan.tasks)} to be made'])}"
        )
        for why, count in plan.why.items():
            self._say(f"{count} were made before and are looked at again: {why}")
        if found.ignored:
            kinds = ", ".join(f"{count} {what}" for what, count in found.ignored.most_common(_SHOWN))
            self._say(f"not looked at: {kinds}")
        for item in found.renamed[:_SHOWN]:
            self._say(
                f"note: what is made of {item.path!a} is named {item.stem!a} and a suffix, for another input has its name"
            )
        if len(found.renamed) > _SHOWN:
            self._say(f"note: and {len(found.renamed) - _SHOWN} more")
        self._begun, self._bytes = time.monotonic(), sum(task.bytes for task in plan.tasks)
        if self._stream.isatty() and plan.tasks:
            self._bar = tqdm(total=max(1, self._bytes), unit="B", unit_scale=True, file=self._stream, smoothing=0.05)

    def show(self, counts: Counts) -> None:
        """How far, by bytes of input, and how long still."""
        now = time.monotonic()
        part = min(1.0, counts.get("bytes", 0.0) / max(1, self._bytes))
        if self._bar is not None:
            self._bar.set_postfix_str(self._words(counts), refresh=False)
            self._bar.update(max(0.0, part * self._bytes - self._bar.n))
        elif now - self._shown >= _LINE_S and part > 0:
            self._shown = now
            left = time.strftime("%H:%M:%S", time.gmtime((now - self._begun) * (1 - part) / part))
            self._say(f"{part:.0%}, {self._words(counts)}, {left} left")

    def end(
        self, out: Path, merged: tuple[list[Done], list[Failed]], counts: Counts, earlier: int, left: int | None
    ) -> None:
        """What came of it.

        Args:
            out: the output folder.
            merged: all that is done there, and what failed of this command's inputs.
            counts: of the work.
            earlier: failures of other commands in this folder.
            left: videos in the hands of other processes; None when it was stopped.
        """
        done, failed = merged
        self.close()
        seconds, wall_s = counts.get("seconds", 0.0), time.monotonic() - self._begun
        if counts.get("made"):
            self._say(
                f"{self._words(counts)} in {wall_s:.1f} s, {seconds / max(1e-3, wall_s):.3g} seconds of video a second"
            )
        self._say(
            f"{out}: {len(done)} videos with sound, {sum(d.seconds for d in done) / 60:.1f} min; {out / LINES} lists them"
        )
        if failed:
            kinds = ", ".join(f"{count} {kind}" for kind, count in Counter(f.kind for f in failed).most_common())
            self._say(f"{len(failed)} inputs have no sound ({kinds}); {out / FAILURES} says why")
            for failure in failed[:_SHOWN]:
                self._say(f"  {failure.input!a}: {failure.reason}")
        if earlier:
            self._say(f"{earlier} failures of other commands in this folder are in {out / FAILURES} too")
        if left is None:
            self._say("stopped as asked; the same command goes on from here")
        elif left:
            self._say(f"{left} videos are in the hands of other processes, which are at work")

    def close(self) -> None:
        """Leave the bar as it is."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    @staticmethod
    def _words(counts: Counts) -> str:
        made, failures = counts.get("made", 0.0), counts.get("failures", 0.0)
        return f"{made:.0f} videos made" + (f", {failures:.0f} failed" if failures else "")

    def _say(self, text: str) -> None:
        print(text, file=self._stream, flush=True)
