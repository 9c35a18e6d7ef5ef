"""What a run of the comparisons left in its folder."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from v2a.reproduce.run import is_done
from v2a.reproduce.steps import Step


@dataclass(frozen=True)
class Made:
    """What has been run.

    Attributes:
        out: its folder.
        steps: all of them.
        size: its name.
        command: that repeats it.
    """

    out: Path
    steps: Sequence[Step]
    size: str
    command: str

    def has(self, *names: str) -> bool:
        """Whether these steps were asked for and are done."""
        done = {step.name for step in self.steps if step.name in names and is_done(step, self.out)}
        return done == set(names)

    def read(self, name: str) -> Any:
        """A JSON file below the folder."""
        return json.loads((self.out / name).read_text())

    def metrics(self, evaluation: str) -> Any:
        """What `v2a.evaluate` found, of the step "evaluate-" and this name."""
        return self.read(f"evaluate-{evaluation}/metrics.json")

    def clips(self, evaluation: str, candidate: str, corpus: str = "") -> dict[str, dict[str, str]]:
        """Rows of clips.csv of an evaluation, by clip.

        Args:
            evaluation: its name.
            candidate: a decoder's run, or a baseline.
            corpus: only of videos in a folder of this name; "" for all.
        """
        with (self.out / f"evaluate-{evaluation}" / "clips.csv").open(newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["candidate"] == candidate]
        return {row["clip"]: row for row in rows if corpus in ("", Path(row["source"]).parent.name)}
