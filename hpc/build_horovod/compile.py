"""Compile Horovod into a wheel: run pip with a log, show progress, and explain a failure in a sentence."""

import contextlib
import os
import re
import selectors
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from hpc.build_horovod.key import HOROVOD_VERSION, BuildError

# The source package on the index; pip refuses any other content.
SDIST_SHA256 = "92a43f5a94c43907a56805bad15f19700c62ffc83b7ca483f9e104e229f67ef0"

# What a failed build's output says, what that means, and what to do; the first that matches, the root cause before its
# consequences.
_CAUSES = (
    (
        r"No space left on device|Disk quota exceeded",
        "the disk is full",
        "free 1 GB, or set TMPDIR (where it compiles) or V2A_CACHE_DIR (where the wheel goes) to a folder with room",
    ),
    (
        r"Killed signal terminated program|virtual memory exhausted|Cannot allocate memory",
        "the compiler ran out of memory",
        "run this with -j 1, or on a node with 4 GB free",
    ),
    (
        r"DO NOT MATCH THE HASHES",
        "the source package is not the published one",
        "look which package index or mirror pip is set to (`pip config list`)",
    ),
    (
        r"No matching distribution found for horovod|Could not fetch|NewConnectionError|ConnectTimeout|Max retries exceeded",
        "Horovod's source package could not be downloaded",
        "where there is network: pip download --no-deps --no-build-isolation --no-binary horovod "
        f"horovod=={HOROVOD_VERSION}; then here: PIP_NO_INDEX=1 PIP_FIND_LINKS=<that folder> python -m hpc.build_horovod",
    ),
    (
        r"Python\.h: No such file",
        "Python's headers are missing",
        "apt-get install python3-dev (the interpreter's own version)",
    ),
    (
        r"requires? GCC (\d+)|need GCC (\d+)|C\+\+(17|20) or later compatible compiler is required",
        "the C++ compiler is too old for torch's headers",
        "install g++ 11 or newer (on a cluster: module load gcc), and name it with CXX if it isn't the first on PATH",
    ),
    (
        r"unsupported GNU version|unsupported host compiler",
        "this CUDA toolkit does not accept this g++",
        "name an older one: CXX=g++-12 python -m hpc.build_horovod",
    ),
    (
        r"Could NOT find MPI",
        "cmake found no usable MPI",
        "apt-get install libopenmpi-dev openmpi-bin, or --mpi off for Gloo only",
    ),
    (r"Could NOT find NCCL", "cmake found no usable NCCL", "set NCCL_HOME to NCCL's folder, or --gpu off"),
)


def wheel_command(folder: Path) -> list[str]:
    """pip's command that compiles the hash-pinned source package; its requirement file is written by `compile_wheel`."""
    # --no-cache-dir: pip's own cache would hand out a wheel that was compiled for another torch.
    options = (
        "--verbose --use-pep517 --no-deps --no-build-isolation --no-cache-dir --disable-pip-version-check --no-input"
    )
    pinned = ["--no-binary", "horovod", "--require-hashes", "--requirement", str(folder / "requirement.txt")]
    return [sys.executable, "-m", "pip", "wheel", *options.split(), *pinned, "--wheel-dir", str(folder / "wheel")]


def compile_wheel(folder: Path, env: Mapping[str, str], log: Path, progress: TextIO) -> Path:
    """Compile, with all output in the log and a progress line for people; returns the wheel, in the temporary folder.

    Raises:
        BuildError: it failed; says why as far as the output tells, with its last lines and the log's path.
    """
    requirement = f"horovod=={HOROVOD_VERSION} --hash=sha256:{SDIST_SHA256}\n"
    (folder / "requirement.txt").write_text(requirement)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb", buffering=0) as file:
        watch = Progress(progress, folder)
        code = _run(wheel_command(folder), env, file.fileno(), watch)
    if code != 0:
        raise failure(log, code, watch.least_free)
    wheels = list((folder / "wheel").glob("horovod-*.whl"))
    if len(wheels) != 1:
        raise BuildError(f"pip ended well, but left {len(wheels)} wheels where one was expected", f"read {log}")
    return wheels[0]


def _run(command: list[str], env: Mapping[str, str], log: int, progress: "Progress") -> int:
    """Run a command in its own process group, its output to the log and to progress; the group never outlives this."""
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    process = subprocess.Popen(command, env=dict(env), start_new_session=True, **pipes)  # type: ignore[call-overload]
    os.write(log, f"$ {shlex.join(command)}\n".encode())
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while True:
                if selector.select(timeout=1.0):
                    chunk = os.read(process.stdout.fileno(), 1 << 16)
                    if not chunk:
                        break
                    os.write(log, chunk)
                    progress.read(chunk.decode(errors="replace"))
                progress.show()
        return int(process.wait())
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        progress.end()


# What make ("[ 43%] Building …"), cmake ("-- Found MPI") and pip ("Collecting …") print as they go on.
_STEP = re.compile(r"\s*(\[ *\d+%\] \S.*|-- (?:Configuring|Generating|Found).*|(?:Downloading|Collecting) \S+)")


class Progress:
    """One line about a running build: elapsed time, and the last step that make or cmake named.

    On a terminal it is rewritten every two seconds; elsewhere a plain line comes every 30 seconds.
    """

    def __init__(self, stream: TextIO, folder: Path) -> None:
        self._stream, self._tty, self._folder = stream, stream.isatty(), folder
        self.least_free = _free_bytes(folder)
        self.every_s = 2.0 if self._tty else 30.0
        self._start_s = self._shown_s = time.monotonic()
        self._step, self._rest = "starting", ""

    def read(self, text: str) -> None:
        """Take a piece of the build's output, of any length."""
        lines = (self._rest + text).split("\n")
        self._rest = lines.pop()
        for line in lines:
            if found := _STEP.match(line):
                self._step = found[1].strip()

    def show(self) -> None:
        """Show the line, when it is time; note how full the disk of the build's folder was at most."""
        self.least_free = min(self.least_free, _free_bytes(self._folder))
        now_s = time.monotonic()
        if now_s - self._shown_s < self.every_s:
            return
        self._shown_s = now_s
        minutes, seconds = divmod(int(now_s - self._start_s), 60)
        line = f"{minutes:2d}:{seconds:02d}  {_short(self._step)}"
        self._stream.write(f"\r\033[K{line}" if self._tty else f"{line}\n")
        self._stream.flush()

    def end(self) -> None:
        """Leave the terminal's line clean for what comes after."""
        if self._tty:
            self._stream.write("\r\033[K")
            self._stream.flush()


def _free_bytes(folder: Path) -> int:
    facts = os.statvfs(folder)
    return facts.f_bavail * facts.f_frsize


def _short(step: str) -> str:
    """A step in at most 78 characters: "[ 43%] Building CXX object …/mpi/mpi_controller.cc.o"."""
    return step if len(step) <= 78 else f"{step[:28].rstrip()} …{step[-48:]}"


def failure(log: Path, code: int, least_free: int) -> BuildError:
    """Explain a failed build from its log, and from the least bytes that were free while it ran."""
    with contextlib.suppress(OSError):
        text = log.read_text(errors="replace")
        lines = [line.rstrip()[:300] for line in text.splitlines() if line.strip()]
        # pip ends with paragraphs about itself: the first error is what a reader looks for.
        first = [line for line in lines if re.search(r"error: (?!subprocess-exited|metadata-gen)|CMake Error", line)][
            :1
        ]
        tail = "\n".join(f"  | {line}" for line in [*first, *lines[-15:]])
        # On a full disk cmake and make say many things, "could not load cache" among them (ran), but not that it is full;
        # and pip has removed its folders, and so made room, before it ends.
        if least_free < 10_000_000:
            text += "No space left on device"
        for pattern, what, fix in _CAUSES:
            if re.search(pattern, text):
                return BuildError(f"{what}; the last lines of the build:\n{tail}\nlog: {log}", fix)
        return BuildError(
            f"Horovod did not compile (pip ended with code {code}); its last lines:\n{tail}\nlog: {log}",
            f"look for the first 'error:' in {log}",
        )
    return BuildError(
        f"Horovod did not compile (pip ended with code {code}), and its log cannot be read: {log}", "try again"
    )
