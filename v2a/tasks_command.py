"""The command line of a stage of independent tasks, in this process and local ones: `python -m v2a.STAGE`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

from v2a.config import ConfigError, build_config, describe
from v2a.interrupt import StopSignals
from v2a.tasks import Job, fitting_workers, local_tasks

C = TypeVar("C")
_INTERRUPTED = 130
_WORKERS = "processes, each of one thread (default: one a core, or a GPU; 0: this process alone)"


def make_parser(stage: str, doc: str, config: type, dry_run: str, workers: str = _WORKERS) -> argparse.ArgumentParser:
    """Of a stage.

    Args:
        stage: its name.
        doc: a summary, a blank line, and examples.
        config: class of its settings.
        dry_run: what is said of this option.
        workers: what is said of this option.
    """
    summary, examples = doc.strip().split("\n\n", 1)
    top = argparse.ArgumentParser(
        prog=f"python -m v2a.{stage}",
        description=summary,
        epilog=f"examples:\n{examples}\n\nsettings, with their defaults:\n{describe(config)}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--workers", type=int, help=workers)
    top.add_argument("--dry-run", action="store_true", help=dry_run)
    top.add_argument("settings", nargs="*", metavar="key=value", help="settings of the stage, below")
    return top


def validate_settings(stage: str, config: type[C], settings: Sequence[str]) -> C:
    """The stage's config of these "key=value" settings; "stage=NAME" may stand among them.

    Raises:
        ConfigError: an unknown key, or a bad value.
    """
    return build_config(config, [setting for setting in settings if setting != f"stage={stage}"])


def run_command(
    stage: str, options: argparse.Namespace, validate: Callable[[Sequence[str]], C],
    dry_run: Callable[[C], None], make_job: Callable[[C], Job],
) -> int:  # fmt: skip
    """Do the work; 0 when all is done, 1 with a sentence when it could not be, 130 when it was stopped.

    Args:
        stage: its name.
        options: of `make_parser`'s parser.
        validate: settings to a config.
        dry_run: says what would be done.
        make_job: imports what takes a second, and makes the job.
    """
    try:
        config = validate(options.settings)
        if options.dry_run:
            dry_run(config)
            return 0
        job = make_job(config)
        workers = fitting_workers(getattr(config, "device", "cpu")) if options.workers is None else options.workers
        with StopSignals() as stop:
            result = local_tasks(workers).run(job, stop.requested)
        return _INTERRUPTED if result["stopped"] else 0
    except (ConfigError, OSError, RuntimeError, ValueError) as error:
        print(f"{stage}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{stage}: stopped at once; the same command goes on", file=sys.stderr)
        return _INTERRUPTED
