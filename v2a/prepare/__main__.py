"""Prepare videos of any kind: verified shards of clips, from a folder, a list or a CSV.

python -m v2a.prepare videos=clips/ out=data/clips
python -m v2a.prepare --workers 8 videos=vggsound.csv out=data/vgg fit=crop keep.min_level_db=-50
python -m v2a.prepare videos=clips/ out=data/tiny preset=tiny
python -m v2a.prepare --dry-run videos=list.txt out=data/clips
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from v2a.prepare.config import Config
from v2a.prepare.done import Done
from v2a.prepare.folder import Folder
from v2a.prepare.inputs import find_inputs
from v2a.prepare.job import PrepareJob
from v2a.prepare.plan import make_plan
from v2a.prepare.progress import Progress
from v2a.tasks_command import make_parser, run_command, validate_settings

_WORKERS = "processes, each with one decoder (default: one a core; 0: this process alone)"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    return make_parser("prepare", __doc__ or "", Config, "say what would be read, read and write nothing", _WORKERS)


def validate(settings: Sequence[str]) -> Config:
    """See `v2a.tasks_command.validate_settings`."""
    return validate_settings("prepare", Config, settings)


def main(arguments: list[str] | None = None) -> int:
    """Prepare; 0 when all was read, 1 with a sentence when it could not be, 130 when it was stopped."""
    return run_command("prepare", parser().parse_intermixed_args(arguments), validate, _dry_run, PrepareJob)


def _dry_run(config: Config) -> None:
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


if __name__ == "__main__":
    sys.exit(main())
