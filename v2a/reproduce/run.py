"""Runs steps, several at once; what was done by the same command is not done again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from v2a.reproduce.steps import Step
from v2a.whole import write_json

_LOOK_S = 0.1
_SAY_S = 30.0
_PATIENCE_S = 20.0
_TAIL, _WIDTH = 4096, 240  # of a log: bytes that are looked at, characters that are shown
_LAST = 12  # lines of a log that are shown when its command failed


class StepFailed(RuntimeError):  # noqa: N818 - the name says what happened
    """A command failed; the text has its last words."""


@dataclass(frozen=True)
class _Running:
    step: Step
    process: subprocess.Popen[bytes]
    begun: float


def run_steps(steps: Sequence[Step], out: Path, jobs: int, should_stop: Callable[[], bool]) -> bool:
    """Run all steps, each after those that it needs.

    Args:
        steps: in an order in which they could run one by one.
        out: folder of logs and of records of what is done.
        jobs: commands at once.
        should_stop: asked all the time; commands under way are then asked to stop by TERM, and waited for.

    Returns:
        Whether all are done.

    Raises:
        StepFailed: one failed; those under way were waited for.
        OSError: a log or record cannot be written.
    """
    crew = _Crew(steps, out)
    asked = False
    try:
        while crew.running or (crew.waiting and not crew.failed and not asked):
            if should_stop() and not asked:
                asked = True
                crew.ask_to_stop()
            if not asked and not crew.failed:
                crew.start(jobs)
            crew.collect(forgiving=asked or should_stop())
            crew.say_how_far()
            time.sleep(_LOOK_S)
    finally:
        crew.end()
    if crew.failed:
        failed = crew.failed[0]
        last = "\n  ".join(log_of(failed, out).read_text(errors="replace").splitlines()[-_LAST:])
        raise StepFailed(f"{failed.name} failed; the same command goes on from there. Its last words:\n  {last}")
    return len(crew.done) == len(steps)


class _Crew:
    """Steps that wait, run, are done or failed."""

    def __init__(self, steps: Sequence[Step], out: Path) -> None:
        self._out, self._all, self._begun = out, len(steps), time.monotonic()
        self.done = {step.name for step in steps if is_done(step, out)}
        self.waiting = [step for step in steps if step.name not in self.done]
        self.running: list[_Running] = []
        self.failed: list[Step] = []
        self._said = time.monotonic()

    def start(self, jobs: int) -> None:
        """Begin what has all that it needs, as far as there is room."""
        ready = [step for step in self.waiting if self.done.issuperset(step.needs)]
        for step in ready[: jobs - len(self.running)]:
            self.waiting.remove(step)
            self._say(f"{step.name}: log in {log_of(step, self._out)}")
            self.running.append(_start(step, self._out))

    def collect(self, forgiving: bool) -> None:
        """Look at what has ended; a failure is none when it was asked to stop."""
        for one in [one for one in self.running if one.process.poll() is not None]:
            self.running.remove(one)
            _note(one, self._out, ended=one.process.returncode == 0)
            if one.process.returncode == 0:
                self.done.add(one.step.name)
                self._say(f"{one.step.name} ended")
            elif not forgiving:
                self.failed.append(one.step)

    def say_how_far(self) -> None:
        """Now and then, the last line that each command under way has printed."""
        if time.monotonic() < self._said + _SAY_S:
            return
        self._said = time.monotonic()
        for one in self.running:
            if line := _last_line(log_of(one.step, self._out)):
                self._say(f"{one.step.name}: {line}")

    def ask_to_stop(self) -> None:
        """By TERM, at which every stage keeps what is whole."""
        for one in self.running:
            one.process.terminate()

    def end(self) -> None:
        """Nothing runs on without us: asked once more, and killed after a while."""
        self.ask_to_stop()
        for one in self.running:
            try:
                one.process.wait(_PATIENCE_S)
            except subprocess.TimeoutExpired:
                os.killpg(one.process.pid, signal.SIGKILL)
                one.process.wait()

    def _say(self, text: str) -> None:
        minutes = (time.monotonic() - self._begun) / 60
        print(f"{len(self.done)} of {self._all} done after {minutes:.1f} min; {text}", file=sys.stderr, flush=True)


def is_done(step: Step, out: Path) -> bool:
    """Whether this very command ended well, after the very commands that it needs."""
    record = _read(step, out)
    return (record.get("command"), record.get("recipe")) == (list(step.command[1:]), step.recipe)


def seconds_of(step: Step, out: Path) -> float:
    """How long a step took so far, s; without runs that were killed."""
    return float(_read(step, out).get("seconds", 0))


def log_of(step: Step, out: Path) -> Path:
    """What its command printed."""
    return out / "logs" / f"{_file(step)}.log"


def record_of(step: Step, out: Path) -> Path:
    """That it is done."""
    return out / "done" / f"{_file(step)}.json"


def _start(step: Step, out: Path) -> _Running:
    log = log_of(step, out)
    log.parent.mkdir(parents=True, exist_ok=True)
    # One thread each: several run at once, and their sums do not depend on how many.
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with log.open("ab") as file:
        process = subprocess.Popen(  # in a session of its own: Ctrl-C reaches it through us, once
            step.command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        )  # fmt: skip
    return _Running(step, process, time.monotonic())


def _note(one: _Running, out: Path, *, ended: bool) -> None:
    """That it is done; or, when it was stopped or failed, only how long it ran: it goes on from there."""
    before = _read(one.step, out)
    spent = before["seconds"] if before.get("recipe") == one.step.recipe else 0.0
    record = {"recipe": one.step.recipe, "seconds": spent + time.monotonic() - one.begun}
    if ended:
        record["command"] = list(one.step.command[1:])
    write_json(record_of(one.step, out), record)


def _read(step: Step, out: Path) -> dict[str, Any]:
    """The record of a step; {} when there is none, or it is damaged."""
    try:
        record = json.loads(record_of(step, out).read_text())
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) and isinstance(record.get("seconds"), float) else {}


def _last_line(log: Path) -> str:
    """Of what a command has printed; "" when there is nothing."""
    with log.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
        lines = file.read().decode(errors="replace").split("\n")
    return next((line.strip()[:_WIDTH] for line in reversed(lines) if line.strip()), "")


def _file(step: Step) -> str:
    return step.name.replace("/", "-")
