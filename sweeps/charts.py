"""Pictures of a study, as SVG texts for a page. Drawn by Optuna's own plots."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Any

from sweeps.study import Sweep

if TYPE_CHECKING:
    from optuna import Study

_SIZE = (8.0, 4.0)  # inches
_FEWEST = 2  # trials from which a picture says something


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
            charts["Intermediate values"] = lambda: plots.plot_intermediate_values(study)
    return {title: _svg(draw) for title, draw in charts.items()}


def _of_one(study: Study, name: str, target: Any) -> dict[str, Any]:
    import optuna.visualization.matplotlib as plots

    drawn = {"target": target, "target_name": name}
    return {
        f"History of {name}": lambda: plots.plot_optimization_history(study, **drawn),
        f"Importance for {name}": lambda: plots.plot_param_importances(study, **drawn),
        f"Parallel coordinates of {name}": lambda: plots.plot_parallel_coordinate(study, **drawn),
        f"Slices of {name}": lambda: plots.plot_slice(study, **drawn),
    }


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
    return out.getvalue()[out.getvalue().index("<svg") :]
