"""Compare samplers on one search: the best so far against trials and against training steps, over several seeds.

python -m sweeps.compare --samplers random,grid,tpe,gp --seeds 5 --trials 24 stage=vqvae preset=tiny data=data/clips
python -m sweeps.compare --samplers random,tpe --seeds 3 --trials 8 --pruner none stage=selftest steps=20
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from pathlib import Path
from typing import Any

from hpc.slurm_query import SlurmError
from hpc.stage_settings import ConfigError
from sweeps import optuna_run
from sweeps.command import JOURNAL, TRIALS, Command, make_command
from sweeps.curves import Curve, curve_of, draw_curves, trials_to_reach
from sweeps.opening import open_sweep
from sweeps.place import StorageError, find_place
from sweeps.plan import StudyError
from sweeps.samplers import SAMPLERS, make_sampler
from sweeps.space import SpaceError
from sweeps.storage import open_storage


def _own(top: argparse.ArgumentParser) -> argparse.ArgumentParser:
    own = top.add_argument_group("what is compared")
    own.add_argument(
        "--samplers",
        default="random,grid,tpe,gp",
        metavar="A,B",
        help="names, with commas (default: random,grid,tpe,gp)",
    )
    own.add_argument("--seeds", type=int, default=5, metavar="N", help="studies of each (default: 5)")
    return top


def parser() -> argparse.ArgumentParser:
    """The command line: that of `sweeps.optuna_run`, and what is compared."""
    top = _own(optuna_run.parser())
    top.set_defaults(sampler=None)  # to see whether it is given
    summary, examples = (__doc__ or "").strip().split("\n\n", 1)
    top.prog, top.description, top.epilog = "python -m sweeps.compare", summary, f"examples:\n{examples}"
    return top


validate = optuna_run.validate


def main(arguments: list[str] | None = None) -> int:
    """Run the studies that are missing, one after the other, and show all; 0, 1 with a sentence, 130 when it was stopped."""
    given = sys.argv[1:] if arguments is None else arguments
    options = parser().parse_intermixed_args(given)
    own, rest = _own(argparse.ArgumentParser(add_help=False, allow_abbrev=False)).parse_known_args(given)
    try:
        samplers = _samplers(options)
        if options.trials is None:
            options.trials = TRIALS
            rest += ["--trials", str(TRIALS)]
        command = _check(options, samplers)
        return _compare(command, samplers, own.seeds, rest, options)
    except (ConfigError, StudyError, StorageError, SlurmError, ValueError, OSError) as error:
        print(f"compare: {error}", file=sys.stderr)
        return 1


def _samplers(options: argparse.Namespace) -> list[str]:
    """Names of the samplers; sees to the number of seeds, too."""
    for name, instead in (("sampler", "--samplers A,B"), ("seed", "--seeds N, the number of studies of each sampler")):
        if getattr(options, name) is not None:
            raise StudyError(f"--{name} is of one study, and a comparison has several: use {instead}")
    names = [name.strip() for name in options.samplers.split(",")]
    for name in names:
        if name not in SAMPLERS:
            raise StudyError(f"there is no sampler {name!r}; there are: {', '.join(SAMPLERS)}")
        if names.count(name) > 1:
            raise StudyError(f"{name} stands twice in --samplers; leave one of them out")
    if options.seeds < 1:
        raise StudyError(f"expected --seeds of at least 1, but got {options.seeds}")
    return names


def _check(options: argparse.Namespace, samplers: list[str]) -> Command:
    """See that every sampler can do this search, before any of it is trained; the command of the one with the most trials."""
    stage, settings = optuna_run.split(options.settings)
    commands = []
    for name in samplers:
        given = argparse.Namespace(**{**vars(options), "sampler": name, "cut_grid": True})
        try:
            commands.append(make_command(given, stage, list(settings)))
        except SpaceError as error:
            raise SpaceError(f"--samplers {name}: {error}" if name == "grid" else str(error)) from None
        make_sampler(name, commands[-1].plan, 0)
    return max(commands, key=lambda command: command.options.trials)  # a grid may have fewer points


def _compare(command: Command, samplers: list[str], seeds: int, rest: list[str], options: argparse.Namespace) -> int:
    if len(command.plan.objectives) > 1:
        raise StudyError("samplers are compared by one objective; give one --objective")
    found: dict[str, list[Curve]] = {}
    for seed in range(seeds):
        for sampler in samplers:
            name = f"{command.study}-{sampler}-{seed}"
            status = optuna_run.main([*rest, "--study", name, "--sampler", sampler, "--cut-grid", "--seed", str(seed)])
            if status != 0:
                return status
            if not options.dry_run:
                found.setdefault(sampler, []).append(_curve(command, name, options.storage))
                _write(command, found)  # after each: what is there can be looked at
    if not options.dry_run:
        for line in _lines(command, found):
            print(line)
        print(_folder(command) / "compare.svg")
    return 0


def _folder(command: Command) -> Path:
    return command.folder.parent / f"{command.study}-compare"


def _curve(command: Command, name: str, storage: str | None) -> Curve:
    place = find_place(storage, command.folder.parent / name / JOURNAL)
    return curve_of(open_sweep(open_storage(place), name, None))


def _lines(command: Command, found: dict[str, list[Curve]]) -> list[str]:
    """Median best value of each sampler, and after how many trials it reached random search's."""
    from statistics import median

    larger = command.plan.objectives[0].direction == "maximize"
    lines = [f"{command.plan.objectives[0]}, median of {len(next(iter(found.values())))} seeds:"]
    goal = median(curve.end for curve in found["random"]) if "random" in found else None
    for sampler, curves in found.items():
        ends = sorted(curve.end for curve in curves)
        line = f"  {sampler:<8} {median(ends):.5g}  ({ends[0]:.5g} to {ends[-1]:.5g}) after {_trials(curves)} trials"
        if goal is not None:
            line += f"; random's median best {_after(curves, goal, larger)}"
        lines.append(line)
    return lines


def _trials(curves: list[Curve]) -> str:
    """How many there are in each: studies may have more than are asked for, of an earlier command."""
    numbers = sorted({len(curve.best) for curve in curves})
    return f"{numbers[0]}" if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"


def _after(curves: list[Curve], goal: float, larger: bool) -> str:
    """After how many trials it was reached, in the median."""
    from statistics import median

    reached = [trials_to_reach(curve, goal, larger=larger) for curve in curves]
    needed = median(float("inf") if number is None else number for number in reached)
    return (
        f"after {needed:g} trials"
        if math.isfinite(needed)
        else f"not reached in {max(len(curve.best) for curve in curves)}"
    )


def _write(command: Command, found: dict[str, list[Curve]]) -> None:
    folder = _folder(command)
    folder.mkdir(parents=True, exist_ok=True)
    content: dict[str, Any] = {
        "plan": command.plan.as_dict(),
        "trials": command.options.trials,
        "samplers": {
            name: [{"best": curve.best, "steps": curve.steps} for curve in curves] for name, curves in found.items()
        },
    }
    for name, text in (
        ("compare.json", json.dumps(content, indent=1) + "\n"),
        ("compare.svg", draw_curves(found, command.plan.objectives[0].name)),
    ):
        unfinished = folder / f".{name}.{os.getpid()}"
        unfinished.write_text(text)
        os.replace(unfinished, folder / name)


if __name__ == "__main__":
    sys.exit(main())
