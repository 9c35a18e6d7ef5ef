"""What a run's ranks wrote, of all its attempts.

python -m hpc.logs vqvae-12345678
python -m hpc.logs vqvae-12345678 --rank 3
python -m hpc.logs vqvae-12345678 --follow
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from hpc.find import find_run
from hpc.follow import Tail, follow, log_files
from hpc.job import JobError
from hpc.visible import visible_lines


def parser() -> argparse.ArgumentParser:
    """The command line."""
    summary, examples = (__doc__ or "").split("\n\n")
    top = argparse.ArgumentParser(
        prog="python -m hpc.logs", description=summary, epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    top.add_argument("run", metavar="RUN", help="its folder, its name, or a beginning of it")
    top.add_argument("--runs", type=Path, default=Path("runs"), help="folder of all runs (default: runs)")
    top.add_argument("--rank", type=int, default=0, metavar="R", help="whose output (default: 0)")
    top.add_argument("--follow", action="store_true", help="go on until the run ends")
    return top


def main(arguments: list[str] | None = None) -> int:
    """Show; 0, or 1 with a sentence when there is nothing to show."""
    options = parser().parse_args(arguments)
    try:
        run_dir = find_run(options.runs, options.run)
        tail = Tail(run_dir, options.rank)
        if options.follow:
            follow(run_dir, tail)
        elif not log_files(run_dir, options.rank):
            raise JobError(f"{run_dir} has no output of rank {options.rank} yet")
        else:
            tail.show()
    except (JobError, OSError) as error:
        if isinstance(error, BrokenPipeError):  # `| head` has seen enough
            sys.stderr.close()
            return 0
        print(f"logs: {visible_lines(str(error))}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
