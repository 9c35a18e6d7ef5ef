"""Show a study: one page with everything, or a table in the terminal.

python -m sweeps.report vqvae-1a2b3c4d                          writes runs/vqvae-1a2b3c4d/report.html
python -m sweeps.report vqvae-1a2b3c4d --out study.html
python -m sweeps.report vqvae-1a2b3c4d --table                  the trials, in the terminal
python -m sweeps.report planes --storage postgresql://me@db.example/sweeps
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweeps.command import JOURNAL
from sweeps.database_url import is_database
from sweeps.entries import ASIDE, FOLDER, REASON
from sweeps.look import has_tables
from sweeps.opening import open_sweep
from sweeps.patience import sentences
from sweeps.place import Place, StorageError, find_place
from sweeps.plan import StudyError, check_name
from sweeps.runs_folder import has_id
from sweeps.storage import open_storage
from sweeps.study import Sweep
from sweeps.table import format_table, rows_of, summary
from sweeps.trial_folder import read_task

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial


def parser() -> argparse.ArgumentParser:
    """The command line."""
    first, examples = (__doc__ or "").strip().split("\n\n", 1)
    top = argparse.ArgumentParser(
        prog="python -m sweeps.report", description=first, epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False,
    )  # fmt: skip
    top.add_argument("study", metavar="STUDY", help="its name")
    top.add_argument("--storage", metavar="URL", help="where it is (default: OPTUNA_STORAGE, else beside the runs)")
    top.add_argument("--runs", type=Path, default=Path("runs"), help="folder of all runs (default: runs)")
    top.add_argument("--out", type=Path, metavar="FILE", help="the page (default: report.html in the study's folder)")
    top.add_argument("--table", action="store_true", help="print the trials instead")
    return top


def main(arguments: list[str] | None = None) -> int:
    """Show it; 0, or 1 with a sentence."""
    options = parser().parse_args(arguments)
    try:
        sweep = _open(options)
        if options.table:
            width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 10_000
            print("\n".join([*format_table(rows_of(sweep), width), summary(sweep)]))
            return 0
        out: Path = options.out or options.runs / options.study / "report.html"
        write_page(sweep, out)
    except (StudyError, StorageError, ValueError) as error:
        print(f"report: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"report: the page cannot be written: {error}", file=sys.stderr)
        return 1
    print(out)
    return 0


def _open(options: argparse.Namespace) -> Sweep:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    journal = options.runs.resolve() / check_name(options.study) / JOURNAL
    place = find_place(options.storage, journal)
    if not _is_there(place):
        raise StudyError(f"there is no study {options.study!r} in {place.label}; is it in another --storage or --runs?")
    sweep, folder = open_sweep(open_storage(place), options.study, None), journal.parent
    return sweep.seen_from(folder) if has_id(folder) else sweep  # who only looks makes nothing there either


def _is_there(place: Place) -> bool:
    """Whether there is a file, or a database with studies: who only looks makes nothing."""
    if place.kind != "postgresql" and not place.path.exists():
        return False
    with sentences(place):
        return place.kind == "journal" or has_tables(place)


def write_page(sweep: Sweep, out: Path) -> None:
    """One file with everything in it.

    Raises:
        OSError: it cannot be written.
    """
    import jinja2

    from sweeps.charts import draw_charts

    template = Path(__file__).with_name("report_page.html").read_text()
    page = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(template)
    text = page.render(
        name=sweep.name, summary=summary(sweep), plan=sweep.plan, rows=rows_of(sweep), best=_best(sweep),
        failed=_failed(sweep), charts=draw_charts(sweep), dashboard=dashboard_command(sweep.storage.place),
    )  # fmt: skip
    unfinished = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_text(text)
        os.replace(unfinished, out)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise


def _best(sweep: Sweep) -> list[dict[str, Any]]:
    """The best trial, or those of the Pareto front."""
    if not any(trial.state.name == "COMPLETE" for trial in sweep.trials()):
        return []
    one = len(sweep.plan.objectives) == 1
    return [
        {
            "number": trial.number,
            "values": [f"{value:.6g}" for value in trial.values],
            "command": run_command(sweep, trial),
        }
        for trial in ([sweep.study.best_trial] if one else sweep.study.best_trials)
    ]


def run_command(sweep: Sweep, trial: FrozenTrial) -> str:
    """The command that trains with a trial's parameters, on as many ranks: with more, a step's batch is larger."""
    settings = [f"stage={sweep.plan.stage}", *sweep.plan.overrides(trial.params)]
    return shlex.join(["python", "-m", "hpc.submit", *_ranks(sweep, trial), *settings])


def _ranks(sweep: Sweep, trial: FrozenTrial) -> list[str]:
    folder = sweep.folder_of(trial) if FOLDER in trial.user_attrs else None
    try:
        task = read_task(folder) if folder is not None else None
    except ValueError:  # its folder is gone
        task = None
    if task is None:
        return []
    return ["--nodes", str(task.nodes), "--ranks-per-node", str(task.ranks_per_node)]


def dashboard_command(place: Place) -> str:
    """The command that opens the same storage in optuna-dashboard."""
    if place.kind == "journal":
        return shlex.join(["optuna-dashboard", str(place.path)])
    return shlex.join(["optuna-dashboard", place.spec if is_database(place.spec) else place.label])


def _failed(sweep: Sweep) -> list[tuple[int, str]]:
    """Trials that failed or were set aside, with their reasons."""
    return [
        (trial.number, trial.user_attrs.get(REASON) or trial.user_attrs.get(ASIDE) or "")
        for trial in sweep.study.get_trials(deepcopy=False)
        if trial.state.name == "FAIL"
    ]


if __name__ == "__main__":
    sys.exit(main())
