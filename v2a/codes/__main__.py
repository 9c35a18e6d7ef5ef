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
from v2a.config import ConfigError, build_config, describe
from v2a.interrupt import StopSignals

_INTERRUPTED = 130


def parser() -> argparse.ArgumentParser:
    """The command line."""
    summary, examples = (__doc__ or "").split("\n\n")
    top = argparse.ArgumentParser(
        prog="python -m v2a.codes",
        description=summary,
        epilog=f"examples:\n{examples}\nsettings, with their defaults:\n{describe(Config)}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument(
        "--workers",
        type=int,
        help="processes, each of one thread (default: one a core, or a GPU; 0: this process alone)",
    )
    top.add_argument("--dry-run", action="store_true", help="say what would be encoded, encode and write nothing")
    top.add_argument("settings", nargs="*", metavar="key=value", help="settings of the stage, below")
    return top


def validate(settings: Sequence[str]) -> Config:
    """The config of these "key=value" settings.

    Raises:
        ConfigError: an unknown key, or a bad value.
    """
    return build_config(Config, [setting for setting in settings if setting != "stage=codes"])


def main(arguments: list[str] | None = None) -> int:
    """Encode; 0 when all is encoded, 1 with a sentence when it could not be, 130 when it was stopped."""
    options = parser().parse_intermixed_args(arguments)
    try:
        config = validate(options.settings)
        return _dry_run(config) if options.dry_run else _run(config, options.workers)
    except (ConfigError, OSError, RuntimeError, ValueError) as error:
        print(f"codes: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("codes: stopped at once; the same command goes on", file=sys.stderr)
        return _INTERRUPTED


def _run(config: Config, workers: int | None) -> int:
    from v2a.codes.job import CodesJob  # torch takes a second: not for --help
    from v2a.tasks import fitting_workers, local_tasks

    with StopSignals() as stop:
        tasks = local_tasks(fitting_workers(config.device) if workers is None else workers)
        result = tasks.run(CodesJob(config), stop.requested)
    return _INTERRUPTED if result["stopped"] else 0


def _dry_run(config: Config) -> int:
    import torch

    from v2a.codes.plan import make_plan
    from v2a.vqvae.load import load_vqvae

    loaded = load_vqvae(Path(config.model), torch.device("cpu"))
    plan = make_plan(Path(config.data), Path(config.out), loaded)
    t, h, w = loaded.geometry.latent_grid([loaded.model.strides])
    print(f"encoder {loaded.identity} of {config.model}: clips of {loaded.geometry} to codes {t}x{h}x{w}")
    print(f"{plan.clips} clips in {len(plan.tasks)} shards would be encoded, {plan.done} clips are done")
    print(f"{plan.bytes / 1e6:.1f} MB would go to {config.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
