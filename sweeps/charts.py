"""Pictures of a study, as SVG texts for a page. Drawn by Optuna's own plots."""

from __future__ import annotations

import io
import re
import warnings
from typing import TYPE_CHECKING, Any

from sweeps.study import Sweep

if TYPE_CHECKING:
    from optuna import Study

_SIZE = (8.0, 4.0)  # inches
_FEWEST = 2  # trials from which a picture says something
_MOST_NAMED = 10  # trials: the names of more are taller than the picture beside them
_PER_AXIS = 2.2  # inches, for the name of a setting
_SMALLEST = 0.85  # a picture is not shown smaller than this, for its text is 13 pixels high; it scrolls by itself
_PIXELS = 96  # of a browser's inch


def draw_charts(sweep: Sweep) -> dict[str, str]:
    """SVG by title. What cannot be drawn yet, with too few trials for example, says why instead.

    Args:
        sweep: the study; trials that were set aside are left out.
    """
    import matplotlib as mpl
    import optuna.visualization.matplotlib as plots

    mpl.use("Agg")
    study, objectives = _of_trials_that_count(sweep), sweep.plan.objectives
    complete = [trial for trial in study.get_trials(deepcopy=False) if trial.state.name == "COMPLETE"]
    if len(complete) < _FEWEST:
        return {"Not enough trials": f"<p>{len(complete)} trials are complete; pictures need {_FEWEST}.</p>"}
    if len(objectives) > 1:
        names = [objective.name for objective in objectives]
        charts: dict[str, Any] = {}
        if len(objectives) in (2, 3):
            charts["Pareto front"] = lambda: plots.plot_pareto_front(study, target_names=names)
        for number, name in enumerate(names):
            charts |= _of_one(study, name, lambda trial, number=number: trial.values[number])
    else:
        charts = _of_one(study, objectives[0].name, None)
        if any(trial.intermediate_values for trial in study.get_trials(deepcopy=False)):
            charts["Intermediate values"] = lambda: _intermediate(study)
    return {title: _svg(draw) for title, draw in charts.items()}


def _of_one(study: Study, name: str, target: Any) -> dict[str, Any]:
    import optuna.visualization.matplotlib as plots

    drawn = {"target": target, "target_name": name}
    return {
        f"History of {name}": lambda: plots.plot_optimization_history(study, **drawn),
        f"Importance for {name}": lambda: plots.plot_param_importances(study, **drawn),
        f"Parallel coordinates of {name}": lambda: _parallel(study, drawn),
        f"Slices of {name}": lambda: _slices(study, drawn),
    }


def _intermediate(study: Study) -> Any:
    import optuna.visualization.matplotlib as plots

    axes = plots.plot_intermediate_values(study)
    legend = axes.get_legend()
    if legend is not None and len(axes.get_lines()) > _MOST_NAMED:
        legend.remove()
    return axes


def _parallel(study: Study, drawn: dict[str, Any]) -> Any:
    """Wide enough that no name of an axis lies over the next one's."""
    import optuna.visualization.matplotlib as plots

    axes: Any = plots.plot_parallel_coordinate(study, **drawn)
    names = [label.get_text() for label in axes.get_xticklabels()]
    axes.set_xticks(axes.get_xticks(), [_broken(name) for name in names], rotation=0, ha="center")
    axes.figure.set_size_inches(_PER_AXIS * len(names), _SIZE[1])
    return axes


def _slices(study: Study, drawn: dict[str, Any]) -> Any:
    """With numbers that are not written over each other."""
    import numpy as np
    import optuna.visualization.matplotlib as plots
    from matplotlib.ticker import NullFormatter

    drawn_axes: Any = plots.plot_slice(study, **drawn)
    axes = np.atleast_1d(drawn_axes)
    for one in axes:
        one.tick_params(axis="x", labelrotation=30)
        one.xaxis.set_minor_formatter(NullFormatter())
        one.set_xlabel(_broken(one.get_xlabel()))
    axes[0].figure.set_size_inches(_PER_AXIS * len(axes), _SIZE[1])
    return axes


def _broken(name: str) -> str:
    """A setting's name, or a metric's, on two lines."""
    return re.sub(r"([./])(?=\w)", r"\1\n", name)


def _of_trials_that_count(sweep: Sweep) -> Study:
    import optuna

    kept = optuna.create_study(directions=[objective.direction for objective in sweep.plan.objectives])
    kept.add_trials(sweep.trials())
    return kept


def _svg(draw: Any) -> str:
    from matplotlib import pyplot

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a plot is experimental is no news for a reader
            axes = draw()
            figure = (axes if hasattr(axes, "figure") else axes.flat[0]).figure
            figure.set_size_inches(max(_SIZE[0], figure.get_size_inches()[0]), _SIZE[1])
            out = io.StringIO()
            figure.savefig(out, format="svg", bbox_inches="tight", metadata={"Date": None})
    except (ValueError, RuntimeError, ZeroDivisionError, IndexError) as error:
        return f"<p>not drawn: {type(error).__name__}</p>"
    finally:
        pyplot.close("all")
    width = round(_SMALLEST * _PIXELS * figure.get_size_inches()[0])
    return f'<svg style="min-width: {width}px"' + out.getvalue().partition("<svg")[2]
