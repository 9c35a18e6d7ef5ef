"""A run by processes of this machine, under a supervisor that outlives the terminal and lets a broken run go on.

python -m hpc.local --run-dir runs/selftest-12345678
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import FrameType

from hpc.again import decide, note_silent_end, restarts_of
from hpc.job import JobSpec, local_command
from hpc.record import RESULT, RUN, append, read_json
from hpc.states import process_begun
from v2a.stages import shares_tasks

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def start(spec: JobSpec) -> subprocess.Popen[bytes]:
    """Start the supervisor of a run whose `run.json` is written. It writes to `logs/local-….out`.

    Raises:
        OSError: it cannot be started.
    """
    logs = spec.run_dir / "logs"
    logs.mkdir(exist_ok=True)
    number = len(list(logs.glob("local-*.out"))) + 1
    command = [sys.executable, "-u", "-m", "hpc.local", "--run-dir", str(spec.run_dir)]
    with (logs / f"local-{number:03d}.out").open("ab") as out:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        )
    append(
        spec.run_dir,
        "submitted",
        where="local",
        host=socket.gethostname(),
        pid=process.pid,
        begun=process_begun(process.pid),
    )
    return process


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

    def run(self) -> int:
        """The last processes' exit status."""
        for number in _SIGNALS:
            signal.signal(number, self._stop)
        while not self._stopping:
            status = self._once()
            if (self._spec.run_dir / RESULT).exists():
                return 0
            if self._stopping:
                return status
            verdict = decide(note_silent_end(self._spec.run_dir, status), restarts_of(self._spec.run_dir))
            if not verdict.goes_on:
                append(self._spec.run_dir, "gave up", error=verdict.why)
                print(f"the run stops here: {verdict.why}", flush=True)
                return status
            append(self._spec.run_dir, "again", why=verdict.why)
            print(f"starting again: {verdict.why}", flush=True)
        return 1

    def _once(self) -> int:
        command = local_command(self._spec, sys.executable, shares_tasks(self._spec.stage))
        self._child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        return self._child.wait() % 256

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping = True
        if self._child is not None and self._child.poll() is None:
            os.kill(self._child.pid, signal.SIGTERM)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    summary, examples = (__doc__ or "").split("\n\n")
    top = argparse.ArgumentParser(
        prog="python -m hpc.local", description=summary, epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    top.add_argument("--run-dir", type=Path, required=True, help="folder of a run that hpc.submit has written down")
    return top


def main(arguments: list[str] | None = None) -> int:
    """Run it; 0 when it finished."""
    options = parser().parse_args(arguments)
    try:
        return Supervisor(read_spec(options.run_dir)).run()
    except (ValueError, OSError) as error:
        print(f"local: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
