"""The best so far of a study, against trials and against training steps."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import quantiles

from sweeps.study import Sweep


@dataclass(frozen=True)
class Curve:
    """One study's.

    Attributes:
        best: the best value after each trial that counts, from the first complete one on.
        steps: training steps of all trials up to there.
    """

    best: list[float]
    steps: list[float]


def curve_of(sweep: Sweep, steps: int) -> Curve:
    """Of a finished study.

    Args:
        sweep: with one objective.
        steps: of a whole run; a pruned trial has those up to its last report.

    Raises:
        ValueError: no trial is complete.
    """
    larger = sweep.plan.objectives[0].direction == "maximize"
    best, used, value, total = [], [], -math.inf if larger else math.inf, 0.0
    for trial in sweep.trials():
        complete = trial.state.name == "COMPLETE"
        total += steps if complete else max(trial.intermediate_values, default=0)
        if complete and trial.value is not None:
            value = max(value, trial.value) if larger else min(value, trial.value)
        if math.isfinite(value):
            best.append(value)
            used.append(total)
    if not best:
        raise ValueError(
            f"no trial of {sweep.name} is complete; its report says why: python -m sweeps.report '{sweep.name}'"
        )
    return Curve(best, used)


def trials_to_reach(curve: Curve, goal: float, *, larger: bool) -> int | None:
    """Number of trials until the best is as good as `goal`; None when it never is."""
    for number, value in enumerate(curve.best, 1):
        if (value >= goal) if larger else (value <= goal):
            return number
    return None


def draw_curves(found: Mapping[str, Sequence[Curve]], objective: str) -> str:
    """An SVG: median and quartiles of each sampler, against trials and against steps."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4.5))
    by_trials, by_steps = figure.subplots(1, 2)
    for name, curves in found.items():
        length = min(len(curve.best) for curve in curves)
        middle, low, high = [], [], []
        for i in range(length):
            values = [curve.best[i] for curve in curves]
            first, second, third = quantiles(values, n=4) if len(values) > 1 else (values[0],) * 3
            low.append(first)
            middle.append(second)
            high.append(third)
        numbers = list(range(1, length + 1))
        (line,) = by_trials.plot(numbers, middle, label=name)
        by_trials.fill_between(numbers, low, high, alpha=0.15, color=line.get_color())
        for curve in curves:
            by_steps.step(curve.steps, curve.best, where="post", color=line.get_color(), alpha=0.6)
    by_trials.set(xlabel="trials", ylabel=f"best {objective}", title="median and quartiles over seeds")
    by_steps.set(xlabel="training steps of all trials", title="each study")
    by_trials.legend()
    out = io.StringIO()
    figure.savefig(out, format="svg", bbox_inches="tight", metadata={"Date": None})
    return out.getvalue()
