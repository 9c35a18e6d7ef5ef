"""End runs that wait or run; what they have done is kept, and the command that submitted one goes on with it.

python -m hpc.cancel vqvae-12345678
python -m hpc.cancel vqvae-12345678 audio-12345678 --runs runs
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path

from hpc.find import find_run
from hpc.job import JobError
from hpc.record import append, attempts, since_submitted
from hpc.slurm_query import SlurmError, cancel
from hpc.states import RunState, state_of


def cancel_run(run_dir: Path) -> RunState:
    """End a run: a Slurm job by scancel, a local one by TERM to its supervisor, which lets it save. It does not go on by itself.

    Returns:
        How it stood before; one that neither waits nor runs is left alone.

    Raises:
        SlurmError: Slurm refuses, or does not answer.
        JobError: it is another machine's.
    """
    state = state_of(run_dir)
    if state.state == "unknown":
        raise JobError(f"{run_dir.name} cannot be cancelled from here: {state.reason}")
    if not state.is_active:
        return state
    if state.job_id is not None:
        cancel(state.job_id)
    else:
        pid = since_submitted(attempts(run_dir))[0]["pid"]
        os.kill(int(pid), signal.SIGTERM)
    try:  # not before: what was refused did not happen, and a full disk keeps nothing from being cancelled
        append(run_dir, "cancelled", why="hpc.cancel")
    except OSError as error:
        print(f"cancel: {run_dir.name} is cancelled, but its record could not be written ({error})", file=sys.stderr)
    return state


def parser() -> argparse.ArgumentParser:
    """The command line."""
    summary, examples = (__doc__ or "").split("\n\n")
    top = argparse.ArgumentParser(
        prog="python -m hpc.cancel", description=summary, epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    top.add_argument("runs_named", nargs="+", metavar="RUN", help="its folder, its name, or a beginning of it")
    top.add_argument("--runs", type=Path, default=Path("runs"), help="folder of all runs (default: runs)")
    return top


def main(arguments: list[str] | None = None) -> int:
    """Cancel; 0, or 1 when one of them could not be."""
    options = parser().parse_args(arguments)
    status = 0
    for name in options.runs_named:
        try:
            run_dir = find_run(options.runs, name)
            state = cancel_run(run_dir)
        except (JobError, SlurmError, OSError) as error:
            print(f"cancel: {error}", file=sys.stderr)
            status = 1
            continue
        if state.is_active:
            print(f"{run_dir.name} was {state.state}, and is cancelled")
        else:
            print(f"{run_dir.name} is {state.state} already; nothing to cancel")
    return status


if __name__ == "__main__":
    sys.exit(main())
