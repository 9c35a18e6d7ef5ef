#!/usr/bin/env python3
"""Set-up of a checkout: system packages, .venv, Python packages, Horovod. `make setup` runs it, and every other target first.

Each step is skipped when what it depends on has not changed since it last succeeded (a hash kept in .venv/.setup), so a second
run takes a fraction of a second. A step that fails is named together with its log, and the same command goes on from there.
Standard library only: it runs in the system's Python before anything is installed. Everything it says goes to standard error.
"""

import argparse
import contextlib
import fcntl
import glob
import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
OLDEST, NEWEST = (3, 10), (3, 13)
WITHOUT = {
    "python": "nothing: without it no virtual environment can be made",
    "build": "everything but Horovod, which cannot be built: training runs in one process",
    "mpi": "everything but MPI: Horovod is built with Gloo only, for local ranks and `horovodrun --gloo`",
    "media": "everything but reading and writing videos",
    "cluster": "everything but the test cluster; its tests are skipped",
    "lint": "everything; `make lint` leaves shell scripts out",
    "browser": "everything; the tests of pages in a real browser are skipped",
    "database": "everything; the tests of studies in PostgreSQL are skipped",
}
_held_locks: list[
    int
] = []  # handed to children: while one of a killed set-up still works, the next set-up waits for it
SERVICES = ("munge", "mariadb", "postgresql", "slurmctld", "slurmd", "slurmdbd")
POLICY = Path("/usr/sbin/policy-rc.d")
POLICY_TEXT = "#!/bin/sh\n# Written by v2a-hpc's set-up while it installs packages: none of their services is started.\nexit 101\n"


class SetupError(Exception):
    """A step that failed, in words for the person at the keyboard."""


@dataclass(frozen=True)
class Options:
    """What the caller chose: the interpreter is the one that runs this file."""

    venv: Path
    constraints: Path
    extras: str
    verbose: bool
    horovod: bool = True


def say(text: str) -> None:
    """One line to the person; standard output stays free for `eval "$(make -s cluster-env)"`."""
    print(f"setup: {text}", file=sys.stderr, flush=True)


# --- system packages -------------------------------------------------------------------------------------------------


def missing_packages(table: str, python: tuple[int, int] = sys.version_info[:2]) -> dict[str, list[str]]:
    """Debian packages that are not there, by group."""
    missing: dict[str, list[str]] = {}
    for line in table.splitlines():
        if not line or line.startswith("#"):
            continue
        group, package, probe = line.split()
        if not _is_there(probe) and package not in missing.setdefault(group, []):
            missing[group].append(package)
    name = f"python{python[0]}.{python[1]}"
    if not _can_make_venv():
        missing.setdefault("python", []).append(f"{name}-venv")
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        missing.setdefault("build", []).append(f"{name}-dev")
    return {group: packages for group, packages in missing.items() if packages}


def _is_there(probe: str) -> bool:
    if probe.startswith("/"):
        return bool(glob.glob(probe))
    return shutil.which(probe, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin") is not None


def _can_make_venv() -> bool:
    # Debian leaves ensurepip out of python3; a venv without it has no pip.
    return (
        subprocess.run([sys.executable, "-c", "import ensurepip, venv"], capture_output=True, check=False).returncode
        == 0
    )


def install_system_packages(log: Path) -> list[str]:
    """Install what is missing where we are root on a Debian; elsewhere return the words for the administrator.

    Raises:
        SetupError: apt failed, or something is missing without which there is no virtual environment.
    """
    table = (CHECKOUT / ".ci" / "system-packages.txt").read_text()
    missing = missing_packages(table)
    if os.geteuid() == 0:
        _remove_own_policy()
    if not missing:
        return []
    packages = sorted({package for group in missing.values() for package in group})
    if os.geteuid() == 0 and shutil.which("apt-get"):
        say(f"installing system packages: {' '.join(packages)}")
        _apt_install(packages, log)
        still = missing_packages(table)
        if still:
            raise SetupError(f"apt-get installed {packages}, yet these are not found: {still}; its log is {log}")
        return []
    notes = [
        f"system packages are missing; an administrator installs them with:\n  sudo apt-get install {' '.join(packages)}"
    ]
    notes += [f"without {', '.join(names)} works: {WITHOUT[group]}" for group, names in missing.items()]
    if "python" in missing:
        raise SetupError("\n".join(notes))
    return notes


def _apt_install(packages: list[str], log: Path) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with _services_stay_down():
        for command in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
            run("system packages", ["apt-get", "-o", "DPkg::Lock::Timeout=600", *command], log, environment)


@contextlib.contextmanager
def _services_stay_down() -> Iterator[None]:
    """Packages bring services (MariaDB, munge, Slurm) that the project does not use: the test cluster starts daemons of its own.
    Those that the machine had enabled before are its own, and stay as they are."""
    _remove_own_policy()
    ours = not POLICY.exists()
    before = _enabled_services()
    if ours:
        POLICY.write_text(POLICY_TEXT)
        POLICY.chmod(0o755)
    try:
        yield
    finally:
        if ours:
            POLICY.unlink(missing_ok=True)
        if brought := [service for service in _enabled_services() if service not in before]:
            subprocess.run(["systemctl", "disable", *brought], capture_output=True, check=False)


def _remove_own_policy() -> None:
    """Take away what a set-up that was killed left, before it keeps the machine's own services from starting."""
    if POLICY.exists() and POLICY.read_text(errors="replace") == POLICY_TEXT:
        POLICY.unlink()


def _enabled_services() -> list[str]:
    if not shutil.which("systemctl"):
        return []
    ask = ["systemctl", "is-enabled", "--quiet"]
    return [s for s in SERVICES if subprocess.run([*ask, s], capture_output=True, check=False).returncode == 0]


# --- running a step --------------------------------------------------------------------------------------------------


def run(step: str, command: list[str], log: Path, environment: dict[str, str] | None = None) -> None:
    """Run a command with its output in a log and a sign of life on the terminal.

    Raises:
        SetupError: it failed; names the step, the log and its last lines.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        out.write(f"$ {' '.join(command)}\n".encode())
        out.flush()
        process = subprocess.Popen(
            command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, env=environment, cwd=CHECKOUT,
            # Not to apt-get, whose packages may start services that never end; it has a lock of its own.
            pass_fds=() if command[0] == "apt-get" else _held_locks,
        )  # fmt: skip
        try:
            _watch(step, process, log)
        except BaseException:
            process.terminate()
            process.wait()
            raise
    if process.returncode != 0:
        tail = "\n".join(f"  | {line}" for line in log.read_text(errors="replace").splitlines()[-12:])
        raise SetupError(f"step '{step}' failed (exit {process.returncode}); its log is {log}, the end of it:\n{tail}")


def _watch(step: str, process: subprocess.Popen[bytes], log: Path) -> None:
    start, shown, tty = time.monotonic(), 0.0, sys.stderr.isatty()
    while True:
        try:
            process.wait(timeout=0.2)
            break
        except subprocess.TimeoutExpired:
            elapsed = time.monotonic() - start
            if elapsed - shown >= (1 if tty else 30):
                shown = elapsed
                last = (log.read_text(errors="replace").splitlines() or [""])[-1].strip()
                print(f"\r\033[K{step}, {elapsed:.0f} s: {last[:90]}" if tty else f"setup: {step}, {elapsed:.0f} s …",
                      end="" if tty else "\n", file=sys.stderr, flush=True)  # fmt: skip
    if tty:
        print("\r\033[K", end="", file=sys.stderr, flush=True)


# --- the steps -------------------------------------------------------------------------------------------------------


def make_venv(options: Options, log: Path) -> None:
    """A new virtual environment in place of whatever is there.

    Raises:
        SetupError: a link is there: what it leads to may be another checkout's, and would be emptied.
    """
    if options.venv.is_symlink():
        raise SetupError(
            f"{options.venv} is a link to {options.venv.resolve()}, which set-up would empty; remove the link, and start again"
        )
    run("virtual environment", [sys.executable, "-m", "venv", "--clear", str(options.venv)], log)


def install_packages(options: Options, log: Path) -> None:
    """The project in editable form with its extras, at the versions of the constraints file."""
    python = str(options.venv / "bin" / "python")
    target = f"{CHECKOUT}[{options.extras}]" if options.extras else str(CHECKOUT)
    run("Python packages", [python, "-m", "pip", "install", "-c", str(options.constraints), "-e", target], log)


def install_horovod(options: Options) -> None:
    """Horovod for the torch of the environment: from the cache of wheels in seconds, else built in minutes."""
    if not all(map(_is_there, ("g++", "cmake", "make"))):
        say(
            "Horovod is left out: no compiler; training runs in one process until there is one and `make setup` runs again"
        )
        return
    command = [str(options.venv / "bin" / "python"), "-m", "hpc.build_horovod"]
    done = subprocess.run(
        command, stdout=sys.stderr, stdin=subprocess.DEVNULL, cwd=CHECKOUT, check=False, pass_fds=_held_locks
    )
    if done.returncode != 0:
        raise SetupError(
            f"step 'Horovod' failed (exit {done.returncode}); run it again by itself with:\n  {' '.join(command)}"
        )


def fingerprint(*parts: object) -> str:
    """Hash of what a step depends on: the content of paths, the text of anything else."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.read_bytes() if isinstance(part, Path) else str(part).encode())
        digest.update(b"\0")
    return digest.hexdigest()


def setup(options: Options) -> bool:
    """Do every step that is not done; whether there was anything to do.

    Raises:
        SetupError: a step failed.
    """
    logs, here = CHECKOUT / "build" / "setup", Path(__file__)
    python = sys.version_info[:2]  # a micro release, or Debian's rebuild of one, leaves an environment whole
    interpreter = fingerprint(sys.executable, python, str(options.venv))
    packages = fingerprint(interpreter, CHECKOUT / "pyproject.toml", options.constraints, options.extras)
    compilers = [_is_there(program) for program in ("g++", "cmake", "make", "mpicxx")]
    horovod = fingerprint(packages, compilers, *sorted((CHECKOUT / "hpc" / "build_horovod").glob("*.py")))
    system = fingerprint(python, CHECKOUT / ".ci" / "system-packages.txt", here)
    notes: list[str] = []
    steps: list[tuple[str, str, Callable[[Path], object]]] = [
        ("venv", interpreter, lambda log: make_venv(options, log)),
        ("packages", packages, lambda log: install_packages(options, log)),
    ]
    if options.horovod:
        steps.append(("horovod", horovod, lambda _: install_horovod(options)))
    did = False
    if not _done(options, "system", system):
        # Before the environment, which it may need packages for, but remembered inside it.
        notes = install_system_packages(logs / "system.log")
        did = True
    for name, key, act in steps:
        if _done(options, name, key):
            continue
        did, start, log = True, time.monotonic(), logs / f"{name}.log"
        log.unlink(missing_ok=True)
        say(f"{name} …")
        act(log)
        _remember(options, name, key)
        say(f"{name}: done in {time.monotonic() - start:.0f} s")
    if not notes:
        _remember(options, "system", system)
    if did:
        _remember_choice(options)
    for note in notes:
        say(note)
    return did


def _done(options: Options, step: str, key: str) -> bool:
    try:
        return (options.venv / ".setup" / step).read_text() == key
    except OSError:
        return False


def _remember(options: Options, step: str, key: str) -> None:
    folder = options.venv / ".setup"
    folder.mkdir(exist_ok=True)
    (folder / step).write_text(key)


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Two set-ups of one checkout at once would spoil each other: the second waits, and then finds nothing to do."""
    descriptor = os.open(CHECKOUT, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("another set-up of this checkout is running; waiting for it")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        _held_locks.append(descriptor)
        yield
    finally:
        _held_locks.clear()
        os.close(descriptor)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog=".ci/bootstrap.py", description="Set up this checkout; `make setup` runs it.")
    top.add_argument("--venv", type=Path, default=CHECKOUT / ".venv", help="the virtual environment (default: .venv)")
    top.add_argument("--constraints", help="versions to install (default: the last choice, else constraints/cpu.txt)")
    top.add_argument("--extras", help="extras of pyproject.toml, with commas (default: the last choice, else dev)")
    top.add_argument(
        "--no-horovod", action="store_true", help="leave Horovod out: what is tested there runs in one process"
    )
    top.add_argument("--this-python", action="store_true", help="use the Python that runs this, not the last choice")
    top.add_argument("--verbose", action="store_true", help="say so when there is nothing to do")
    return top


def _choose(values: argparse.Namespace) -> Options:
    """What was asked for now, else what was chosen for this environment before: a plain `make test` must not undo
    `make setup PYTHON=python3.12`."""
    venv = values.venv.absolute()
    try:
        before = json.loads((venv / ".setup" / "choice").read_text())
    except (OSError, ValueError):
        before = {}
    python = before.get("python", sys.executable)
    if not values.this_python and python != sys.executable and os.access(python, os.X_OK):
        os.execv(python, [python, *sys.argv])  # its own choice is itself, so this happens once
    constraints = Path(values.constraints or before.get("constraints", "constraints/cpu.txt"))
    extras = values.extras if values.extras is not None else before.get("extras", "dev")
    return Options(venv, CHECKOUT / constraints, extras, values.verbose, not values.no_horovod)


def _remember_choice(options: Options) -> None:
    choice = {"python": sys.executable, "constraints": str(options.constraints), "extras": options.extras}
    (options.venv / ".setup" / "choice").write_text(json.dumps(choice))


def main(arguments: list[str] | None = None) -> int:
    """Set up; 0 when everything that can be there is."""
    values = parser().parse_args(arguments)
    options = _choose(values)
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        say(
            f"this is Python {sys.version.split()[0]}; expected 3.10 to 3.13. Choose one with: make setup PYTHON=python3.11"
        )
        return 1
    if not options.constraints.is_file():
        say(
            f"there is no constraints file {options.constraints}; there are constraints/cpu.txt and constraints/v100.txt"
        )
        return 1
    try:
        with _alone():
            did = setup(options)
    except SetupError as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        say("interrupted; the same command goes on where it was")
        return 130
    if did:
        say("ready")
    elif options.verbose:
        say("nothing to do")
    return 0


if __name__ == "__main__":
    sys.exit(main())
