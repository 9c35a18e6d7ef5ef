"""Measure decoders of sound on a test split, null baselines beside them; the same command goes on where it was stopped.

python -m v2a.evaluate model=models/sound codes=data/codes data=data/clips out=runs/evaluate
python -m v2a.evaluate models=runs/audio,runs/fc codes=data/codes data=data/clips out=runs/compare
python -m v2a.evaluate codes=data/codes data=data/clips out=runs/baselines
python -m v2a.evaluate --dry-run model=models/sound codes=data/codes data=data/clips out=runs/evaluate
mpirun -np 2 python -m hpc.worker --run-dir runs/job stage=evaluate model=models/sound codes=data/codes data=data/clips
python -m hpc.submit --nodes 2 stage=evaluate model=models/sound codes=data/codes data=data/clips out=runs/evaluate
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from v2a.config import ConfigError
from v2a.evaluate.config import BASELINES, Config
from v2a.tasks import Job
from v2a.tasks_command import make_parser, run_command, validate_settings


def parser() -> argparse.ArgumentParser:
    """The command line."""
    return make_parser("evaluate", __doc__ or "", Config, "say what would be measured, measure and write nothing")


def validate(settings: Sequence[str]) -> Config:
    """The config of these "key=value" settings; "model=" may be repeated, which adds to "models=".

    Raises:
        ConfigError: an unknown key, or a bad value.
    """
    repeated = [setting.partition("=")[2] for setting in settings if setting.startswith("model=")]
    if len(repeated) < 2:
        return validate_settings("evaluate", Config, settings)
    if commas := [path for path in repeated if "," in path]:
        raise ConfigError(
            f"expected no comma in the path of one of several models, but got {commas[0]!r}; rename it, or link to it"
        )
    others = [setting for setting in settings if not setting.startswith(("model=", "models="))]
    more = [setting.partition("=")[2] for setting in settings if setting.startswith("models=")]
    return validate_settings("evaluate", Config, [*others, f"models={','.join(repeated + more)}"])


def main(arguments: list[str] | None = None) -> int:
    """Measure; 0 when all is measured, 1 with a sentence when it could not be, 130 when it was stopped."""
    return run_command("evaluate", parser().parse_intermixed_args(arguments), validate, _dry_run, _job)


def _job(config: Config) -> Job:
    from v2a.evaluate.job import EvaluateJob  # numpy and torch take a second: not for --help

    return EvaluateJob(config)


def _dry_run(config: Config) -> None:
    import torch

    from v2a.evaluate.clips import open_clips, pick
    from v2a.evaluate.plan import check_any, check_folder, load_models
    from v2a.inputs import check_out
    from v2a.training.precision import pick_device

    check_out(config.out)
    pick_device(config.device, 0)
    models = load_models(config, torch.device("cpu"))
    encoder = next(iter(models.values())).encoder.identity if models else None
    clips, training = (open_clips(config, split, encoder) for split in (config.split, "train"))
    chosen, among = pick(clips, config.clips), pick(training, config.reference)
    check_any(config, clips, chosen, among)
    check_folder(config, models, (clips, training))
    for name, model in models.items():
        print(f"model {name}: {model.identity} of {config.model_names()[name]}")
    videos = len({clips.row(clip).group for clip in chosen})
    print(f"null baselines: {', '.join(BASELINES)}")
    print(
        f"{len(chosen)} clips of {videos} videos of the split {config.split} would be measured, "
        f"held against {len(among)} training clips"
    )
    print(
        f"{clips.left_out['silent']} clips of videos without sound are left out; results would go to {Path(config.out)}"
    )


if __name__ == "__main__":
    sys.exit(main())
