"""Runs steps, several at once; what was done by the same command is not done again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

from v2a.reproduce.steps import Step
from v2a.whole import write_json

_LAST = 12  # lines of a log that are shown when its command failed


class StepFailed(RuntimeError):  # noqa: N818 - the name says what happened
    """A command failed; the text has its last words."""


def run_steps(steps: Sequence[Step], out: Path, jobs: int, should_stop: Callable[[], bool]) -> bool:
    """Run all steps, each after those that it needs.

    Args:
        steps: in an order in which they could run one by one.
        out: folder of logs and of records of what is done.
        jobs: commands at once.
        should_stop: asked before each command; commands under way are waited for, and got the signal themselves.

    Returns:
        Whether all are done.

    Raises:
        StepFailed: one failed; those under way were waited for.
        OSError: a log or record cannot be written.
    """
    done = {step.name for step in steps if is_done(step, out)}
    waiting = [step for step in steps if step.name not in done]
    begun, under_way = time.monotonic(), dict[Future[None], Step]()
    with ThreadPoolExecutor(jobs) as pool:
        while (waiting and not should_stop()) or under_way:
            ready = [step for step in waiting if done.issuperset(step.needs)] if not should_stop() else []
            for step in ready[: jobs - len(under_way)]:
                waiting.remove(step)
                _say(
                    f"{len(done)} of {len(steps)} done after {_minutes(begun)}; {step.name}: log in {log_of(step, out)}"
                )
                under_way[pool.submit(_run, step, out)] = step
            finished, _ = wait(under_way, return_when=FIRST_COMPLETED)
            for future in finished:
                step = under_way.pop(future)
                future.result()
                done.add(step.name)
                _say(f"{len(done)} of {len(steps)} done after {_minutes(begun)}; {step.name} ended")
            if not finished and not ready:
                break
    return not waiting


def is_done(step: Step, out: Path) -> bool:
    """Whether this very command ended well."""
    try:
        record = json.loads(record_of(step, out).read_text())
    except (OSError, ValueError):
        return False
    return isinstance(record, dict) and record.get("command") == list(step.command[1:])


def seconds_of(step: Step, out: Path) -> float:
    """How long a step that is done took, s; of its last run when it was stopped before."""
    return float(json.loads(record_of(step, out).read_text())["seconds"])


def log_of(step: Step, out: Path) -> Path:
    """What its command printed."""
    return out / "logs" / f"{_file(step)}.log"


def record_of(step: Step, out: Path) -> Path:
    """That it is done."""
    return out / "done" / f"{_file(step)}.json"


def _run(step: Step, out: Path) -> None:
    log = log_of(step, out)
    log.parent.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    # One thread each: several run at once, and their sums do not depend on how many.
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with log.open("ab") as file:
        status = subprocess.run(
            step.command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, env=environment, check=False
        ).returncode
    if status:
        last = "\n  ".join(log.read_text(errors="replace").splitlines()[-_LAST:])
        raise StepFailed(
            f"{step.name} ended with status {status}; the same command goes on from there. Its last words:\n  {last}"
        )
    write_json(record_of(step, out), {"command": list(step.command[1:]), "seconds": time.monotonic() - begun})


def _file(step: Step) -> str:
    return step.name.replace("/", "-")


def _minutes(begun: float) -> str:
    return f"{(time.monotonic() - begun) / 60:.1f} min"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
