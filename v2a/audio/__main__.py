"""Train a decoder that turns codes into sound, in this process; the same command goes on where it was stopped.

python -m v2a.audio preset=tiny model=models/tiny codes=data/tiny-codes data=data/tiny
python -m v2a.audio model=models/vqvae codes=data/codes data=data/clips --out runs/audio
python -m v2a.audio preset=paper model=models/vqvae codes=data/codes data=data/clips --out runs/fc
python -m v2a.audio --dry-run model=models/vqvae codes=data/codes data=data/clips

On two ranks of this machine, or as a job of a cluster:

mpirun -np 2 python -m hpc.worker --run-dir runs/audio stage=audio model=models/vqvae codes=data/codes data=data/clips
python -m hpc.submit --nodes 4 stage=audio model=models/vqvae codes=data/codes data=data/clips
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from v2a.audio.config import Config
from v2a.training.command import make_parser, run_command, validate_settings


def parser() -> argparse.ArgumentParser:
    """The command line."""
    return make_parser("audio", __doc__ or "")


def validate(settings: Sequence[str]) -> Config:
    """The config of these "key=value" settings; raises `v2a.config.ConfigError` for a bad one."""
    config: Config = validate_settings("audio", settings)
    return config


def main(arguments: list[str] | None = None) -> int:
    """Train; see `run_command` for what is returned."""
    return run_command("audio", parser(), _plan, arguments)


def _plan(config: Config) -> list[str]:
    from v2a.audio.stage import plan  # torch takes a second: not for --help

    return plan(config)


if __name__ == "__main__":
    sys.exit(main())
