"""The live table: trial, state, parameters, value, step, node."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweeps.entries import FOLDER, REASON
from sweeps.options import Options
from sweeps.space import typed
from sweeps.study import Sweep
from sweeps.trial_folder import read_place

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

_EVERY_S = 1.0
_SHOWN = 30  # rows of a terminal's table
Row = tuple[str, str, str, str, str, str]


def rows_of(sweep: Sweep) -> list[Row]:
    """A row for each trial: number, state, value, step, node, parameters or the reason of a failure. One that another process just
    chooses has none yet: its parameters are not all there."""
    return [
        _row(trial, sweep.folder_of(trial) if FOLDER in trial.user_attrs else None)
        for trial in sweep.trials()
        if FOLDER in trial.user_attrs or trial.state.is_finished()
    ]


def _row(trial: FrozenTrial, folder: Path | None) -> Row:
    steps = list(trial.intermediate_values)
    if trial.state.name in ("COMPLETE", "PRUNED") and trial.values:
        value = " ".join(f"{number:.5g}" for number in trial.values)
    else:
        value = f"{trial.intermediate_values[steps[-1]]:.5g}" if steps else ""
    host = read_place(folder)[0] if folder is not None else ""
    params = "  ".join(f"{name}={_short(chosen)}" for name, chosen in trial.params.items())
    reason = trial.user_attrs.get(REASON, "") if trial.state.name == "FAIL" else ""
    step = str(max(steps)) if steps else ""
    return str(trial.number), trial.state.name.lower(), value, step, host, f"{params}  {reason}".strip()


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else typed(value)


def format_table(rows: Sequence[Row], width: int) -> list[str]:
    """Lines of at most `width` characters."""
    head: Row = ("trial", "state", "value", "step", "node", "parameters")
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(5)]
    lines = []
    for row in (head, *rows):
        cells = [text.ljust(size) for text, size in zip(row[:5], widths, strict=True)]
        lines.append(f"{'  '.join(cells)}  {row[5]}".replace("\n", " ").rstrip()[:width])
    return lines


def summary(sweep: Sweep) -> str:
    """Counts, and the best so far."""
    trials = sweep.trials()
    counts: dict[str, int] = {}
    for trial in trials:
        counts[trial.state.name.lower()] = counts.get(trial.state.name.lower(), 0) + 1
    text = f"{sweep.name}: " + (
        ", ".join(f"{count} {state}" for state, count in sorted(counts.items())) or "no trial yet"
    )
    complete = [trial for trial in trials if trial.state.name == "COMPLETE"]
    if complete and len(sweep.plan.objectives) == 1:
        best = sweep.study.best_trial
        text += f"; best {sweep.plan.objectives[0].name} {best.value:.5g} (trial {best.number})"
    return text


def say_shortfall(sweep: Sweep, options: Options) -> None:
    """Print why the study has fewer trials than it should have, if it has."""
    if text := sweep.shortfall(options.trials, options.sampler):
        print(text, flush=True)


class Table:
    """Shows a study again and again: in place on a terminal, elsewhere a line for each change.

    Args:
        sweep: the study.
    """

    def __init__(self, sweep: Sweep) -> None:
        self._sweep = sweep
        self._seen: dict[str, str] = {}
        self._lines = 0
        self._shown = -1e9

    def show(self, last: bool = False) -> None:
        """Now, if it is time; `last`: in any case, with all rows."""
        now = time.monotonic()
        if not last and now - self._shown < _EVERY_S:
            return
        self._shown = now
        rows = rows_of(self._sweep)
        if sys.stdout.isatty():
            height = shutil.get_terminal_size().lines
            self._redraw(rows if last else rows[-min(_SHOWN, max(1, height - 2)) :], height)
        else:
            self._changes(rows)
        if last:
            print(summary(self._sweep), flush=True)

    def _redraw(self, rows: Sequence[Row], height: int) -> None:
        lines = format_table(rows, shutil.get_terminal_size().columns - 1)
        back = min(self._lines, height - 1)  # of a terminal that was made smaller
        up = f"\x1b[{back}A\x1b[J" if back > 0 else ""
        print(up + "\n".join(lines), flush=True)
        self._lines = len(lines)

    def _changes(self, rows: Sequence[Row]) -> None:
        for row in rows:
            number, state, value, step, host, params = row
            if self._seen.get(number) != state:
                self._seen[number] = state
                parts: list[Any] = [value and f"value {value}", step and f"step {step}", host and f"on {host}", params]
                print(f"trial {number} {state}: " + "  ".join(part for part in parts if part), flush=True)
