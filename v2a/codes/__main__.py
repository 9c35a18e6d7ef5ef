"""Encode clip shards to code shards with a trained VQ-VAE; the same command goes on where it was stopped.

python -m v2a.codes model=models/planes data=data/clips out=data/codes
python -m v2a.codes --workers 4 model=runs/planes data=data/clips out=data/codes
python -m v2a.codes --dry-run model=models/planes data=data/clips out=data/codes
mpirun -np 2 python -m hpc.worker --run-dir runs/codes stage=codes model=models/planes data=data/clips out=data/codes
python -m hpc.submit --nodes 4 stage=codes model=models/planes data=data/clips out=data/codes
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from v2a.codes.config import Config
from v2a.tasks import Job
from v2a.tasks_command import make_parser, run_command, validate_settings


def parser() -> argparse.ArgumentParser:
    """The command line."""
    return make_parser("codes", __doc__ or "", Config, "say what would be encoded, encode and write nothing")


def validate(settings: Sequence[str]) -> Config:
    """See `v2a.tasks_command.validate_settings`."""
    return validate_settings("codes", Config, settings)


def main(arguments: list[str] | None = None) -> int:
    """Encode; 0 when all is encoded, 1 with a sentence when it could not be, 130 when it was stopped."""
    return run_command("codes", parser().parse_intermixed_args(arguments), validate, _dry_run, _job)


def _job(config: Config) -> Job:
    from v2a.codes.job import CodesJob  # torch takes a second: not for --help

    return CodesJob(config)


def _dry_run(config: Config) -> None:
    import torch

    from v2a.codes.plan import make_plan
    from v2a.vqvae.load import load_vqvae

    loaded = load_vqvae(Path(config.model), torch.device("cpu"))
    plan = make_plan(Path(config.data), Path(config.out), loaded)
    t, h, w = loaded.geometry.latent_grid([loaded.model.strides])
    print(f"encoder {loaded.identity} of {config.model}: clips of {loaded.geometry} to codes {t}x{h}x{w}")
    print(f"{plan.clips} clips in {len(plan.tasks)} shards would be encoded, {plan.done} clips are done")
    print(f"{plan.bytes / 1e6:.1f} MB would go to {config.out}")


if __name__ == "__main__":
    sys.exit(main())
