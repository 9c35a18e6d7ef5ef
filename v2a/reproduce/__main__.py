"""Run the paper's comparisons, and write a page of what came of them: decoders, the codebook's effect, one domain against two.

python -m v2a.reproduce                                    the page is reproduce/full/results.md
python -m v2a.reproduce --size small --part decoders       less of it
python -m v2a.reproduce --results docs/results.md
python -m v2a.reproduce --dry-run                          the commands, in order
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from pathlib import Path

from v2a.interrupt import StopSignals
from v2a.reproduce.made import Made
from v2a.reproduce.results import write_results
from v2a.reproduce.run import StepFailed, is_done, run_steps
from v2a.reproduce.sizes import SIZES
from v2a.reproduce.steps import PARTS, Step, make_steps

_INTERRUPTED = 130


def parser() -> argparse.ArgumentParser:
    """The command line."""
    summary, examples = (__doc__ or "").split("\n\n")
    top = argparse.ArgumentParser(
        prog="python -m v2a.reproduce", description=f"{summary} The same command goes on where it was stopped.",
        epilog="examples:\n" + examples, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    top.add_argument("--out", type=Path, help="folder of all that is made (default: reproduce/SIZE)")
    top.add_argument("--results", type=Path, metavar="FILE", help="the page (default: results.md in that folder)")
    top.add_argument("--size", choices=SIZES, default="full", help='"tiny": does it run? (default: full)')
    top.add_argument(
        "--part", choices=PARTS, action="append", help="only this comparison; may be repeated (default: all)"
    )
    cores = len(os.sched_getaffinity(0))
    top.add_argument(
        "--jobs", type=_jobs, default=cores, metavar="N", help=f"commands at once (default: one a core, {cores})"
    )
    top.add_argument("--dry-run", action="store_true", help="show the commands and which of them are done, run nothing")
    return top


def _jobs(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or not 1 <= int(text) <= 256:
        raise argparse.ArgumentTypeError(f"expected a number of 1 to 256, but got {text!r}")
    return int(text)


def main(arguments: list[str] | None = None) -> int:
    """0 when the page is written, 1 with a sentence when a command failed, 130 when it was stopped."""
    options = parser().parse_args(arguments)
    parts = tuple(part for part in PARTS if options.part is None or part in options.part)
    out = options.out or Path("reproduce") / options.size
    if "," in str(out):
        print(f"reproduce: expected no comma in --out, for models are named in lists, but got {out}", file=sys.stderr)
        return 1
    steps = make_steps(out, SIZES[options.size], parts)
    if options.dry_run:
        print("\n".join(_shown(step, out) for step in steps))
        return 0
    page = options.results or out / "results.md"
    chosen = "".join(f" --part {part}" for part in parts) if options.part else ""
    made = Made(out, steps, options.size, f"python -m v2a.reproduce --size {options.size}{chosen}")
    try:
        with StopSignals() as stop:
            whole = run_steps(steps, out, options.jobs, stop.requested)
        if whole:
            write_results(made, page)
    except (StepFailed, OSError) as error:
        print(f"reproduce: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        whole = False
    if not whole:
        print("reproduce: stopped; the same command goes on", file=sys.stderr)
        return _INTERRUPTED
    print(f"the page is {page}")
    return 0


def _shown(step: Step, out: Path) -> str:
    done = "done" if is_done(step, out) else "    "
    return f"{done} {shlex.join(['python', *step.command[1:]])}"


if __name__ == "__main__":
    sys.exit(main())
