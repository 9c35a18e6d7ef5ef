"""The folder of built Horovod wheels: find, verify, record, lock.

    <cache>/horovod/<key>/horovod-0.28.1-cp311-cp311-linux_x86_64.whl   a whole wheel, or nothing
    <cache>/horovod/<key>.lock                                         held by the one process that builds this key
    <cache>/logs/<key>.log                                             the last build's output

A wheel gets its final name by a rename, after it was written out whole: what has the name can be used, once verified.
"""

import base64
import contextlib
import csv
import fcntl
import hashlib
import io
import json
import os
import socket
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from hpc.build_horovod.key import BuildError, BuildKey

RECORD_FILE = "horovod/v2a_build.json"
# What a build leaves in the cache: a wheel of 20 MB and a log of 1 MB measured, and air for more architectures.
WHEEL_BYTES = 60_000_000


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


def check_room(root: Path) -> None:
    """See, before minutes of compiling, that the cache has room for the wheel and the log.

    Raises:
        BuildError: it has not.
    """
    facts = os.statvfs(root)
    free = facts.f_bavail * facts.f_frsize
    if free < WHEEL_BYTES:
        raise BuildError(
            f"{root} has {free / 1e6:.0f} MB free, and a wheel and its log need {WHEEL_BYTES / 1e6:.0f}",
            "free some there, or set V2A_CACHE_DIR to a folder with room",
        )
