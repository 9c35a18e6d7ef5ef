"""Show a run's output as it comes, until it has ended. Ctrl-C ends the showing, and never the run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from hpc.states import RunState, state_of
from hpc.visible import visible, visible_lines

INTERRUPTED = 130
_POLL_S = 1.0
_LOCAL_POLL_S = 0.2
_SLURM_S = 3.0  # between two questions to Slurm


def log_files(run_dir: Path, rank: int = 0) -> list[Path]:
    """Output of one rank in all attempts, oldest first; of a local run, where all ranks write into one, that one."""
    found = [*run_dir.glob(f"submitit/*_{rank}_log.out"), *run_dir.glob("logs/local-*.out")]
    return sorted(found, key=_age)


def _age(path: Path) -> tuple[float, str]:
    try:
        return path.stat().st_ctime if path.parent.name == "logs" else float(path.name.split("_")[0]), path.name
    except (OSError, ValueError):
        return 0.0, path.name


class Tail:
    """The new part of a run's output, as often as it is asked; a new file begins where the last one ended."""

    def __init__(self, run_dir: Path, rank: int = 0, skip_old: bool = False) -> None:
        self._run_dir, self._rank = run_dir, rank
        self._shown: dict[Path, int] = {}
        for path in log_files(run_dir, rank) if skip_old else ():
            self._shown[path] = path.stat().st_size

    def show(self) -> bool:
        """Print what is new; whether there was something."""
        found = False
        for path in log_files(self._run_dir, self._rank):
            before = self._shown.get(path, 0)
            with path.open("rb") as file:
                file.seek(before)
                new = file.read()
            self._shown[path] = before + len(new)
            if new:
                found = True
                sys.stdout.write(new.decode(errors="replace"))
                sys.stdout.flush()
        return found


def follow(run_dir: Path, tail: Tail, ask: Callable[[Path], RunState] = state_of) -> RunState:
    """Print output and changes of state until the run waits and runs no more.

    Returns:
        How it ended.

    Raises:
        KeyboardInterrupt: a person wants to see no more.
    """
    state, asked_at, said = ask(run_dir), time.monotonic(), ""
    while True:
        now = state.state + (f" ({state.reason})" if state.reason and state.state == "pending" else "")
        if now != said and state.state != "unknown":
            label = state.job_id or state.run_dir.name
            print(visible(f"[{label}] {now}"), flush=True)
            said = now
        tail.show()
        if not state.is_active and state.state != "unknown":
            return state
        time.sleep(_POLL_S)
        if time.monotonic() - asked_at >= (_SLURM_S if state.job_id else 0):
            state, asked_at = ask(run_dir), time.monotonic()


def follow_local(process: subprocess.Popen[bytes], tail: Tail) -> int:
    """Print a local run's output until its supervisor ends. The first Ctrl-C asks it to stop after its present step, the second one
    kills it.

    Returns:
        Its exit status; 130 after Ctrl-C.
    """
    asked = False
    while True:
        try:
            status = _wait(process)
            tail.show()
        except KeyboardInterrupt:
            _end(process, signal.SIGKILL if asked else signal.SIGTERM)
            if not asked:
                print(
                    "\nstopping after this step; what is whole is kept (once more: stop at once)",
                    file=sys.stderr,
                    flush=True,
                )
            asked = True
            continue
        if status is not None:
            return INTERRUPTED if asked else status


def _wait(process: subprocess.Popen[bytes]) -> int | None:
    try:
        return process.wait(timeout=_LOCAL_POLL_S)
    except subprocess.TimeoutExpired:
        return None


def _end(process: subprocess.Popen[bytes], number: int) -> None:
    """TERM to the supervisor, which hands it on; KILL to all that it started."""
    with suppress(ProcessLookupError):
        if number == signal.SIGKILL:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)


def say_end(state: RunState) -> int:
    """A sentence on how a run ended; the exit status for it."""
    where = f"; its folder is {state.run_dir}"
    if state.state == "finished":
        for line in results(state):
            print(line, flush=True)
        return 0
    name = state.run_dir.name
    text = f"{name} {state.state}{f': {state.reason}' if state.reason else ''}{where}"
    print(visible_lines(text), file=sys.stderr, flush=True)
    return 1


def results(state: RunState) -> list[str]:
    """The final metrics of a finished run, for people."""
    numbers = {name: value for name, value in (state.result or {}).items() if isinstance(value, (int, float))}
    shown = "  ".join(f"{name} {value:.6g}" for name, value in numbers.items() if name != "stopped")
    return [visible(f"{state.run_dir.name} finished: {shown}"), visible(f"  in {state.run_dir}")]
