"""The temporary folder in which Horovod is compiled, and the removal of what a build that was killed has left.

It is not in the cache, because a home folder is often a full and slow network disk, and because Horovod does not link in
a path with a space.
"""

import contextlib
import hashlib
import os
import re
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

from hpc.build_horovod.key import BuildError, BuildKey

# What a compile takes at most: 190 MB measured for CPU and for GPU operations, with air for more architectures.
SCRATCH_BYTES = 500_000_000


@contextlib.contextmanager
def scratch(root: Path, key: BuildKey) -> Iterator[Path]:
    """A temporary folder to compile in, gone afterwards; call it with the key's lock held.

    What builds of this key for this cache that were killed have left, folders and compilers, is removed first.
    """
    # The digest tells two caches apart: the lock is per cache, and one's build must not be taken for the other's ruin.
    prefix = f"v2a-horovod-{hashlib.sha256(f'{root}/{key.name}'.encode()).hexdigest()[:12]}."
    places = scratch_places(root)
    for stale in (folder for place in places for folder in place.glob(f"{prefix}*")):
        kill_marked("TMPDIR", str(stale))
        shutil.rmtree(stale, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=_first_fit(places)))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def scratch_places(root: Path) -> list[Path]:
    """Folders in which a build's temporary folder may be, the preferred first."""
    places = [Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp"), root / "horovod"]  # noqa: S108 (mkdtemp inside)
    return list(dict.fromkeys(places))


def _first_fit(places: list[Path]) -> Path:
    reasons = [f"{place}: {unfit(place)}" for place in places if unfit(place)]
    for place in places:
        if not unfit(place):
            return place
    raise BuildError(
        "there is no folder to compile in; " + "; ".join(reasons),
        "set TMPDIR to a folder with 1 GB free, without spaces in its name, on a file system that may hold programs",
    )


def unfit(place: Path) -> str | None:
    """Why Horovod cannot be compiled in a folder, or None."""
    if re.search(r"[\s'\"\\$;#]", str(place)):
        return "Horovod does not link in a path with spaces or quotes"
    if not os.access(place, os.W_OK | os.X_OK):
        return "not writable"
    facts = os.statvfs(place)
    if facts.f_flag & os.ST_NOEXEC:
        return "mounted noexec, and the build runs scripts"
    free = facts.f_bavail * facts.f_frsize
    return f"{free / 1e6:.0f} MB free, of {SCRATCH_BYTES / 1e6:.0f} needed" if free < SCRATCH_BYTES else None


def kill_marked(name: str, value: str) -> int:
    """Kill this user's processes that were started with this environment variable at this value; returns how many.

    The value must be unlike any other process's, such as the path of a temporary folder made for one build: then no
    process that somebody else started can be met, which a saved process id could not promise.
    """
    mark, killed = f"{name}={value}".encode(), 0
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if int(folder.name) != os.getpid() and mark in (folder / "environ").read_bytes().split(b"\0"):
                os.kill(int(folder.name), signal.SIGKILL)
                killed += 1
    return killed
