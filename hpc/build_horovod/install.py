"""Build or take the wheel from the cache, install it into the running interpreter's environment, and see that it loads."""

import subprocess
import sys
import time
from pathlib import Path

from hpc.build_horovod import cache
from hpc.build_horovod.compile import compile_wheel
from hpc.build_horovod.key import BuildError
from hpc.build_horovod.plan import Plan
from hpc.build_horovod.scratch import scratch
from hpc.build_horovod.tools import build_environment, check_tools, write_tools
from hpc.build_horovod.verdict import installed, probe


def say(text: str) -> None:
    """Tell the user something while it happens, beside the results on standard output."""
    print(text, file=sys.stderr, flush=True)


def _build(plan: Plan, root: Path, jobs: int, force: bool) -> Path:
    """The verified wheel of this key: from the cache, or compiled now. One process at a time; others wait."""
    with cache.locked(root, plan.key, say):
        wheel = cache.cached_wheel(root, plan.key)
        if wheel is not None:
            trouble = cache.damage(wheel, plan.key)
            if trouble is not None:
                say(f"the cached wheel is deleted and built again: {trouble}")
                wheel.unlink()
            elif not force:
                say(f"in the cache: {wheel}")
                return wheel
            # With --force the old wheel stays until the new one takes its name: a build that fails costs nothing.
        check_tools()
        cache.check_room(root)
        log = cache.log_path(root, plan.key)
        start_s = time.monotonic()
        with scratch(root, plan.key) as folder:
            say(f"compiling for {plan.key.name} with {jobs} jobs, in minutes; log: {log}")
            write_tools(plan.key, plan.gpu, folder)
            built = compile_wheel(folder, build_environment(plan.key, plan.gpu, folder, jobs), log, sys.stderr)
            wheel = cache.store(built, root, plan.key)
        say(f"compiled in {time.monotonic() - start_s:.0f} s: {wheel}")
        return wheel


def _install(wheel: Path) -> None:
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--force-reinstall", "--no-index", "--quiet"]
    answer = subprocess.run(
        [*command, "--disable-pip-version-check", str(wheel)], capture_output=True, text=True, check=False
    )
    if answer.returncode != 0:
        lines = "\n".join(f"  | {line}" for line in (answer.stdout + answer.stderr).strip().splitlines()[-15:])
        raise BuildError(
            f"pip could not install {wheel}:\n{lines}",
            "use a virtual environment that you may write to (python3 -m venv), with torch in it",
        )


def _up_to_date(plan: Plan) -> bool:
    return installed()[1] == plan.key and probe()[1] is None


def build_and_install(plan: Plan, root: Path, jobs: int, force: bool) -> None:
    """Make the planned Horovod the installed one: not at all when it is, from the cache, or compiled now.

    Args:
        plan: what to build.
        root: the cache's folder.
        jobs: compiler processes at once.
        force: build and install again, whatever is there.

    Raises:
        BuildError: something that a person has to put right.
    """
    if not force and _up_to_date(plan):
        say(f"already installed: Horovod {plan.key.name}")
        return
    for attempt in (1, 2):
        _install(_build(plan, root, jobs, force or attempt == 2))
        complaint = probe()[1]
        if complaint is None:
            return
        # A wheel from the cache may come from a container or node that this one does not resemble in all; a fresh one cannot.
        if force or attempt == 2:
            raise BuildError(f"the Horovod that was just built does not load: {complaint}", "read the log named above")
        say(f"the installed wheel does not load here ({complaint}): building it again")
