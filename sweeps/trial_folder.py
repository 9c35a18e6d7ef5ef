"""What a trial's folder says: what to run, who runs it, and how it ended. Small JSON files, each whole or not there.

The folder is the run's own, with its checkpoints and metrics. Whoever finds a trial's process gone reads here how it stands.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from hpc.states import lives, process_begun

TASK, HANDLE, OUTCOME, PLACE = "trial.json", "handle.json", "outcome.json", "where.json"
_TRIES = 20


@dataclass(frozen=True)
class Task:
    """What to run.

    Attributes:
        storage: `sweeps.place.Place.spec` of the study.
        study: its name.
        number: of the trial.
        stage: name of the stage.
        overrides: its "key=value" settings.
        metric: that is reported to the study; "" when nothing is pruned.
        pruner: name of the pruner.
        steps: of a whole run.
        every: steps between two reports.
        nodes: of the run; more of them make a step's batch larger.
        ranks_per_node: likewise.
    """

    storage: str
    study: str
    number: int
    stage: str
    overrides: list[str]
    metric: str
    pruner: str
    steps: int
    every: int
    nodes: int = 1
    ranks_per_node: int = 1


@dataclass(frozen=True)
class Handle:
    """Who runs it.

    Attributes:
        kind: "process", of one machine, or "slurm".
        name: of "process" the lock file that it holds, of "slurm" the job's number.
        attempt: 1 for the first.
        driver: the lock file of the driver that started it; "" for a worker.
    """

    kind: str
    name: str
    attempt: int = 1
    driver: str = ""


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        state: "complete", "pruned", "failed", or "stopped": asked to stop by a signal, and to be continued.
        reason: a sentence, for people.
        metrics: of a run that is complete.
        step: the last one, where it is known.
        seconds: that this attempt trained, from when its ranks had found each other.
        processor_s: processor time of rank 0 meanwhile.
        unsaid: values of the reported metric that the study's storage did not take, by step.
    """

    state: str
    reason: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    step: float = 0.0
    seconds: float = 0.0
    processor_s: float = 0.0
    unsaid: Mapping[str, float] = field(default_factory=dict)


def write_task(folder: Path, task: Task) -> None:
    """Make the folder, and say what to run."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / TASK, asdict(task))


def read_task(folder: Path) -> Task:
    """What to run.

    Raises:
        ValueError: the folder is no trial's.
    """
    found = read_json(folder / TASK)
    try:
        return Task(**found)
    except TypeError as error:
        raise ValueError(f"{folder} is no trial's folder: {error}") from None


def write_handle(folder: Path, handle: Handle) -> None:
    """Say who runs it."""
    folder.mkdir(parents=True, exist_ok=True)
    names = {"name": _from_runs(folder, handle.name), "driver": _from_runs(folder, handle.driver)}
    write_json(folder / HANDLE, {**asdict(handle), **names})


def _from_runs(folder: Path, name: str) -> str:
    """A lock file as seen from the folder of runs, which may be moved, and have another path on another machine."""
    inside = os.path.isabs(name) and Path(name).is_relative_to(folder.parent)
    return f"./{Path(name).relative_to(folder.parent)}" if inside else name


def _from_here(folder: Path, name: str) -> str:
    return str(folder.parent / name) if name.startswith("./") else name


def forget_attempt(folder: Path) -> None:
    """Take away how and where an earlier attempt ended, before the next one begins: its process's number may be another's now."""
    for name in (OUTCOME, PLACE):
        (folder / name).unlink(missing_ok=True)


def read_handle(folder: Path) -> Handle | None:
    """Who runs it; None when nobody has said so."""
    try:
        found = Handle(**read_json(folder / HANDLE))
        return replace(found, name=_from_here(folder, found.name), driver=_from_here(folder, found.driver))
    except (TypeError, AttributeError):
        return None


def write_outcome(folder: Path, outcome: Outcome) -> None:
    """Say how it ended. The first word counts: of several ranks that fail, the first knows why. Only "stopped" is no last word: a
    process that found the run busy says it too, and the one that trained it may end well after that."""
    content = json.dumps(asdict(outcome))
    unfinished = folder / f".{OUTCOME}.{os.uname().nodename}.{os.getpid()}"
    try:
        with unfinished.open("w") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.link(unfinished, folder / OUTCOME)
    except FileExistsError:
        before = read_outcome(folder)
        if outcome.state in ("complete", "pruned") and before is not None and before.state == "stopped":
            os.replace(unfinished, folder / OUTCOME)
    finally:
        unfinished.unlink(missing_ok=True)


def read_outcome(folder: Path) -> Outcome | None:
    """How it ended; None while it runs, or when it ended without a word."""
    try:
        return Outcome(**read_json(folder / OUTCOME))
    except TypeError:
        return None


def write_place(folder: Path) -> None:
    """Say that rank 0 is this process, for people and for a signal."""
    me = os.getpid()
    write_json(folder / PLACE, {"host": socket.gethostname(), "process": me, "begun": process_begun(me)})


def read_place(folder: Path) -> tuple[str, int]:
    """Host and process of rank 0; "" and 0 when it has not begun."""
    found = read_json(folder / PLACE)
    process = found.get("process", 0)
    return str(found.get("host", "")), process if isinstance(process, int) else 0


def process_here(folder: Path) -> int | None:
    """Number of rank 0's process, when it is on this machine and still there; not one that has its number by now."""
    host, process = read_place(folder)
    begun = read_json(folder / PLACE).get("begun")
    there = process > 0 and host == socket.gethostname() and bool(begun) and lives(process, str(begun))
    return process if there else None


# --- locks that say whether a process lives ---------------------------------------------------------------------------


def hold(path: Path) -> int | None:
    """Take a lock file; None when a process holds it. It is free when the last process that has this file open has ended.

    Returns:
        The open file, which a child may inherit.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    for _ in range(_TRIES):  # whoever looks at it (`is_held`) has it for a moment
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.02)
        else:
            return file
    os.close(file)
    return None


def is_held(path: Path) -> bool:
    """Whether a process holds it."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """A small file, whole or not there."""
    unfinished = path.with_name(f".{path.name}.{os.uname().nodename}.{os.getpid()}")
    try:
        unfinished.write_text(json.dumps(content, indent=1) + "\n")
        os.replace(unfinished, path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def read_json(path: Path) -> dict[str, Any]:
    """What it holds; nothing when it is missing or damaged."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
