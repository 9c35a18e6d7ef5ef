"""The command line of a training stage in this process: `python -m v2a.STAGE`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from v2a.comm import LocalComm
from v2a.config import ConfigError
from v2a.interrupt import StopSignals
from v2a.shards.errors import ShardError
from v2a.stages import Context, load_config, run_stage, stage_summary
from v2a.tasks import SerialTasks
from v2a.training.places import check_places

_INTERRUPTED = 130


def make_parser(stage: str, doc: str) -> argparse.ArgumentParser:
    """Of a stage.

    Args:
        stage: its name.
        doc: a summary, a blank line, and examples.
    """
    summary, examples = doc.strip().split("\n\n", 1)
    top = argparse.ArgumentParser(
        prog=f"python -m v2a.{stage}",
        description=summary,
        epilog=f"examples:\n{examples}\n\n{stage_summary(stage)}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    out = Path("runs") / stage
    top.add_argument("--out", type=Path, default=out, metavar="DIR", help=f"the run's folder (default: {out})")
    top.add_argument("--dry-run", action="store_true", help="say what would be trained, train and write nothing")
    top.add_argument("settings", nargs="*", metavar="key=value", help="settings of the stage, below")
    return top


def validate_settings(stage: str, settings: Sequence[str]) -> Any:
    """The stage's config of these "key=value" settings; "stage=NAME" may stand among them."""
    return load_config(stage, [setting for setting in settings if setting != f"stage={stage}"])


def run_command(
    stage: str, parser: argparse.ArgumentParser, plan: Callable[[Any], Sequence[str]], arguments: list[str] | None
) -> int:
    """Train in this process; 0 when finished, 1 with a sentence when it could not, 130 when it was stopped."""
    options = parser.parse_intermixed_args(arguments)
    try:
        config = validate_settings(stage, options.settings)
        check_places(options.out)
        for line in plan(config):
            print(line, flush=True)
        if options.dry_run:
            return 0
        options.out.mkdir(parents=True, exist_ok=True)
        with StopSignals() as stop:
            context = Context(LocalComm(), SerialTasks(), options.out, lambda step, metrics: None, stop.requested)
            metrics = run_stage(stage, config, context)
    except (ConfigError, ShardError, ValueError, OSError, RuntimeError, FloatingPointError) as error:
        print(f"{stage}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{stage}: stopped at once; the same command goes on from the last checkpoint", file=sys.stderr)
        return _INTERRUPTED
    for line in summary(metrics, options.out, config.train.steps):
        print(line)
    return _INTERRUPTED if metrics["stopped"] else 0


def summary(metrics: dict[str, float], out: Path, steps: int) -> list[str]:
    """What a person wants to know in the end of a run of so many steps."""
    done = "stopped; the same command goes on" if metrics["stopped"] else "finished"
    lines = [f"{done} after step {metrics['step']:.0f}, {metrics['skipped']:.0f} steps skipped"]
    if metrics["step"] > steps:  # the loop said that there was nothing to do
        lines = ["what was measured before:"]
    for part in ("epoch", "validation", "test"):
        found = {name.split("/")[1]: value for name, value in metrics.items() if name.startswith(f"{part}/")}
        if found:
            lines.append(f"  {part:<11}" + "  ".join(f"{name} {value:.4g}" for name, value in found.items()))
    return [*lines, f"  in {out}: metrics.jsonl, pictures/, checkpoints/; curves: tensorboard --logdir {out}"]
