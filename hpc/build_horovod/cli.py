"""The command line: build, check, list, dry run."""

import argparse
import errno
import json
import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from hpc.build_horovod import cache
from hpc.build_horovod.compile import wheel_command
from hpc.build_horovod.install import build_and_install, say
from hpc.build_horovod.key import BuildError
from hpc.build_horovod.plan import Plan, make_plan
from hpc.build_horovod.prove import CONTROLLERS, prove
from hpc.build_horovod.scratch import scratch_places
from hpc.build_horovod.tools import build_environment, default_jobs
from hpc.build_horovod.verdict import check

_DESCRIPTION = """Build Horovod for the installed torch, keep the wheel, install it, and prove it with two ranks.

    python -m hpc.build_horovod                # build (minutes) or take from the cache (seconds), install, prove
    python -m hpc.build_horovod --check        # what is installed, and does it fit this torch? exit code 0 or 1
    python -m hpc.build_horovod --dry-run      # what would be built, where, with which settings
    python -m hpc.build_horovod --gpu require  # on a node with nvcc: NCCL for T4 and V100, or an error

docs/install.md says more.
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="python -m hpc.build_horovod",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--check", action="store_true", help="say what is installed and whether it fits; build nothing")
    made.add_argument("--json", action="store_true", help="with --check: the verdict as JSON")
    made.add_argument("--prove", action="store_true", help="with --check: also run the two ranks")
    made.add_argument("--list", action="store_true", help="list the wheels in the cache")
    made.add_argument("--dry-run", action="store_true", help="print key, cache, environment and command; build nothing")
    made.add_argument("--force", action="store_true", help="build again and install again, whatever is there")
    made.add_argument("--no-proof", action="store_true", help="do not run the two ranks at the end")
    made.add_argument(
        "--gpu",
        choices=("auto", "require", "off"),
        default="auto",
        help="NCCL operations: auto builds them when torch has CUDA and nvcc and NCCL are here; require fails without them",
    )
    made.add_argument(
        "--mpi",
        choices=("auto", "require", "off"),
        default="auto",
        help="MPI controller: auto builds it when mpicxx is here; Gloo is always built",
    )
    made.add_argument(
        "--cuda-archs",
        type=_archs,
        metavar="70,75",
        help="CUDA architectures (default: T4's 75 and V100's 70, as far as torch and the toolkit have them)",
    )
    made.add_argument("-j", "--jobs", type=_jobs, metavar="N", help="compilers at once (default: cores, at 2 GB each)")
    return made


def _archs(text: str) -> tuple[int, ...]:
    try:
        return tuple(sorted({int(part) for part in text.split(",")}))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected numbers such as 70,75, but got {text!r}") from None


def _jobs(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 on, but got {text!r}")
    return int(text)


def _prove_all(mpi: bool) -> int:
    """Prove the controllers that are built; returns the exit code."""
    failed = 0
    for controller in CONTROLLERS:
        if controller == "mpi" and not mpi:
            print("mpi: not built, so not proven")
            continue
        proof = prove(controller)
        for line in proof.lines:
            print(line)
        if proof.failure:
            say(f"error: Horovod over {controller} did not prove itself: {proof.failure}")
            failed = 1
        else:
            print(f"{controller}: 2 ranks agree, {proof.seconds:.1f} s", flush=True)
    return failed


def _show_check(options: argparse.Namespace) -> int:
    verdict = check()
    if options.json:
        print(json.dumps(verdict.to_json(), indent=2))
    else:
        print(verdict.sentence + (f"\nfix: {verdict.fix}" if verdict.fix else ""), flush=True)
    if verdict.fits and options.prove:
        return _prove_all("mpi" in verdict.operations)
    return 0 if verdict.fits else 1


def _show_plan(plan: Plan, root: Path, jobs: int) -> int:
    folder = scratch_places(root)[0] / "v2a-horovod-XXXXXXXX"
    before, after = os.environ, build_environment(plan.key, plan.gpu, folder, jobs)
    wheel = cache.cached_wheel(root, plan.key)
    print(f"key: {plan.key.name}")
    for name, value in plan.key.to_json().items():
        print(f"  {name}: {value}")
    print(f"wheel: {wheel or 'not built yet'}\nfolder: {root / 'horovod' / plan.key.name}")
    print("environment:")
    for name in sorted(name for name in after if before.get(name) != after[name]):
        print(f"  {name}={shlex.quote(after[name])}")
    print(f"command: {shlex.join(wheel_command(folder))}")
    return 0


def _show_list(root: Path) -> int:
    wheels = cache.cached_wheels(root)
    for wheel in wheels:
        print(f"{wheel.stat().st_size / 1e6:7.1f} MB  {wheel}")
    print(f"{len(wheels)} wheels in {root}")
    return 0


def _run(options: argparse.Namespace) -> int:
    root = cache.cache_root()
    if options.list:
        return _show_list(root)
    if options.check:
        return _show_check(options)
    plan = make_plan(options.gpu, options.mpi, options.cuda_archs)
    for warning in plan.warnings:
        say(f"warning: {warning}")
    if options.dry_run:
        return _show_plan(plan, root, options.jobs or default_jobs())
    build_and_install(plan, root, options.jobs or default_jobs(), options.force)
    return 0 if options.no_proof else _prove_all(plan.key.mpi is not None)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0 done or fits, 1 not, 2 wrong arguments, 130 stopped."""
    made = parser()
    options = made.parse_args(arguments)
    if (options.json or options.prove) and not options.check:
        made.error("--json and --prove go with --check")
    try:
        return _run(options)
    except BuildError as error:
        say(f"error: {error}")
    except OSError as error:
        say(f"error: {error.strerror or error}: {error.filename or cache.cache_root()}\nfix: {_os_fix(error)}")
    except KeyboardInterrupt:
        say("stopped; nothing half-built is left in the cache")
        return 130
    return 1


def _os_fix(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "free 1 GB there, or set V2A_CACHE_DIR to a folder with room"
    return "set V2A_CACHE_DIR to a folder that you may write to"
