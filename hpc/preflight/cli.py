"""The preflight's command line: options, table, JSON, exit status."""

import argparse
import dataclasses
import json
import os
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from hpc.preflight.checks import CHECKS, run_preflight
from hpc.preflight.finding import Finding, render, summarise
from hpc.world import World, read_world

# The largest model of the paper's kind has about 2e8 weights: 0.8 GB, with AdamW's two moments 2.4 GB a checkpoint. A
# new checkpoint is written before an old one goes: two of them.
MIN_FREE_GB = 5.0
SHARED_TIMEOUT_S = 60.0  # NFS clients may believe for a minute that a new file is not there (acdirmax)


def parser() -> argparse.ArgumentParser:
    """Command line of the preflight."""
    made = argparse.ArgumentParser(
        prog="python -m hpc.preflight",
        description="Check this node, or all nodes of a job, before training; every finding is a sentence with a fix.",
        epilog="""examples:
  python -m hpc.preflight                                 this machine
  python -m hpc.preflight --runs /data/runs --min-free-gb 50
  srun -N4 --ntasks-per-node=1 --mpi=pmix python -m hpc.preflight --runs runs
                                                          four nodes, and whether they share the folder
  python -m hpc.preflight --only gpu,driver,nccl          the GPUs alone
  python -m hpc.preflight --json                          for a program: one line of JSON for each process

exit status: 0 when nothing failed (with --strict: and nothing warned), 1 otherwise, 2 for a wrong command line""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument(
        "--runs", type=Path, default=Path("runs"), metavar="DIR", help="folder that runs are written to (default: runs)"
    )
    made.add_argument(
        "--min-free-gb",
        type=_amount,
        default=MIN_FREE_GB,
        metavar="GB",
        help=f"space to be free there (default: {MIN_FREE_GB:g}, two checkpoints of the paper's largest model)",
    )
    made.add_argument(
        "--shared-timeout",
        type=_amount,
        default=SHARED_TIMEOUT_S,
        metavar="S",
        help=f"seconds to wait for the others' files (default: {SHARED_TIMEOUT_S:g}; NFS can hide a new file as long)",
    )
    made.add_argument("--only", type=_names, metavar="CHECK,...", help=f"run only these: {', '.join(CHECKS)}")
    made.add_argument("--json", action="store_true", help="print JSON instead of a table")
    made.add_argument("--strict", action="store_true", help="count warnings as failures")
    return made


def _amount(text: str) -> float:
    try:
        amount = float(text)
    except ValueError:
        amount = -1.0
    if not 0 <= amount < 1e9:  # NaN fails this, too
        raise argparse.ArgumentTypeError(f"expected a number from 0 on, but got {text!r}")
    return amount


def _names(text: str) -> frozenset[str]:
    names = frozenset(name.strip() for name in text.split(",") if name.strip())
    unknown = sorted(names - set(CHECKS))
    if unknown or not names:
        raise argparse.ArgumentTypeError(f"expected names out of {', '.join(CHECKS)}, but got {text!r}")
    return names


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the checks and print them; returns the exit status."""
    options = parser().parse_args(arguments)
    try:
        world = read_world()
    except ValueError as error:
        print(f"preflight: {error}", file=sys.stderr)
        return 2
    findings = run_preflight(
        world,
        options.runs,
        min_free_bytes=round(options.min_free_gb * 1e9),
        shared_timeout_s=options.shared_timeout,
        only=options.only,
    )
    bad = {"fail", "warn"} if options.strict else {"fail"}
    failed = any(finding.level in bad for finding in findings)
    text = _as_json(world, findings) if options.json else _as_table(world, findings)
    if text:
        # In one piece, so that a process's lines stay together; a name may hold what the terminal's encoding lacks.
        sys.stdout.buffer.write((text + "\n").encode(sys.stdout.encoding or "utf-8", "backslashreplace"))
        sys.stdout.flush()
    if failed and world.size > 1:
        time.sleep(1)  # mpirun ends the others as soon as one ends with an error: let them print first
    return int(failed)


def _as_json(world: World, findings: Sequence[Finding]) -> str:
    listed = [dataclasses.asdict(finding) for finding in findings]
    return json.dumps({"host": world.host, "rank": world.rank, "size": world.size, "findings": listed})


def _as_table(world: World, findings: Sequence[Finding]) -> str:
    if not findings:
        return ""
    terminal = sys.stdout.isatty() and world.size == 1  # mpirun gives its processes a terminal even when piped
    colour = terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    prefix = "" if world.size == 1 else world.host
    if world.local_size > 1:
        prefix += f" rank {world.rank:<{len(str(world.size - 1))}}"
    table = render(
        findings, prefix=prefix, colour=colour, width=shutil.get_terminal_size().columns if terminal else None
    )
    counts = summarise(findings).splitlines()[0]
    return f"{table}\n{prefix + '  ' if prefix else ''}{counts}"
