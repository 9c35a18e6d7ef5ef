"""The best so far of a study, against trials and against training steps."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import quantiles

from sweeps.objective import steps_of
from sweeps.study import Sweep


@dataclass(frozen=True)
class Curve:
    """One study's.

    Attributes:
        best: the best value after each trial that counts; None before the first complete one.
        steps: training steps of all trials up to there.
    """

    best: list[float | None]
    steps: list[float]

    @property
    def end(self) -> float:
        """The best value of all."""
        return next(value for value in reversed(self.best) if value is not None)


def curve_of(sweep: Sweep) -> Curve:
    """Of a finished study. A complete trial has the steps that its settings say, another those up to its last report.

    Args:
        sweep: with one objective.

    Raises:
        ValueError: no trial is complete.
    """
    larger = sweep.plan.objectives[0].direction == "maximize"
    best: list[float | None] = []
    used, value, total = [], -math.inf if larger else math.inf, 0.0
    for trial in sweep.trials():
        complete = trial.state.name == "COMPLETE"
        total += steps_of(sweep.plan.resolved(trial.params)) if complete else max(trial.intermediate_values, default=0)
        if complete and trial.value is not None:
            value = max(value, trial.value) if larger else min(value, trial.value)
        best.append(value if math.isfinite(value) else None)
        used.append(total)
    if not best or best[-1] is None:
        raise ValueError(
            f"no trial of {sweep.name} is complete; its report says why: python -m sweeps.report '{sweep.name}'"
        )
    return Curve(best, used)


def trials_to_reach(curve: Curve, goal: float, *, larger: bool) -> int | None:
    """Number of trials until the best is as good as `goal`; None when it never is."""
    for number, value in enumerate(curve.best, 1):
        if value is not None and ((value >= goal) if larger else (value <= goal)):
            return number
    return None


def draw_curves(found: Mapping[str, Sequence[Curve]], objective: str) -> str:
    """An SVG: median and quartiles of each sampler, against trials and against steps."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4.5))
    by_trials, by_steps = figure.subplots(1, 2)
    for name, curves in found.items():
        numbers, spread = _spread(curves)
        low, middle, high = zip(*spread, strict=True) if spread else ((), (), ())
        (line,) = by_trials.plot(numbers, middle, label=name)
        by_trials.fill_between(numbers, low, high, alpha=0.15, color=line.get_color())
        for curve in curves:
            known = [(steps, value) for steps, value in zip(curve.steps, curve.best, strict=True) if value is not None]
            by_steps.step(*zip(*known, strict=True), where="post", color=line.get_color(), alpha=0.6)
    by_trials.set(xlabel="trials", ylabel=f"best {objective}", title="median and quartiles over seeds")
    by_steps.set(xlabel="training steps of all trials", title="each study")
    by_trials.legend()
    out = io.StringIO()
    figure.savefig(out, format="svg", bbox_inches="tight", metadata={"Date": None})
    return out.getvalue()


def _spread(curves: Sequence[Curve]) -> tuple[list[int], list[tuple[float, ...]]]:
    """Numbers of trials after which every study has a value, and quartiles of these."""
    numbers, spread = [], []
    for number, values in enumerate(zip(*(curve.best for curve in curves), strict=False), 1):
        known = [value for value in values if value is not None]
        if len(known) == len(curves):
            numbers.append(number)
            spread.append(tuple(quantiles(known, n=4)) if len(known) > 1 else (known[0],) * 3)
    return numbers, spread
