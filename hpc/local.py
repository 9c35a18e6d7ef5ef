"""A run by processes of this machine, under a supervisor that outlives the terminal and lets a broken run go on.

python -m hpc.local --run-dir runs/selftest-12345678
"""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType

from hpc.job import JobError, JobSpec, local_command
from hpc.ranks import WORKER, ranks_below
from hpc.record import RESULT, RUN, append, attempts, last_metrics, note, read_json, since_submitted
from hpc.room import say
from hpc.states import process_begun
from hpc.verdict import decide, note_silent_end, restarts_of
from hpc.world import without_launcher
from v2a.stages import shares_tasks

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_PR_SET_PDEATHSIG = 1
_LOOK_S = 0.2


def start(spec: JobSpec, held: int = -1) -> subprocess.Popen[bytes]:
    """Start the supervisor of a run whose `run.json` is written, and wait until it has said so in the run's record.

    It writes to `logs/local-….out`.

    Args:
        spec: the job.
        held: an open file whose lock keeps others from submitting the run. The supervisor holds it, too, until it is known: it is
            never unknown, also when this process is killed meanwhile.

    Raises:
        OSError: it cannot be started.
        JobError: it ended before it began; with its last words.
    """
    logs = spec.run_dir / "logs"
    logs.mkdir(exist_ok=True)
    path = logs / f"local-{len(list(logs.glob('local-*.out'))) + 1:03d}.out"
    ready, said = os.pipe()
    command = [sys.executable, "-u", "-m", "hpc.local", "--run-dir", str(spec.run_dir), "--ready", str(said)]
    passed = [said] if held < 0 else [said, held]
    command += [] if held < 0 else ["--held", str(held)]
    with os.fdopen(ready, "rb") as answer, path.open("ab") as out:
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
                pass_fds=passed,
            )  # fmt: skip
        finally:
            os.close(said)
        if answer.read(1):
            return process
    process.wait()
    words = path.read_text(errors="replace").strip().splitlines() or ["it said nothing"]
    raise JobError(f"the run could not be started: {words[-1]} ({path})")


def announce(run_dir: Path, ready: int = -1, held: int = -1) -> None:
    """Write this process into the run's record as its supervisor, and say so to whoever waits for it.

    Args:
        run_dir: the run's folder.
        ready: open file that a byte is written to.
        held: open file whose lock is given up.

    Raises:
        OSError: it cannot be written down.
    """
    pid = os.getpid()
    append(run_dir, "submitted", where="local", host=socket.gethostname(), pid=pid, begun=process_begun(pid))
    if ready >= 0:
        with suppress(OSError), os.fdopen(ready, "wb") as file:  # who waited may be gone
            file.write(b"1")
    if held >= 0:
        os.close(held)


def read_spec(run_dir: Path) -> JobSpec:
    """The job that `run.json` describes.

    Raises:
        ValueError: there is none.
    """
    run = read_json(run_dir / RUN)
    try:
        fields = dict((run or {})["spec"])
        tuples = {name: tuple(fields[name]) for name in ("overrides", "after", "setup")}
        return JobSpec(**{**fields, **tuples, "run_dir": run_dir})
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{run_dir / RUN} describes no run ({error}); submit it again") from None


class Supervisor:
    """Runs a job's processes until they have finished, are asked to stop, or fail for good.

    Args:
        spec: the job.
    """

    def __init__(self, spec: JobSpec) -> None:
        self._spec = spec
        self._child: subprocess.Popen[bytes] | None = None
        self._stopping = False
        self._asked = False  # the ranks, by themselves

    def run(self) -> int:
        """The last processes' exit status."""
        for number in _SIGNALS:
            signal.signal(number, self._stop)
        while not self._stopping:
            status = self._once()
            if (self._spec.run_dir / RESULT).exists():
                return 0
            if self._stopping:
                self._note_stop()
                return status
            verdict = decide(note_silent_end(self._spec.run_dir, status), restarts_of(self._spec.run_dir))
            if not verdict.goes_on:
                note(self._spec.run_dir, "gave up", error=verdict.why)
                say(f"the run stops here: {verdict.why}")
                return status
            note(self._spec.run_dir, "again", why=verdict.why)
            say(f"starting again{f' in {verdict.wait_s:g} s' if verdict.wait_s else ''}: {verdict.why}")
            self._wait(verdict.wait_s)
        self._note_stop()
        return 1

    def _wait(self, seconds: float) -> None:
        """Until room may have been made, or the run is asked to stop."""
        until = time.monotonic() + seconds
        while not self._stopping and time.monotonic() < until:
            time.sleep(_LOOK_S)

    def _note_stop(self) -> None:
        """Ranks that were asked to stop before they could hear it say nothing themselves."""
        events = since_submitted(attempts(self._spec.run_dir))
        if events and events[-1]["event"] in ("submitted", "started", "again"):
            step = last_metrics(self._spec.run_dir).get("step", 0)
            note(self._spec.run_dir, "stopped", why="asked to stop; its ranks ended at once", step=step)

    def _once(self) -> int:
        command = local_command(self._spec, sys.executable, shares_tasks(self._spec.stage))
        # Python warns of what runs between fork and exec where there are threads; there are none here.
        self._child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, env=without_launcher(os.environ), preexec_fn=_end_with(os.getpid())  # noqa: PLW1509
        )  # fmt: skip
        if self._stopping:  # a signal came before there was anybody to hand it on to
            self._child.terminate()
        status = self._child.wait() % 256
        if self._asked and command[2] != WORKER:
            say("the run was asked to stop, and its ranks have; horovodrun calls that an error")
        return status

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        """Ask the ranks. `horovodrun`, which kills them 5 s later, is asked the second time, or before there are ranks."""
        self._stopping = True
        if self._child is None or self._child.poll() is not None:
            return
        ranks = [] if self._asked else ranks_below(self._child.pid)
        self._asked = bool(ranks)
        for pid in ranks or [self._child.pid]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)


def _end_with(parent: int) -> Callable[[], None]:
    """For a new process: the kernel kills it when its parent ends, however that ends. `horovodrun`'s ranks end when it is gone."""
    prctl = ctypes.CDLL(None).prctl  # looked up before the fork

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended meanwhile
            os._exit(1)

    return ask


def parser() -> argparse.ArgumentParser:
    """The command line."""
    summary, examples = (__doc__ or "").split("\n\n")
    top = argparse.ArgumentParser(
        prog="python -m hpc.local", description=summary, epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    top.add_argument("--run-dir", type=Path, required=True, help="folder of a run that hpc.submit has written down")
    top.add_argument("--ready", type=int, default=-1, metavar="FD", help="of hpc.submit: told when the run is known")
    top.add_argument("--held", type=int, default=-1, metavar="FD", help="of hpc.submit: a lock that is held until then")
    return top


def main(arguments: list[str] | None = None) -> int:
    """Run it; 0 when it finished."""
    options = parser().parse_args(arguments)
    try:
        supervisor = Supervisor(read_spec(options.run_dir))
        announce(options.run_dir, options.ready, options.held)
        return supervisor.run()
    except (ValueError, OSError) as error:
        print(f"local: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
