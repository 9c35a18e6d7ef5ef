"""Runs steps, several at once; what was done by the same command is not done again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from v2a.reproduce.steps import Step
from v2a.whole import write_json

_LOOK_S = 0.1
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
    done = {step.name for step in steps if is_done(step, out)}
    waiting = [step for step in steps if step.name not in done]
    begun, running, failed = time.monotonic(), list[_Running](), list[Step]()
    asked = False
    while running or (waiting and not failed and not asked):
        if should_stop() and not asked:
            asked = True
            for one in running:
                one.process.send_signal(signal.SIGTERM)
        for step in _ready(waiting, done, jobs - len(running)) if not (asked or failed) else ():
            waiting.remove(step)
            _say(f"{len(done)} of {len(steps)} done after {_minutes(begun)}; {step.name}: log in {log_of(step, out)}")
            running.append(_start(step, out))
        for one in [one for one in running if one.process.poll() is not None]:
            running.remove(one)
            if one.process.returncode == 0:
                _note(one, out)
                done.add(one.step.name)
                _say(f"{len(done)} of {len(steps)} done after {_minutes(begun)}; {one.step.name} ended")
            elif not (asked or should_stop()):
                failed.append(one.step)
        time.sleep(_LOOK_S)
    if failed:
        last = "\n  ".join(log_of(failed[0], out).read_text(errors="replace").splitlines()[-_LAST:])
        raise StepFailed(f"{failed[0].name} failed; the same command goes on from there. Its last words:\n  {last}")
    return not waiting and len(done) == len(steps)


def _ready(waiting: Sequence[Step], done: Collection[str], room: int) -> list[Step]:
    return [step for step in waiting if set(step.needs) <= set(done)][: max(0, room)]


def is_done(step: Step, out: Path) -> bool:
    """Whether this very command ended well, after the very commands that it needs."""
    try:
        record = json.loads(record_of(step, out).read_text())
    except (OSError, ValueError):
        return False
    return isinstance(record, dict) and (record.get("command"), record.get("recipe")) == (
        list(step.command[1:]),
        step.recipe,
    )


def seconds_of(step: Step, out: Path) -> float:
    """How long a step that is done took, s; of its last run when it was stopped before."""
    return float(json.loads(record_of(step, out).read_text())["seconds"])


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


def _note(one: _Running, out: Path) -> None:
    record = {"command": list(one.step.command[1:]), "recipe": one.step.recipe, "seconds": time.monotonic() - one.begun}
    write_json(record_of(one.step, out), record)


def _file(step: Step) -> str:
    return step.name.replace("/", "-")


def _minutes(begun: float) -> str:
    return f"{(time.monotonic() - begun) / 60:.1f} min"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
