"""Where studies are kept: a PostgreSQL database, a journal file, or an SQLite file; named without its password."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sweeps.database_url import UrlError, is_database, parse_database, show_unknown

VARIABLE = "OPTUNA_STORAGE"  # Optuna's own commands read it too
# Beginnings of the names of file systems that other machines write to, or a host beside its guests; a block device that
# several mount (gfs2, ocfs2) is one, too.
_SHARED = re.compile(
    r"nfs|cifs|smb|lustre|beegfs|fhgfs|gpfs|mmfs|ceph|gluster|k?afs|coda|9p|orangefs|pvfs2|panfs|weka|juicefs|gfs|ocfs2|dvs|"
    r"quobyte|xtreemfs|hdfs|virtiofs|vboxsf|vmhgfs|prl_fs|drvfs|acfs|davfs|ncpfs"
)
# A file system in user space may be anything, and most are a network's: all but those that are on a disk of this machine.
_FUSE_OF_A_DISK = re.compile(
    r"fuse\.(?:ntfs|exfat|ext[234]|fuse2fs|fuse-ext2|fuse-overlayfs|mergerfs|encfs|gocryptfs|cryfs|squashfuse|bindfs|unionfs|"
    r"zfs|apfs|lxcfs|snapfuse|ciopfs)"
)


class StorageError(ValueError):
    """A storage that cannot be used; the text says where it is, why, and what to do. It never holds a password."""


class StoppedWaiting(StorageError):  # noqa: N818 - the name says what happened
    """A storage that does not answer, and was waited for no longer because somebody asked to stop."""


@dataclass(frozen=True)
class Place:
    """One storage.

    Attributes:
        kind: "postgresql", "journal" or "sqlite".
        url: what Optuna opens; may hold a password, and is therefore not shown.
        label: the same for people.
        spec: what another process is given to find it: never with a password; "" when it has to look into its environment.
    """

    kind: str
    url: str = field(repr=False)
    label: str
    spec: str

    @property
    def path(self) -> Path:
        """The file, of a journal or SQLite."""
        return Path(self.url)

    @property
    def network(self) -> str:
        """The network file system that its file is on, "nfs4" for example; "" when it is on a disk, or no file."""
        system = "" if self.kind == "postgresql" else file_system(self.path)
        return system if is_shared(system) else ""


def find_place(
    spec: str | None, default: Path, environ: Mapping[str, str] = os.environ, mounts: str | None = None
) -> Place:
    """What `--storage` or the environment names; else a journal file.

    Args:
        spec: "postgresql://user@host/database", "sqlite:///file.db", "journal:file.log", "@file" for a file that only its owner
            can read and that holds one of these, a password included; or None.
        default: the journal file where nothing is named.
        environ: OPTUNA_STORAGE counts where `spec` is None, and may hold a password.
        mounts: text of /proc/self/mounts; read when None.

    Raises:
        StorageError: another form, a password where all can see it, a file that others can read, SQLite on a network.
    """
    if spec is None and environ.get(VARIABLE):
        return _place(environ[VARIABLE], "", secret=True, mounts=mounts)
    if spec is None:
        return _place(f"journal:{default}", f"journal:{default.resolve()}", secret=True, mounts=mounts)
    if spec.startswith("@"):
        path = Path(spec[1:]).expanduser()
        return _place(_read_secret(path), f"@{path.resolve()}", secret=True, mounts=mounts)
    return _place(spec, None, secret=False, mounts=mounts)


def place_of(spec: str, environ: Mapping[str, str] = os.environ) -> Place:
    """The storage that another process named by `Place.spec`.

    Raises:
        StorageError: see `find_place`; or it was named by the environment, which this process does not have.
    """
    if not spec and not environ.get(VARIABLE):
        raise StorageError(f"the study's storage was named by {VARIABLE}, which is not set here")
    return find_place(spec or None, Path(), environ)


def _place(url: str, spec: str | None, *, secret: bool, mounts: str | None) -> Place:
    if is_database(url):
        return _database(url, spec, secret)
    for prefix, kind in (("sqlite:///", "sqlite"), ("journal:", "journal")):
        if url.startswith(prefix) and len(url) > len(prefix):
            path = Path(url.removeprefix(prefix)).expanduser().resolve()
            system = file_system(path, mounts)
            if kind == "sqlite" and is_shared(system):
                raise StorageError(
                    f"{path} is on a network file system ({system}), where SQLite loses data; use PostgreSQL "
                    "(--storage postgresql://user@host/database), or a folder of this machine's own disk"
                )
            return Place(kind, str(path), f"{prefix}{path}", spec if spec is not None else f"{prefix}{path}")
    raise StorageError(
        "expected a storage like postgresql://user@host/database, journal:FILE, sqlite:///FILE or @FILE, but got "
        f"{show_unknown(url)!r}"
    )


def _database(url: str, spec: str | None, secret: bool) -> Place:
    try:
        found = parse_database(url)
    except UrlError as error:
        raise StorageError(str(error)) from None
    if found.has_secret and not secret:
        raise StorageError(
            "a password on the command line is seen by everyone on this machine (ps): leave it out, and put it into ~/.pgpass "
            f"(mode 0600) or PGPASSFILE, or the whole URL into {VARIABLE} or a file of mode 0600 (--storage @FILE)"
        )
    return Place("postgresql", found.url, found.label, spec if spec is not None else found.public)


def _read_secret(path: Path) -> str:
    try:
        mode = path.stat().st_mode
        text = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise StorageError(f"the storage's file {path} cannot be read: {error}") from None
    if stat.S_IMODE(mode) & 0o077:
        raise StorageError(f"{path} can be read by others, and may hold a password: chmod 600 {path}")
    if not text or "\n" in text:
        raise StorageError(f"expected one line in {path}, such as postgresql://user:password@host/database")
    return text


def is_shared(system: str) -> bool:
    """Whether a file system's type, as in /proc/mounts, is a network's, or may be: an unknown one in user space."""
    if system == "fuse" or system.startswith("fuse."):
        return not _FUSE_OF_A_DISK.match(system)
    return bool(_SHARED.match(system))


def file_system(path: Path, mounts: str | None = None) -> str:
    """Type of the file system that a path is or will be on, "nfs4" for example; "" when it is not known."""
    if mounts is None:
        try:
            mounts = Path("/proc/self/mounts").read_text()
        except OSError:
            return ""
    best, kind = -1, ""
    for line in mounts.splitlines():
        words = line.split()
        if len(words) < 3:
            continue
        where = re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), words[1])
        if path.is_relative_to(where) and len(where) >= best:
            best, kind = len(where), words[2]
    return kind
