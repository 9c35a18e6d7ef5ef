"""Nodes that passed the preflight a short time ago: what short jobs, one after the other on the same nodes, need not ask again.

Asking torch and Horovod in processes of their own takes longer than a short run's whole start. Only what cannot change meanwhile is
left out: not the disk, the shared folder, or a GPU.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from hpc.record import read_json
from v2a.whole import write_json

_FOLDER = ".fit"
_ALWAYS = ("python", "runs", "shm", "shared")


def checks_left(folder: Path, host: str, within_s: float, gpus: bool) -> Collection[str] | None:
    """Checks that this node still needs; None for all of them.

    Args:
        folder: of the runs.
        host: the node's name.
        within_s: how old its record may be.
        gpus: whether it has GPUs: one may fail at any time.
    """
    found = read_json(folder / _FOLDER / f"{host}.json") or {}
    when = found.get("time")
    recent = isinstance(when, (int, float)) and 0 <= time.time() - when <= within_s
    if not recent or {**found, "time": 0} != _record(0):
        return None
    return (*_ALWAYS, "gpu") if gpus else _ALWAYS


def note_fit(folder: Path, host: str) -> None:
    """This node passed all checks. A folder that cannot be written has been said by them."""
    with suppress(OSError):
        (folder / _FOLDER).mkdir(exist_ok=True)
        write_json(folder / _FOLDER / f"{host}.json", _record(time.time()))


def forget_fit(folder: Path, host: str) -> None:
    """Something failed on this node: the next job looks at all of it again."""
    with suppress(OSError):
        (folder / _FOLDER / f"{host}.json").unlink(missing_ok=True)


def _record(when: float) -> dict[str, object]:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        boot = ""
    return {"time": when, "boot": boot, "python": sys.executable}
