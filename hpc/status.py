"""How all runs stand, or one: asks Slurm at most twice, whatever their number, and works without its accounting.

python -m hpc.status
python -m hpc.status --all --runs runs
python -m hpc.status vqvae-12345678
python -m hpc.status --watch 30
python -m hpc.status --json
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from hpc.find import all_runs, find_run
from hpc.glance import Glance, details, glance, table
from hpc.job import JobError
from hpc.states import states
from hpc.visible import say_what_can_be_said, visible_lines

_SHOWN = 20  # runs that have ended, without --all
_WATCH_S = 30.0  # Slurm's controller has other things to do
_MOST_S = 86_400.0


def look(runs: Path, name: str | None = None) -> list[Glance]:
    """How runs stand: active ones last, each with its newest numbers.

    Args:
        runs: folder of all runs.
        name: of one run; None for all.

    Raises:
        JobError: there is no such run.
    """
    folders = [find_run(runs, name)] if name is not None else all_runs(runs)
    found = [glance(state) for state in states(folders).values()]
    return sorted(found, key=lambda one: one.state.is_active)  # a stable order: oldest first in each half


def show(runs: Path, name: str | None, every: bool, width: int | None) -> list[str]:
    """The same as text."""
    glances = look(runs, name)
    if name is not None:
        return details(glances[0], glances[0].state.run_dir)
    if not glances:
        return [f"there are no runs in {runs}; python -m hpc.submit makes one, --runs names another folder"]
    ended = [one for one in glances if not one.state.is_active]
    hidden = 0 if every else max(0, len(ended) - _SHOWN)
    lines = table(glances[hidden:], width)
    return [*lines, f"… and {hidden} that ended before (--all shows them)"] if hidden else lines


def _as_json(runs: list[dict[str, Any]]) -> str:
    """Python writes NaN and infinity, which JSON does not have and other programs refuse: they are null."""
    return json.dumps(json.loads(json.dumps(runs), parse_constant=lambda _: None))


def _seconds(text: str) -> float:
    """Of --watch.

    Raises:
        argparse.ArgumentTypeError: no number, or none that can be waited for.
    """
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not 0 < found <= _MOST_S:
        raise argparse.ArgumentTypeError(f"expected seconds above 0, at most a day, but got {text!r}")
    return found


def parser() -> argparse.ArgumentParser:
    """The command line."""
    summary, examples = (__doc__ or "").split("\n\n")
    top = argparse.ArgumentParser(
        prog="python -m hpc.status", description=summary, epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    top.add_argument("run", nargs="?", metavar="RUN", help="one run: its folder, its name, or a beginning of it")
    top.add_argument("--runs", type=Path, default=Path("runs"), help="folder of all runs (default: runs)")
    top.add_argument("--all", action="store_true", help="also those that ended long ago")
    top.add_argument(
        "--watch",
        nargs="?",
        type=_seconds,
        const=_WATCH_S,
        metavar="S",
        help=f"again every S seconds (default: {_WATCH_S:g})",
    )
    top.add_argument("--json", action="store_true", help="for programs: a list of objects")
    return top


def main(arguments: list[str] | None = None) -> int:
    """Show; 0, or 1 with a sentence when there is no such run."""
    options = parser().parse_args(arguments)
    say_what_can_be_said()
    try:
        while True:
            live = sys.stdout.isatty()
            if options.json:
                text = _as_json([one.as_dict() for one in look(options.runs, options.run)])
            else:
                width = shutil.get_terminal_size().columns if live else None
                text = "\n".join(show(options.runs, options.run, options.all, width))
            print(f"\x1b[H\x1b[2J{text}" if live and options.watch else text, flush=True)
            if options.watch is None:
                return 0
            time.sleep(max(1.0, options.watch))
    except BrokenPipeError:  # `| head` has seen enough
        sys.stderr.close()
        return 0
    except (JobError, OSError) as error:
        print(f"status: {visible_lines(str(error))}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
