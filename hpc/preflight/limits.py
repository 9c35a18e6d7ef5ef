"""Time limits: a broken driver or a dead file system must become a sentence, never a preflight that hangs."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from hpc.preflight.finding import Finding


@dataclass(frozen=True)
class Answer:
    """What a program said.

    Attributes:
        outcome: "answered": it ended with status 0; "failed": with another, or it could not be started; "missing": no
            such program; "hung": it did not end in time.
        text: its output when it answered, else one line on what went wrong.
    """

    outcome: Literal["answered", "failed", "missing", "hung"]
    text: str


def ask(command: Sequence[str], limit_s: float, environ: Mapping[str, str] | None = None) -> Answer:
    """Run a program and return what it printed; raises for nothing that it does, ends within `limit_s` + 1 s."""
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            env=environ,
            start_new_session=True,  # its own process group, so that its children can be ended with it
        )
    except FileNotFoundError:
        return Answer("missing", f"{command[0]} is not on PATH")
    except OSError as error:
        return Answer("failed", f"{command[0]} could not be started: {error.strerror}")
    try:
        out, err = process.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        _end(process)
        return Answer("hung", f"{command[0]} did not answer within {limit_s:g} s")
    if process.returncode == 0:
        return Answer("answered", out)
    said = next((line.strip() for line in (err + "\n" + out).splitlines() if line.strip()), "it said nothing")
    status = signal_name(-process.returncode) if process.returncode < 0 else f"status {process.returncode}"
    return Answer("failed", f"{command[0]} ended with {status}: {said}")


def signal_name(number: int) -> str:
    """Name a signal, such as SIGSEGV for 11."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _end(process: subprocess.Popen[str]) -> None:
    """Kill a program and its children, and do not wait for one that the kernel cannot kill (state D)."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=1)
    except (ProcessLookupError, subprocess.TimeoutExpired):
        pass


class Running:
    """A check at work in its own thread: together they take as long as the slowest, and none longer than its limit.

    The threads are daemons: one that is stuck in a system call does not keep the process alive.
    """

    def __init__(self, check: str, action: Callable[[], list[Finding]], limit_s: float) -> None:
        self._check, self._action, self._limit_s = check, action, limit_s
        self._findings: list[Finding] = []
        self._ended = threading.Event()
        self._started_s = time.monotonic()
        threading.Thread(target=self._run, name=f"preflight {check}", daemon=True).start()

    def _run(self) -> None:
        try:
            self._findings = self._action()
        except BaseException as error:  # a SystemExit from a strange import, too, is news and not an end
            self._findings = [
                Finding(
                    self._check,
                    "fail",
                    f"the check itself broke: {type(error).__name__}: {error}",
                    f"report this as a bug; until then, leave the check out: give --only the others' names, without {self._check}",
                )
            ]
        self._ended.set()

    def findings(self) -> list[Finding]:
        """Wait for the check's findings; a check past its limit becomes a failure that says so."""
        if self._ended.wait(max(0.0, self._started_s + self._limit_s - time.monotonic())):
            return self._findings
        return [
            Finding(
                self._check,
                "fail",
                f"did not answer within {self._limit_s:g} s: a file system or a driver of this node is stuck",
                "look at `dmesg` and `df` on this node; leave it out (`--exclude=NODE`) and tell the administrator",
            )
        ]
