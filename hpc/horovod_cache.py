"""The folder of built Horovod wheels: find, verify, record, lock, and clean up after a build that was killed.

    <cache>/horovod/<key>/horovod-0.28.1-cp311-cp311-linux_x86_64.whl   a whole wheel, or nothing
    <cache>/horovod/<key>.lock                                         held by the one process that builds this key
    <cache>/logs/<key>.log                                             the last build's output
    <TMPDIR>/v2a-horovod-<digest>.<random>/                            a build under way, or one that was killed

A wheel gets its final name by a rename, after it was written out whole: what has the name can be used, once verified.
It is compiled outside the cache because a home folder is often a full and slow network disk, and because Horovod does
not link in a path with a space.
"""

import base64
import contextlib
import csv
import fcntl
import hashlib
import io
import json
import os
import re
import shutil
import signal
import socket
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from hpc.horovod_key import BuildError, BuildKey

RECORD_FILE = "horovod/v2a_build.json"
# What a compile takes at most: 190 MB measured for CPU and for GPU operations, with air for more architectures.
SCRATCH_BYTES = 500_000_000


def cache_root(environ: Mapping[str, str] = os.environ) -> Path:
    """The cache's folder: V2A_CACHE_DIR, or v2a-hpc in XDG_CACHE_HOME or ~/.cache."""
    if environ.get("V2A_CACHE_DIR"):
        return Path(environ["V2A_CACHE_DIR"]).absolute()
    home = environ.get("XDG_CACHE_HOME") or os.path.join(environ.get("HOME", os.path.expanduser("~")), ".cache")
    return Path(home).absolute() / "v2a-hpc"


def log_path(root: Path, key: BuildKey) -> Path:
    """Where the output of this key's last build is kept."""
    return root / "logs" / f"{key.name}.log"


def cached_wheel(root: Path, key: BuildKey) -> Path | None:
    """The wheel that was built for this key, not yet verified; None when there is none."""
    return next(iter(sorted((root / "horovod" / key.name).glob("horovod-*.whl"))), None)


def cached_wheels(root: Path) -> list[Path]:
    """All wheels in the cache, by key."""
    return sorted((root / "horovod").glob("*/horovod-*.whl"))


def damage(wheel: Path, key: BuildKey) -> str | None:
    """What is wrong with a wheel: it cannot be read, a file's hash is not the recorded one, or it is of another key."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            table = next(name for name in archive.namelist() if name.endswith(".dist-info/RECORD"))
            recorded = {row[0]: row[1] for row in csv.reader(io.StringIO(archive.read(table).decode())) if row}
            for name in archive.namelist():
                if name != table and not name.endswith("/") and _digest(archive.read(name)) != recorded.get(name):
                    return f"{name} in it is not what was built"
            if key_of(archive.read(RECORD_FILE)) != key:
                return "it was built for another environment"
    except (OSError, zipfile.BadZipFile, zlib.error, StopIteration, KeyError, ValueError, EOFError) as error:
        return f"it cannot be read ({error or type(error).__name__})"
    return None


def key_of(record: bytes | str) -> BuildKey:
    """The key in the text of a build record.

    Raises:
        ValueError: the text is not a record of this format.
    """
    return BuildKey.from_json(json.loads(record))


def _digest(content: bytes) -> str:
    # As the wheel format writes it: URL-safe base64 without padding.
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def store(built: Path, root: Path, key: BuildKey) -> Path:
    """Put the key into a freshly built wheel as `horovod/v2a_build.json`, write it out whole, and move it into place.

    Args:
        built: the wheel as pip made it.
        root: the cache's folder.
        key: what it was built for.
    """
    final = root / "horovod" / key.name / built.name
    final.parent.mkdir(parents=True, exist_ok=True)
    partial = final.with_name(f".{final.name}.partial")
    record = json.dumps(key.to_json(), indent=2).encode()
    try:
        with zipfile.ZipFile(built) as old, zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as new:
            for item in old.infolist():
                content = old.read(item)
                if item.filename.endswith(".dist-info/RECORD"):
                    content += f"{RECORD_FILE},{_digest(record)},{len(record)}\n".encode()
                new.writestr(item, content)
            new.writestr(zipfile.ZipInfo(RECORD_FILE, time.gmtime()[:6]), record)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(partial, final)
    finally:
        partial.unlink(missing_ok=True)
    return final


@contextlib.contextmanager
def locked(root: Path, key: BuildKey, say: Callable[[str], None], poll_s: float = 1.0) -> Iterator[None]:
    """Hold this key's lock: of two builds of one key the second waits, and says so.

    The kernel frees the lock when its holder ends, however it ends.

    Args:
        root: the cache's folder.
        key: whose lock.
        say: told once when another process has the lock.
        poll_s: seconds between two tries, so that Ctrl-C works while waiting.
    """
    path = root / "horovod" / f"{key.name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        waiting = False
        while not _try_lock(file.fileno(), path):
            if not waiting:
                file.seek(0)
                holder = file.read().strip() or "another process"
                say(f"{holder} is building this same wheel: waiting for it")
                waiting = True
            time.sleep(poll_s)
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        yield


def _try_lock(descriptor: int, path: Path) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise BuildError(
            f"the file system of {path.parent} has no file locks ({error.strerror}), and two builds at once would collide",
            "set V2A_CACHE_DIR to a folder on another file system",
        ) from None
    return True


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
