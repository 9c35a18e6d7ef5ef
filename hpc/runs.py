"""Two runs side by side: what differs in their settings, and their curves.

python -m hpc.runs compare vqvae-12345678 vqvae-9abcdef0
python -m hpc.runs compare vqvae-12345678 vqvae-9abcdef0 --metric validation/psnr
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import Any

from hpc.find import find_run
from hpc.job import JobError
from hpc.record import CONFIG, RESULT, RUN, all_metrics, read_json
from hpc.visible import say_what_can_be_said

_POINTS = 10
_BARS = "▁▂▃▄▅▆▇█"
_CURVE = 48  # characters


def differences(first: Path, second: Path) -> list[tuple[str, str, str]]:
    """Name and both values of every setting, number of ranks and commit that differ.

    Raises:
        JobError: the description of one is damaged.
    """
    left, right = (_flat(_described(path)) for path in (first, second))
    return [
        (n, left.get(n, ""), right.get(n, "")) for n in sorted({*left, *right}) if left.get(n, "") != right.get(n, "")
    ]


def curve(run_dir: Path, metric: str) -> dict[int, float]:
    """A metric by step."""
    found = {}
    for line in all_metrics(run_dir):
        step, value = (_finite(line.get(name)) for name in ("step", metric))
        if step is not None and value is not None:
            found[int(step)] = value
    return found


def _finite(value: object) -> float | None:
    try:
        number = float(value) if isinstance(value, (int, float)) else math.nan
    except OverflowError:  # a whole number beyond all floats
        return None
    return number if math.isfinite(number) else None


def bars(points: dict[int, float], lowest: float, highest: float, last: int) -> str:
    """A curve in one line of text, to a common scale."""
    cells: list[list[float]] = [[] for _ in range(_CURVE)]
    for step, value in points.items():
        cells[min(_CURVE - 1, step * _CURVE // max(1, last + 1))].append(value)
    span = highest - lowest or 1.0
    return "".join(
        _BARS[round((sum(cell) / len(cell) - lowest) / span * (len(_BARS) - 1))] if cell else " " for cell in cells
    ).rstrip()


def compare(first: Path, second: Path, metric: str) -> list[str]:
    """Both runs for people.

    Raises:
        JobError: neither has the metric (names those that they have); a run's description is damaged.
    """
    lines = ["settings that differ:"]
    rows = differences(first, second)
    width = max((len(name) for name, _, _ in rows), default=0)
    lines += [f"  {name:<{width}}  {left or '(none)'}  |  {right or '(none)'}" for name, left, right in rows] or [
        "  none"
    ]
    curves = [curve(path, metric) for path in (first, second)]
    values = [value for points in curves for value in points.values()]
    if not values:
        known = sorted(
            {name for path in (first, second) for line in all_metrics(path) for name in line if name != "step"}
        )
        raise JobError(f"neither run has {metric!r}; they have: {', '.join(known) or 'no metrics yet'}")
    last = max(step for points in curves for step in points)
    lines += ["", f"{metric} from {min(values):.4g} to {max(values):.4g}, until step {last}:"]
    names = [path.name for path in (first, second)]
    wide = max(map(len, names))
    lines += [f"  {n:<{wide}}  {bars(c, min(values), max(values), last)}" for n, c in zip(names, curves, strict=True)]
    return [*lines, "", *_points(names, curves), *_results(first, second)]


def _points(names: list[str], curves: list[dict[int, float]]) -> list[str]:
    both = sorted(curves[0].keys() & curves[1].keys())
    chosen = both[:: max(1, math.ceil(len(both) / _POINTS))]
    if both and chosen[-1] != both[-1]:
        chosen.append(both[-1])
    if not chosen:
        return ["  they have no step in common"]
    head = f"  {'step':>8}  " + "  ".join(f"{name:>12}" for name in names)
    widths = [max(12, len(name)) for name in names]
    rows = [[f"{curve[step]:>{wide}.5g}" for wide, curve in zip(widths, curves, strict=True)] for step in chosen]
    return [head, *(f"  {step:>8}  " + "  ".join(row) for step, row in zip(chosen, rows, strict=True))]


def _results(first: Path, second: Path) -> list[str]:
    left, right = (_numbers(read_json(path / RESULT) or {}) for path in (first, second))
    both = [name for name in left if name in right and name != "stopped"]
    if not both:
        return []
    width = max(map(len, both))
    return ["", "results:", *(f"  {name:<{width}}  {left[name]:>12.6g}  {right[name]:>12.6g}" for name in both)]


def _numbers(found: dict[str, Any]) -> dict[str, float]:
    return {name: value for name, value in found.items() if isinstance(value, (int, float))}


def _described(run_dir: Path) -> dict[str, Any]:
    """A run's `run.json`; where there is none, as of a batch script's run, the settings that its worker wrote down.

    Raises:
        JobError: it is not as a submission writes it.
    """
    run = read_json(run_dir / RUN)
    parts = (run or {}).get("settings"), (run or {}).get("spec"), (run or {}).get("code")
    if (run is None and (run_dir / RUN).exists()) or not all(part is None or isinstance(part, dict) for part in parts):
        raise JobError(f"{run_dir / RUN} is damaged; the command that submitted it writes it anew")
    if run is None:
        worker = read_json(run_dir / CONFIG) or {}
        overrides = worker.get("overrides") or []
        if not isinstance(overrides, list):
            raise JobError(f"{run_dir / CONFIG} is damaged; the run writes it anew when it goes on")
        given = [str(setting).partition("=") for setting in overrides]
        return {
            "settings": {"stage": worker.get("stage", ""), **{key: value for key, _, value in given}},
            "spec": worker,
        }
    return run


def _flat(run: dict[str, Any]) -> dict[str, str]:
    found = {f"settings.{n}": v for n, v in _leaves(run.get("settings") or {})}
    spec, code = run.get("spec") or {}, run.get("code") or {}
    found |= {name: spec.get(name) for name in ("nodes", "ranks_per_node", "world_size", "partition") if name in spec}
    return {n.removeprefix("settings."): str(v) for n, v in (found | {"commit": code.get("commit", "")}).items()}


def _leaves(group: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in group.items():
        found += _leaves(value, f"{prefix}{name}.") if isinstance(value, dict) else [(prefix + name, value)]
    return found


def parser() -> argparse.ArgumentParser:
    """The command line."""
    summary, examples = (__doc__ or "").split("\n\n")
    top = argparse.ArgumentParser(
        prog="python -m hpc.runs", description=summary, epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    side = commands.add_parser("compare", help="two runs side by side")
    side.add_argument("first", metavar="A", help="a run: its folder, its name, or a beginning of it")
    side.add_argument("second", metavar="B", help="another")
    side.add_argument("--metric", default="loss", help="whose curve (default: loss)")
    side.add_argument("--runs", type=Path, default=Path("runs"), help="folder of all runs (default: runs)")
    return top


def main(arguments: list[str] | None = None) -> int:
    """Compare; 0, or 1 with a sentence when it cannot be done."""
    options = parser().parse_args(arguments)
    say_what_can_be_said()
    try:
        first, second = (find_run(options.runs, name) for name in (options.first, options.second))
        print("\n".join(compare(first, second, options.metric)))
    except (JobError, OSError) as error:
        print(f"runs: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
