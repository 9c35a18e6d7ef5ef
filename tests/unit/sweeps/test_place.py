"""Where studies are kept: forms, secrets, network file systems; and the journal's last line."""

from __future__ import annotations

import errno
import os
import re
import stat
from pathlib import Path

import optuna
import pytest
from sqlalchemy.engine import make_url

from sweeps.journal import append_whole, whole_size
from sweeps.opening import open_sweep
from sweeps.place import StorageError, file_system, find_place, place_of
from sweeps.plan import StudyError
from sweeps.report import dashboard_command
from sweeps.storage import open_storage
from tests.contracts.studies import PLAN

MOUNTS = "/dev/sda1 / ext4 rw 0 0\nserver:/home /home nfs4 rw 0 0\ntmpfs /home/me/fast\\040disk tmpfs rw 0 0\n"


def test_without_a_word_it_is_a_journal_beside_the_runs(tmp_path: Path):
    place = find_place(None, tmp_path / "study.log", {})
    assert (place.kind, place.path) == ("journal", tmp_path / "study.log")
    assert place_of(place.spec, {}) == place


def test_a_password_on_the_command_line_is_refused_and_not_repeated(tmp_path: Path):
    with pytest.raises(StorageError, match=r"PGPASSFILE.*OPTUNA_STORAGE.*@FILE") as error:
        find_place("postgresql://me:s3cret@db.example/sweeps", tmp_path, {})
    assert "s3cret" not in str(error.value)


def test_the_environment_may_hold_one_and_other_processes_are_sent_there(tmp_path: Path):
    environ = {"OPTUNA_STORAGE": "postgresql://me:s3cret@db.example:5433/sweeps?sslmode=require"}
    place = find_place(None, tmp_path, environ)
    assert place.url == "postgresql+psycopg://me:s3cret@db.example:5433/sweeps?sslmode=require"
    assert place.label == "postgresql://me@db.example:5433/sweeps"
    assert place.spec == ""
    assert "s3cret" not in repr(place)
    assert place_of("", environ) == place
    with pytest.raises(StorageError, match="OPTUNA_STORAGE, which is not set here"):
        place_of("", {})


def test_a_file_with_a_url_must_be_its_owners_alone(tmp_path: Path):
    secret = tmp_path / "it's mine"
    secret.write_text("postgresql://me:s3cret@db.example/sweeps\n")
    secret.chmod(0o640)
    with pytest.raises(StorageError, match="chmod 600"):
        find_place(f"@{secret}", tmp_path, {})
    secret.chmod(stat.S_IRUSR | stat.S_IWUSR)
    place = find_place(f"@{secret}", tmp_path, {})
    assert place.spec == f"@{secret}"
    assert place_of(place.spec, {}) == place
    secret.write_text("")
    with pytest.raises(StorageError, match="expected one line"):
        find_place(f"@{secret}", tmp_path, {})
    with pytest.raises(StorageError, match="cannot be read"):
        find_place(f"@{tmp_path}/nothing", tmp_path, {})


@pytest.mark.parametrize(
    "spec", ["mysql://me:s3cret@host/db", "study.log", "", "sqlite:///", "postgresql://me@host:port/x", "redis://h"]
)
def test_other_storages_are_refused(spec: str, tmp_path: Path):
    with pytest.raises(StorageError, match=r"expected a storage like|port of the database") as error:
        find_place(spec, tmp_path, {})
    assert "s3cret" not in str(error.value)


def test_sqlite_on_a_network_file_system_is_refused():
    with pytest.raises(StorageError, match=r"network file system \(nfs4\)"):
        find_place("sqlite:////home/me/studies.db", Path(), {}, mounts=MOUNTS)
    assert find_place("sqlite:////var/studies.db", Path(), {}, mounts=MOUNTS).kind == "sqlite"
    assert find_place("sqlite:////home/me/fast disk/studies.db", Path(), {}, mounts=MOUNTS).kind == "sqlite"
    assert file_system(Path("/home/me/fast disk/x"), MOUNTS) == "tmpfs"


SHARED = (
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "lustre", "beegfs", "fhgfs_nodev", "gpfs", "ceph", "glusterfs", "afs", "9p", "gfs2",
    "ocfs2", "virtiofs", "vboxsf", "wekafs", "fuse", "fuse.glusterfs", "fuse.ceph-fuse", "fuse.beegfs", "fuse.juicefs", "fuse.mfs",
    "fuse.gcsfuse", "fuse.rclone", "fuse.sshfs", "fuse.s3fs", "fuse.vmhgfs-fuse", "fuse.nobody-knows",
)  # fmt: skip
OF_A_DISK = (
    "ext4",
    "xfs",
    "btrfs",
    "zfs",
    "tmpfs",
    "overlay",
    "fuseblk",
    "fuse.ntfs-3g",
    "fuse.mergerfs",
    "fuse.gocryptfs",
)


@pytest.mark.parametrize("system", SHARED)
def test_sqlite_is_refused_and_a_journal_warned_of_on_what_machines_share(system: str, monkeypatch: pytest.MonkeyPatch):
    mounts = f"/dev/sda1 / ext4 rw 0 0\nserver /home {system} rw 0 0\n"
    with pytest.raises(StorageError, match=r"network file system \(" + re.escape(system)):
        find_place("sqlite:////home/me/studies.db", Path(), {}, mounts=mounts)
    place = find_place("journal:/home/me/study.log", Path(), {}, mounts=mounts)
    monkeypatch.setattr("sweeps.place.file_system", lambda path: file_system(path, mounts))
    assert place.network == system


@pytest.mark.parametrize("system", OF_A_DISK)
def test_a_disk_of_this_machine_is_no_network(system: str):
    mounts = f"/dev/sda1 / ext4 rw 0 0\n/dev/sdb1 /home {system} rw 0 0\n"
    assert find_place("sqlite:////home/me/studies.db", Path(), {}, mounts=mounts).kind == "sqlite"


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path):
    (tmp_path / "file").touch()
    for spec in (f"journal:{tmp_path}/file/study.log", f"sqlite:///{tmp_path}/file/study.db"):
        with pytest.raises(StorageError, match="cannot be used: "):
            open_storage(find_place(spec, tmp_path, {}))


@pytest.mark.parametrize(
    "content", [b"no journal\n", b"\x00\xff\n", b"[1, 2]\n", b"a note without an end", b'{"a":1}', b"\xff"]
)
def test_a_file_that_is_no_journal_is_refused(content: bytes, tmp_path: Path):
    path = tmp_path / "study.log"
    path.write_bytes(content)
    with pytest.raises(StorageError, match="no journal of studies"):
        open_storage(find_place(None, path, {}))
    assert path.read_bytes() == content


def test_a_line_that_was_cut_off_is_not_written_behind(tmp_path: Path):
    path = tmp_path / "study.log"
    open_sweep(open_storage(find_place(None, path, {})), "one", PLAN)
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:20])  # a process that was killed in the middle of a write
    open_sweep(open_storage(find_place(None, path, {})), "two", PLAN)
    assert path.read_bytes().startswith(whole)
    assert open_sweep(open_storage(find_place(None, path, {})), "one", None).plan.as_dict() == PLAN.as_dict()
    assert open_sweep(open_storage(find_place(None, path, {})), "two", None).plan.as_dict() == PLAN.as_dict()


@pytest.mark.parametrize("length", [0, 1, 10, 13, 40])
def test_a_journal_whose_very_first_line_was_cut_off_begins_anew(length: int, tmp_path: Path):
    path = tmp_path / "study.log"
    open_sweep(open_storage(find_place(None, path, {})), "one", PLAN)
    path.write_bytes(path.read_bytes()[:length])
    open_sweep(open_storage(find_place(None, path, {})), "two", PLAN)
    assert open_sweep(open_storage(find_place(None, path, {})), "two", None).plan == PLAN


def test_a_study_whose_maker_was_killed_before_it_said_what_it_is_about(tmp_path: Path):
    storage = open_storage(find_place(None, tmp_path / "study.log", {}))
    for name, directions in (("bare", ["minimize"]), ("two", ["minimize", "minimize"])):
        optuna.create_study(study_name=name, storage=storage.optuna, directions=directions)
    optuna.create_study(study_name="another's", storage=storage.optuna).set_user_attr("of", "another program")
    assert open_sweep(storage, "bare", PLAN).plan == open_sweep(storage, "bare", None).plan == PLAN
    for name in ("two", "another's"):
        with pytest.raises(StudyError, match=r"not made by sweeps\.optuna_run"):
            open_sweep(storage, name, PLAN)


def test_a_full_disk_leaves_the_journal_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "study.log"
    path.write_bytes(b"one\n")

    def full(file: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device: the study could not be written"):
        append_whole(str(path), b"two\n")
    assert path.read_bytes() == b"one\n"


@pytest.mark.parametrize(
    ("content", "size"), [(b"", 0), (b"x", 0), (b"a\n", 2), (b"a\nb", 2), (b"a\n" + b"b" * 200_000, 2)]
)
def test_where_the_last_whole_line_ends(content: bytes, size: int, tmp_path: Path):
    path = tmp_path / "x"
    path.write_bytes(content)
    assert whole_size(str(path)) == size


SECRET_URLS = [
    "postgresql://me:s3cret@db.example/sweeps",
    "postgresql://me:@db.example/sweeps",
    "postgresql://me:s3cret/with#both@db.example/sweeps",
    "postgresql:///sweeps?host=/var/run/postgresql&user=me&password=s3cret",
    "postgresql://db.example/sweeps?PASSWORD=s3cret",
    "postgres://db.example/sweeps?sslmode=require&sslpassword=s3cret",
    "postgresql://db.example/sweeps?passfile=/home/me/s3cret",
    "postgresql://db.example/sweeps?options=-c%20x&host=a?password=s3cret",
]
MISSPELLED_URLS = [
    "postgresql//me:s3cret@h/db",
    "postgres:/me:s3cret@h/db",
    "postgresql:///me:s3cret@h/db",
    "postgresql://me:half@s3cret@h/db",
    "postgresql://me/x:s3cret@h/db",
    "postgresql://me:s3cret/h/db",
    "postgresql://me?password=s3cret@h/db",
    "postgresql://h/db;password=s3cret",
    "postgresql+psycopg2://me:s3cret@h/db",
    "postgresql:h/db?password=s3cret",
    "me:s3cret@h/db",
    "//me:s3cret@h/db",
]


@pytest.mark.parametrize("url", SECRET_URLS)
def test_no_form_of_a_password_is_taken_from_a_command_line(url: str, tmp_path: Path):
    with pytest.raises(StorageError, match="a password on the command line") as error:
        find_place(url, tmp_path, {})
    assert "s3cret" not in str(error.value)
    place = find_place(None, tmp_path, {"OPTUNA_STORAGE": url})
    assert not any("s3cret" in shown for shown in (place.label, place.spec, repr(place), dashboard_command(place)))
    assert "s3cret" in place.url or ":@" in place.url


@pytest.mark.parametrize("url", MISSPELLED_URLS)
def test_a_misspelled_url_does_not_show_its_password(url: str, tmp_path: Path):
    for spec, environ in ((url, {}), (None, {"OPTUNA_STORAGE": url})):
        with pytest.raises(StorageError, match=r"postgresql://user@host") as error:
            find_place(spec, tmp_path, environ)
        assert "s3cret" not in str(error.value)


def test_parameters_of_a_database_reach_the_trials(tmp_path: Path):
    url = "postgresql://me@db.example/sweeps?sslmode=require&options=-c%20statement_timeout%3D5"
    place = find_place(url, tmp_path, {})
    assert place.label == "postgresql://me@db.example/sweeps"
    again = place_of(place.spec, {})
    assert again == place
    assert "sslmode=require" in place.spec
    assert make_url(again.url).query == {"sslmode": "require", "options": "-c statement_timeout=5"}
    assert "sslmode=require" in dashboard_command(place)


def test_a_database_of_the_local_socket_keeps_its_slashes(tmp_path: Path):
    place = find_place("postgresql:///sweeps", tmp_path, {})
    assert (place.url, place.spec) == ("postgresql+psycopg:///sweeps", "postgresql:///sweeps")
    assert place_of(place.spec, {}) == place
