"""What a run's folder remembers of itself: `run.json`, what was asked, and `attempts.jsonl`, what became of it, in order.

An attempt begins with a line "submitted" and goes on with "started" and then "finished", "stopped" or "failed"; a job that goes on
by itself adds "started" again. A line is written in one piece and never changed. What cannot be read is passed over: a node that
lost its power may leave half a line, and what comes after it begins on a line of its own.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from v2a.whole import parse_json, write_json

RUN, ATTEMPTS, RESULT, METRICS = "run.json", "attempts.jsonl", "result.json", "metrics.jsonl"
CONFIG = "config.json"  # of the worker: also of a run that no submission wrote down
_TAIL_BYTES = 16_384


@contextmanager
def described(run_dir: Path, stage: str, overrides: Sequence[str], world: int, rank: int) -> Iterator[None]:
    """While a run goes on, `config.json` says what it is: rank 0 writes it.

    A run that its stage refuses (`ValueError`: the folder is another run's, or in use) leaves the description that was there.
    """
    path = run_dir / CONFIG
    before = read_json(path)
    if rank == 0:
        write_json(path, {"stage": stage, "overrides": list(overrides), "world_size": world})
    try:
        yield
    except ValueError:
        if rank == 0 and before is not None:
            write_json(path, before)
        raise


def read_json(path: Path) -> dict[str, Any] | None:
    """A JSON object; None when there is none, or none that can be read."""
    try:
        found = parse_json(path.read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def spec_of(run_dir: Path) -> dict[str, Any]:
    """What `run.json` says of the job as it was asked for; empty when there is none, or none that can be read."""
    spec = (read_json(run_dir / RUN) or {}).get("spec")
    return spec if isinstance(spec, dict) else {}


def spec_number(spec: Mapping[str, Any], name: str, default: int) -> int:
    """A whole number of it; the default where there is none."""
    value = spec.get(name)
    return value if isinstance(value, int) else default  # what is damaged stops no run


def unreadable(path: Path) -> str:
    """Why a file that is there cannot be read; empty when it can, or when there is none."""
    try:
        with path.open("rb"):
            return ""
    except FileNotFoundError:
        return ""
    except OSError as error:
        return error.strerror or str(error)


def result_mark(run_dir: Path) -> int | None:
    """By what one `result.json` is told from another of the same run: its time in ns; None when there is none."""
    try:
        return (run_dir / RESULT).stat().st_mtime_ns
    except OSError:
        return None


def append(run_dir: Path, event: str, **fields: object) -> None:
    """Add a line to `attempts.jsonl`, with the time. A line before it that is not whole is ended first.

    Raises:
        OSError: it cannot be written.
    """
    line = json.dumps({"event": event, "time": round(time.time(), 1), **fields}) + "\n"
    file = os.open(run_dir / ATTEMPTS, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)  # less the umask
    try:
        with suppress(OSError):  # a file system without locks: a line is short enough to be written in one piece
            fcntl.flock(file, fcntl.LOCK_EX)
        size = os.fstat(file).st_size
        whole = size == 0 or os.pread(file, 1, size - 1) == b"\n"
        left = line.encode() if whole else b"\n" + line.encode()
        while left:
            left = left[os.write(file, left) :]
    finally:
        os.close(file)


def note(run_dir: Path, event: str, **fields: object) -> None:
    """The same, where the record is not worth a run: what a full disk does not take is lost. Fields that are None are left out."""
    with suppress(OSError):
        append(run_dir, event, **{name: value for name, value in fields.items() if value is not None})


def note_job(run_dir: Path, job_id: str) -> None:
    """A job of Slurm's that another batch script than ours started is known from now on."""
    if not any(str(event.get("job_id")) == job_id for event in attempts(run_dir)):
        note(run_dir, "submitted", where="slurm", job_id=job_id, job_name=os.environ.get("SLURM_JOB_NAME"))


def attempts(run_dir: Path) -> list[dict[str, Any]]:
    """The lines of `attempts.jsonl`, oldest first; none when there is no such file."""
    return _lines(run_dir / ATTEMPTS, whole=True)


def since_submitted(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of the last submission, its own line first; all of them when there is none."""
    begins = [number for number, event in enumerate(events) if event["event"] == "submitted"]
    return events[begins[-1] :] if begins else events


def was_taken_along(event: Mapping[str, Any]) -> bool:
    """Whether a rank failed only because another one had, which says why."""
    return "HorovodInternalError" in str(event.get("error", ""))


def last_metrics(run_dir: Path) -> dict[str, Any]:
    """The newest value of each metric in the last lines of `metrics.jsonl`; empty when there are none."""
    found: dict[str, Any] = {}
    for line in _lines(run_dir / METRICS, whole=False):
        found |= line
    return found


def all_metrics(run_dir: Path) -> list[dict[str, Any]]:
    """Every line of `metrics.jsonl` that can be read, in order."""
    return _lines(run_dir / METRICS, whole=True)


def _lines(path: Path, whole: bool) -> list[dict[str, Any]]:
    try:
        with path.open("rb") as file:
            if not whole:
                file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    found = []
    for line in text.splitlines():
        try:
            record = parse_json(line)
        except ValueError:
            continue
        if isinstance(record, dict) and (_is_event(record) if path.name == ATTEMPTS else _is_measured(record)):
            found.append(record)
    return found


def _is_event(record: dict[str, Any]) -> bool:
    return isinstance(record.get("event"), str)


def _is_measured(record: dict[str, Any]) -> bool:
    step = record.get("step")
    return isinstance(step, (int, float)) and math.isfinite(step)
