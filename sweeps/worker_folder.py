"""What a worker's folder says: which study, and how its trials are chosen."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from sweeps.options import Options
from sweeps.trial_folder import Handle

_FILE = "worker.json"


@dataclass(frozen=True)
class Worker:
    """One worker.

    Attributes:
        study: name of the study.
        folder: of the study's runs.
        options: how trials are chosen.
        handle: by which others see whether it lives.
    """

    study: str
    folder: str
    options: Options
    handle: Handle


def write_worker(folder: Path, worker: Worker) -> None:
    """Make the folder, and say what to work on."""
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / f".{_FILE}.{os.getpid()}"
    unfinished.write_text(json.dumps(asdict(worker), indent=1) + "\n")
    os.replace(unfinished, folder / _FILE)


def wait_for_worker(folder: Path, timeout_s: float = 60.0) -> None:
    """Until rank 0 has written it: other ranks may be quicker, and a network file system slower.

    Raises:
        ValueError: it does not come.
    """
    deadline = time.monotonic() + timeout_s
    while not (folder / _FILE).exists():
        if time.monotonic() > deadline:
            raise ValueError(f"{folder / _FILE} did not appear within {timeout_s:g} s: do all nodes see that folder?")
        time.sleep(0.2)


def read_worker(folder: Path) -> Worker:
    """What to work on. A job of Slurm knows its own number.

    Raises:
        ValueError: the folder is no worker's.
    """
    try:
        found = json.loads((folder / _FILE).read_text())
        worker = Worker(found["study"], found["folder"], Options(**found["options"]), Handle(**found["handle"]))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{folder} is no worker's folder: {error}") from None
    job = os.environ.get("SLURM_JOB_ID")
    if worker.handle.kind == "slurm" and job:
        worker = replace(worker, handle=replace(worker.handle, name=job))
    return worker
