"""Train the 3D VQ-VAE on clip shards, in this process; the same command goes on where it was stopped.

python -m v2a.vqvae preset=tiny data=data/tiny
python -m v2a.vqvae data=data/clips train.steps=5000 --out runs/planes
python -m v2a.vqvae preset=paper data=data/clips quantizer.codes=512 model.dim=32
python -m v2a.vqvae --dry-run data=data/clips

On two ranks of this machine, or as a job of a cluster:

mpirun -np 2 python -m hpc.worker --run-dir runs/planes stage=vqvae data=data/clips
python -m hpc.submit --nodes 4 stage=vqvae data=data/clips
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from v2a.training.command import make_parser, run_command, validate_settings
from v2a.vqvae.config import Config


def parser() -> argparse.ArgumentParser:
    """The command line."""
    return make_parser("vqvae", __doc__ or "")


def validate(settings: Sequence[str]) -> Config:
    """The config of these "key=value" settings; raises `v2a.config.ConfigError` for a bad one."""
    config: Config = validate_settings("vqvae", settings)
    return config


def main(arguments: list[str] | None = None) -> int:
    """Train; see `run_command` for what is returned."""
    return run_command("vqvae", parser(), _plan, arguments)


def _plan(config: Config) -> list[str]:
    from v2a.vqvae.stage import plan  # torch takes a second: not for --help

    return plan(config)


if __name__ == "__main__":
    sys.exit(main())
