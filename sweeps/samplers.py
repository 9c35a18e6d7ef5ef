"""Optuna's samplers and pruners by the names of the command line."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from sweeps.plan import Plan
from sweeps.space import Parameter, SpaceError, Value, grid_size, waits_for_any

if TYPE_CHECKING:
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler
    from optuna.trial import Trial

SAMPLERS = ("tpe", "gp", "cmaes", "random", "grid")
PRUNERS = ("asha", "hyperband", "median", "none")
_FIRST = 6  # a trial has this part of its steps before it is compared: learning rates warm up, codebooks settle
_MOST_POINTS = 100_000  # of a grid: Optuna makes and shuffles all of them for every trial
# asha: one trial in two goes on at each rung. One in three saves little more, and lost the best trial more often (docs/LOG.md).
_REDUCTION = 2
_BRACKETS = 3  # hyperband's factor between its brackets (Li et al. 2018)


def make_sampler(name: str, plan: Plan, seed: int) -> BaseSampler:
    """A sampler that knows nothing but the study: every process makes its own.

    Args:
        name: one of `SAMPLERS`.
        plan: of the study.
        seed: of its draws; another one for each trial, or two processes draw the same. Of a grid its order, which is the study's.
    """
    from optuna import samplers
    from optuna.exceptions import ExperimentalWarning

    if name == "grid":
        return samplers.GridSampler({p.name: list(p.grid()) for p in plan.space}, seed=seed)
    if name == "random":
        return samplers.RandomSampler(seed=seed)
    if name == "gp":
        return samplers.GPSampler(seed=seed, warn_independent_sampling=False)
    if name == "cmaes":
        return samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False)
    conditional = any(parameter.when for parameter in plan.space)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # that `group` may change is no news for a user
        return samplers.TPESampler(seed=seed, multivariate=True, group=conditional)


def make_fixed(point: Mapping[str, Value]) -> BaseSampler:
    """A sampler that chooses these parameters."""
    from optuna import samplers
    from optuna.exceptions import ExperimentalWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return samplers.PartialFixedSampler(dict(point), samplers.RandomSampler())


def make_pruner(name: str, steps: int, every: int) -> BasePruner:
    """A pruner over optimizer steps.

    Args:
        name: one of `PRUNERS`.
        steps: of a whole run.
        every: steps between two reports of the objective.
    """
    from optuna import pruners

    first = first_rung(steps, every)
    if name == "asha":
        return pruners.SuccessiveHalvingPruner(min_resource=first, reduction_factor=_REDUCTION)
    if name == "hyperband":
        return pruners.HyperbandPruner(min_resource=first, max_resource=max(steps, first), reduction_factor=_BRACKETS)
    if name == "median":
        return pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=every)
    return pruners.NopPruner()


def first_rung(steps: int, every: int) -> int:
    """The step at which a trial is first compared: a sixth of the run, at a report."""
    every = max(1, every)
    return every * max(1, -(-steps // (_FIRST * every)))


def check_grid(space: Sequence[Parameter], trials: int | None, *, cut: bool = False) -> int:
    """Number of trials of a grid: of all its points; with `cut` at most `trials`.

    Raises:
        SpaceError: it is larger than the number of trials (says how large) or than any grid can be, it waits for what is searched,
            or a part is asked for and not how large a part.
    """
    searched = [parameter.name for parameter in space]
    if conditional := [parameter.name for parameter in space if waits_for_any(parameter, searched)]:
        raise SpaceError(
            f"a grid has no conditions, but {conditional[0]} has one; use another sampler, or settle what it waits for"
        )
    size = grid_size(space)
    each = " x ".join(f"{parameter.size():,} {parameter.name}" for parameter in space)
    if size > _MOST_POINTS:
        raise SpaceError(
            f"the grid has {size:,} points ({each}), and {_MOST_POINTS:,} is the most that can be listed: search fewer values "
            "(--search 'train.steps=int(100, 1000, 100)' has 10), or use --sampler random"
        )
    if cut and trials is None:
        raise SpaceError(
            f"--cut-grid takes --trials points of the grid's {size:,} ({each}), and --trials is not given: give it, or leave "
            "--cut-grid out for all of them"
        )
    if cut and trials is not None:
        return min(size, trials)
    if trials is not None and size > trials:
        raise SpaceError(
            f"the grid has {size:,} points ({each}), and --trials is {trials}: ask for --trials {size}, search fewer values "
            "(--search 'train.lr=log(1e-4, 1e-2, 3)' has 3), or take a part of it with --cut-grid"
        )
    return size


def suggest(trial: Trial, parameter: Parameter) -> Value:
    """Choose a value."""
    name, low, high = parameter.name, parameter.low, parameter.high
    if parameter.kind == "choice":
        return cast(Value, trial.suggest_categorical(name, parameter.choices))
    if parameter.kind == "int":
        return trial.suggest_int(name, int(low), int(high) - int(high - low) % parameter.step, step=parameter.step)
    return trial.suggest_float(name, low, high, log=parameter.kind == "log")
