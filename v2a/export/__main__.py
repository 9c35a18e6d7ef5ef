"""Export a trained model as one folder: safetensors, config and a card with its metrics.

python -m v2a.export runs/planes --out models/planes
python -m v2a.export runs/planes --out models/planes-best --best
python -m v2a.export runs/planes --out models/planes --dry-run
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from v2a.config import ConfigError
from v2a.export.errors import ModelError


def parser() -> argparse.ArgumentParser:
    """The command line."""
    summary, examples = (__doc__ or "").split("\n\n")
    top = argparse.ArgumentParser(
        prog="python -m v2a.export",
        description=summary,
        epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("run", type=Path, metavar="RUN", help="a run's folder")
    top.add_argument("--out", type=Path, required=True, metavar="DIR", help="the model's folder")
    top.add_argument("--best", action="store_true", help="the checkpoint with the lowest validation loss, not the last")
    top.add_argument("--dry-run", action="store_true", help="say what would be exported, write nothing")
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Export; 0 when the model is there, 1 with a sentence when it could not be."""
    options = parser().parse_args(arguments)
    try:
        return _export(options)
    except (ConfigError, ModelError, OSError, ValueError) as error:
        print(f"export: {error}", file=sys.stderr)
        return 1


def _export(options: argparse.Namespace) -> int:
    from v2a.export.card import write_card  # torch takes a second: not for --help
    from v2a.export.folder import write_model
    from v2a.export.parts import make_parts
    from v2a.export.run import read_run

    run = read_run(options.run, options.best)
    try:
        parts = make_parts(run)
    except ModelError:
        raise
    except ValueError as error:
        raise ModelError(options.run, f"cannot be exported: {error}") from None
    config = {**parts.config, "step": run.step, "best": run.best, "metrics": run.metrics}
    size = sum(tensor.numel() * tensor.element_size() for tensor in parts.tensors.values())
    step = f"step {run.step}{' (best)' if run.best else ''}"
    what = f"stage {config['stage']}, {step}, {size / 1e6:.1f} MB, identity {config['identity']}"
    if options.dry_run:
        print(f"{options.run}: {what}; would be exported to {options.out}")
        return 0
    written = write_model(options.out, config, parts.tensors, write_card(run, parts, options.out.absolute().name))
    print(f"{options.out}: {what}" if written else f"{options.out} is this model already: {what}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
