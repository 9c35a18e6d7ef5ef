"""The ranks that a launcher on this machine has started, found among its descendants: `horovodrun` tells nobody their numbers."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

WORKER = "hpc.worker"


def ranks_below(pid: int) -> list[int]:
    """Processes of `hpc.worker` below one, but not those that they have started themselves."""
    children = _families()
    found: list[int] = []
    left = list(children.get(pid, ()))
    while left:
        child = left.pop()
        if _command(child)[1:3] == ["-m", WORKER]:
            found.append(child)
        else:
            left += children.get(child, ())
    return sorted(found)


def _families() -> dict[int, list[int]]:
    """The children of every process of this machine."""
    found: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError):  # it ended meanwhile
            found.setdefault(int(path.read_text().rpartition(")")[2].split()[1]), []).append(int(path.parent.name))
    return found


def _command(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")
    except OSError:
        return []
