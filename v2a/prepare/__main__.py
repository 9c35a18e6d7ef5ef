"""Prepare videos of any kind: verified shards of clips, from a folder, a list or a CSV.

python -m v2a.prepare videos=clips/ out=data/clips
python -m v2a.prepare --workers 8 videos=vggsound.csv out=data/vgg fit=crop keep.min_level_db=-50
python -m v2a.prepare videos=clips/ out=data/tiny preset=tiny
python -m v2a.prepare --dry-run videos=list.txt out=data/clips
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from v2a.config import ConfigError, build_config, describe
from v2a.interrupt import StopSignals
from v2a.prepare.config import Config
from v2a.prepare.done import Done
from v2a.prepare.folder import Folder, FolderBusy
from v2a.prepare.inputs import find_inputs
from v2a.prepare.job import PrepareJob
from v2a.prepare.plan import make_plan
from v2a.prepare.progress import Progress
from v2a.processes import WorkerDied
from v2a.tasks import local_tasks

_INTERRUPTED = 130


def parser() -> argparse.ArgumentParser:
    """The command line."""
    summary, examples = (__doc__ or "").split("\n\n")
    top = argparse.ArgumentParser(
        prog="python -m v2a.prepare",
        description=summary,
        epilog=f"examples:\n{examples}\nsettings, with their defaults:\n{describe(Config)}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument(
        "--workers", type=int, help="processes, each with one decoder (default: one a core; 0: this process alone)"
    )
    top.add_argument("--dry-run", action="store_true", help="say what would be read, read and write nothing")
    top.add_argument("settings", nargs="+", metavar="key=value", help="videos=PATH and other settings")
    return top


def validate(settings: Sequence[str]) -> Config:
    """The config of these "key=value" settings.

    Raises:
        ConfigError: an unknown key, or a bad value.
    """
    return build_config(Config, [setting for setting in settings if setting != "stage=prepare"])


def main(arguments: list[str] | None = None) -> int:
    """Prepare; 0 when all was read, 1 with a sentence when it could not be, 130 when it was stopped."""
    options = parser().parse_intermixed_args(arguments)
    workers = len(os.sched_getaffinity(0)) if options.workers is None else options.workers
    try:
        config = validate(options.settings)
        if options.dry_run:
            return _dry_run(config)
        with StopSignals() as stop:
            result = local_tasks(workers).run(PrepareJob(config), stop.requested)
        return _INTERRUPTED if result["stopped"] else 0
    except (ConfigError, FolderBusy, WorkerDied, OSError, ValueError) as error:
        print(f"prepare: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("prepare: stopped at once; the same command goes on", file=sys.stderr)
        return _INTERRUPTED


def _dry_run(config: Config) -> int:
    inputs = find_inputs(config.videos)
    folder = Folder(Path(config.out))
    done, failures = (folder.done(), folder.failures()) if folder.path.is_dir() else (Done(), [])
    progress = Progress(sys.stdout)
    plan = make_plan(inputs.videos, done, failures, config, progress.comparing)
    progress.begin(inputs, plan)
    geometry = config.geometry
    size = geometry.frames * geometry.frame_bytes + 2 * geometry.samples
    print(f"clips of {geometry} (preset {config.preset}), {size / 1e6:.1f} MB each, would go to {config.out}")
    tasks = [task for bundle in plan.tasks for task in bundle.tasks]
    for task in tasks[:20]:
        print(f"  {task.video.path!a} {task.video.span}")
    if len(tasks) > 20:
        print(f"  … and {len(tasks) - 20} more")
    return 0


if __name__ == "__main__":
    sys.exit(main())
