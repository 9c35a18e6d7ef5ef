"""Free space where runs are written: can a run be written there, and does it last until the end of training?"""

import errno
import os
import secrets
import shlex
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hpc.preflight.finding import Finding

_MIN_INODES = 1000  # a run makes some hundred files: metrics, events, checkpoints, pictures, sounds, logs
_PROBE_BYTES = 65_536  # several blocks: one small file may fit into a file entry of a full file system
# Each node of a cluster has its own of these. Disks (ext4, xfs) are not here: the node that exports a shared file
# system sees a plain disk, and the check named shared finds a disk that is not shared.
_OWN_TYPES = ("tmpfs", "ramfs", "overlay")
_OWN_FOLDERS = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 - named to warn of them, not used


@dataclass(frozen=True)
class RunsFacts:
    """What the file system says of the place for runs.

    Attributes:
        path: as given.
        resolved: its absolute form, with symbolic links followed.
        base: the nearest parent that exists, or the folder itself.
        obstacle: why `path` cannot be a folder ("file", "dangling link"), if so.
        error: the error number of a real write, None when it went well.
        free_bytes: for this user.
        free_inodes: for this user; None for a file system that does not count them.
        fs_type: such as "nfs4"; "" when not known.
    """

    path: Path
    resolved: Path
    base: Path
    obstacle: str | None = None
    error: int | None = None
    free_bytes: int = 0
    free_inodes: int | None = None
    fs_type: str = ""


def gather_runs(path: Path) -> RunsFacts:
    """Look at the place, and really write a file there: permissions and quotas show only then."""
    try:
        resolved = path.resolve()
    except (OSError, RuntimeError):  # a loop of symbolic links; OSError until Python 3.12
        return RunsFacts(path, path.absolute(), path.absolute(), obstacle="dangling link")
    base = Path(os.path.abspath(path))
    while not os.path.lexists(base) and base != base.parent:
        base = base.parent
    if not base.exists():
        return RunsFacts(path, resolved, base, obstacle="dangling link")
    if not base.is_dir():
        return RunsFacts(path, resolved, base, obstacle="file")
    space = os.statvfs(base)
    inodes = space.f_favail if space.f_files else None  # Btrfs and some NFS servers count none and say 0 of 0
    free = space.f_bavail * space.f_frsize
    return RunsFacts(path, resolved, base, None, write_error(base), free, inodes, fs_type(base.resolve()))


def write_error(folder: Path) -> int | None:
    """Write, flush to the disk and remove a small file; the error number, or None when it went well."""
    probe = folder / f".preflight-{os.getpid()}-{secrets.token_hex(8)}"
    try:
        with probe.open("xb") as file:
            file.write(b"\0" * _PROBE_BYTES)
            file.flush()
            os.fsync(file.fileno())  # NFS reports a full disk or quota only here or at close
    except OSError as error:
        return error.errno or errno.EIO
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)
    return None


def fs_type(path: Path, mounts: Path = Path("/proc/self/mounts")) -> str:
    """Type of the file system that holds an absolute path, or "" when the mount table does not say."""
    best, kind = -1, ""
    try:
        lines = mounts.read_bytes().decode(errors="surrogateescape").splitlines()
    except OSError:
        return ""
    for line in lines:
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        # The kernel writes space, tab, newline and backslash in octal.
        point = fields[1]
        for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
            point = point.replace(code, char)
        if path.is_relative_to(point) and len(point) >= best:  # of two mounts at one place the later hides the earlier
            best, kind = len(point), fields[2]
    return kind


def judge_runs(facts: RunsFacts, min_free_bytes: int, nodes_many: bool) -> Finding:
    """Judge the place for runs; `nodes_many` tells that the job has several nodes."""
    name = repr(str(facts.path))
    shown = name if facts.path.is_absolute() else f"{name} ({str(facts.resolved)!r})"
    if facts.obstacle:
        return _judge_obstacle(facts, shown)
    if facts.error is not None:
        return _judge_error(facts, shown)
    if facts.free_bytes < min_free_bytes:
        return _fail(
            f"{_gigabytes(facts.free_bytes)} are free for {shown}, and {_gigabytes(min_free_bytes)} are wanted",
            "delete old runs, give another folder with --runs, or, for a small model, a lower --min-free-gb",
            no_room=True,
        )
    if facts.free_inodes is not None and facts.free_inodes < _MIN_INODES:
        return _fail(
            f"only {facts.free_inodes} more files (inodes) fit where {shown} is, and a run needs up to {_MIN_INODES}",
            "delete small files you no longer need (`du --inodes` finds them), or give another folder with --runs",
            no_room=True,
        )
    own = facts.fs_type in _OWN_TYPES or any(facts.resolved.is_relative_to(folder) for folder in _OWN_FOLDERS)
    if own and nodes_many:
        return Finding(
            "runs",
            "warn",
            f"{shown} ({facts.fs_type or 'temporary'}) is usually each node's own and is emptied after the job",
            "give a folder on the shared file system with --runs",
        )
    made = "" if _exists(facts) else "; it does not exist yet and can be created"
    return Finding(
        "runs", "ok", f"{_gigabytes(facts.free_bytes)} are free for {shown}, and a file could be written{made}"
    )


def _judge_obstacle(facts: RunsFacts, shown: str) -> Finding:
    obstacle = repr(str(facts.base))
    if facts.obstacle == "file":
        return _fail(
            f"{obstacle} is a file, so runs cannot be written in {shown}",
            "move that file away, or give another folder with --runs",
        )
    return _fail(
        f"{obstacle} is a symbolic link that leads nowhere, so runs cannot be written in {shown}",
        "create (or mount) what the link points to, or give another folder with --runs",
    )


def _judge_error(facts: RunsFacts, shown: str) -> Finding:
    above = "" if _exists(facts) else f" in {str(facts.base)!r}, and so"
    where = f"nothing can be written{above} in {shown}"
    if facts.error == errno.EDQUOT:
        return _fail(
            f"{where}: your disk quota is used up",
            "delete old runs or ask for more (`quota -s` shows it), or give another --runs",
            no_room=True,
        )
    if facts.error == errno.ENOSPC:
        full = "no more files (inodes) fit there" if facts.free_inodes == 0 else "the disk is full"
        return _fail(f"{where}: {full}", "delete old runs, or give another folder with --runs", no_room=True)
    if facts.error == errno.EROFS:
        return _fail(
            f"{where}: the file system is read-only",
            "give another folder with --runs, or ask the administrator why it is read-only",
        )
    if facts.error in (errno.EACCES, errno.EPERM):
        fix = (
            f"give a folder of your own with --runs, or have its owner run: chmod u+rwx {shlex.quote(str(facts.base))}"
        )
        return _fail(f"{where}: you have no permission", fix)
    reason = os.strerror(facts.error or errno.EIO)
    return _fail(f"{where}: {reason}", "look at `df` and `dmesg` on this node, or give another folder with --runs")


def _fail(sentence: str, fix: str, no_room: bool = False) -> Finding:
    return Finding("runs", "fail", sentence, fix, no_room)


def _exists(facts: RunsFacts) -> bool:
    return facts.base == Path(os.path.abspath(facts.path))


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
