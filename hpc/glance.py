"""A run at one glance: its state with the last numbers that it wrote, as values for programs and as a row for people."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpc.find import name_for_commands
from hpc.record import RUN, last_metrics, read_json
from hpc.states import RunState
from hpc.visible import visible, visible_lines

_COLUMNS = ("run", "state", "step", "loss", "clips/s", "wait", "gpu", "left", "where", "restarts", "")
_RIGHT = ("step", "loss", "clips/s", "wait", "gpu", "left", "restarts")


@dataclass(frozen=True)
class Glance:
    """What is shown of a run.

    Attributes:
        state: how it stands.
        step, steps: done, and in all; None when unknown.
        loss: the newest.
        clips_per_s: over all ranks.
        data_wait: share of the time that the ranks waited for data, 0 to 1.
        gpu_share: share of the time that the GPUs of rank 0's node worked, 0 to 1; None where there are none.
        left_s: seconds until its last step, by the speed of the newest record; None when it does not run.
    """

    state: RunState
    step: int | None = None
    steps: int | None = None
    loss: float | None = None
    clips_per_s: float | None = None
    data_wait: float | None = None
    gpu_share: float | None = None
    left_s: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """For programs: plain values."""
        state, job = self.state, self.state.job
        return {
            "run": state.run_dir.name, "run_dir": str(state.run_dir), "stage": state.stage, "state": state.state,
            "reason": state.reason, "job_id": state.job_id, "partition": job.partition if job else None,
            "nodes": job.nodes if job else None, "node_list": job.node_list if job else None,
            "start": job.start if job else None, "limit_left": job.time_left if job else None, "step": self.step,
            "steps": self.steps, "loss": self.loss, "clips_per_s": self.clips_per_s, "data_wait": self.data_wait,
            "gpu_share": self.gpu_share, "left_s": self.left_s, "restarts": state.restarts, "error": state.error,
            "result": state.result,
        }  # fmt: skip

    def row(self) -> tuple[str, ...]:
        """For people: a cell for each column."""
        state, job = self.state, self.state.job
        step = "" if self.step is None else f"{self.step}/{self.steps}" if self.steps else str(self.step)
        where = (job.node_list or job.partition) if job else "local" if state.job_id is None and state.is_active else ""
        cells = (
            state.run_dir.name, state.state, step, _number(self.loss, ".4g"), _number(self.clips_per_s, ".1f"),
            _number(self.data_wait, ".0%"), _number(self.gpu_share, ".0%"), _clock(self.left_s), where,
            str(state.restarts or ""), self._note(),
        )  # fmt: skip
        return tuple(map(visible, cells))

    def _note(self) -> str:
        state, job = self.state, self.state.job
        if state.state == "pending" and job is not None:
            start = f", starts about {job.start}" if job.start not in ("N/A", "") else ""
            after = f"; after: {state.error}" if state.error else ""
            return " ".join(f"{job.reason}{start}{after}".split())
        text = state.reason or (f"went on after: {state.error}" if state.error and state.is_active else "")
        return " ".join(text.split())


def glance(state: RunState) -> Glance:
    """Read a run's newest numbers."""
    run, metrics = read_json(state.run_dir / RUN) or {}, last_metrics(state.run_dir)
    step, steps = _int(metrics.get("step")), _int(run.get("steps"))
    step_ms = _float(metrics.get("step_ms"))
    left = None
    if state.state == "running" and step is not None and steps is not None and step_ms is not None:
        left = _float(max(0, steps - step) * step_ms / 1000)
    return Glance(
        state,
        step,
        steps,
        _float(metrics.get("loss")),
        _float(metrics.get("clips_per_s")),
        _float(metrics.get("data_wait")),
        _float(metrics.get("gpu_share")),
        left,
    )


def table(glances: Sequence[Glance], width: int | None) -> list[str]:
    """Rows under a head, in columns.

    Args:
        glances: in order.
        width: of the terminal; None for a pipe, where nothing is cut off.
    """
    rows = [_COLUMNS, *(one.row() for one in glances)]
    shown = [column for column in range(len(_COLUMNS)) if any(row[column] for row in rows[1:]) or column < 2]
    widths = {column: max(len(row[column]) for row in rows) for column in shown}
    lines = []
    for row in rows:
        cells = [row[c].rjust(widths[c]) if _COLUMNS[c] in _RIGHT else row[c].ljust(widths[c]) for c in shown]
        line = "  ".join(cells).rstrip()
        lines.append(line if width is None or len(line) <= width else line[: width - 1] + "…")
    return lines


def details(one: Glance, run_dir: Path) -> list[str]:
    """Everything that is known of one run, a line each; an error has its own."""
    found = one.as_dict()
    result = found.pop("result") or {}
    lines = [f"{name:<12} {value}" for name, value in found.items() if value not in (None, "", 0)]
    lines += [f"  {name:<24} {value:.6g}" for name, value in result.items() if isinstance(value, (int, float))]
    lines.append(f"logs         python -m hpc.logs {name_for_commands(run_dir)}")
    return [visible_lines(line) for line in lines]


def _int(value: object) -> int | None:
    return int(value) if isinstance(value, (int, float)) and math.isfinite(value) else None


def _float(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _clock(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes, second = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{second:02d}"
