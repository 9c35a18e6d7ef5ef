"""Free space where runs are written, on real file systems and with real errors."""

import errno
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from hpc.preflight.disk import RunsFacts, fs_type, gather_runs, judge_runs, write_error

ROOT = Path(__file__).parents[2]
HOSTILE = ["two words", "quo'te", 'dou"ble', "semi;colon", "new\nline", "$HOME", "-n"]


def test_a_good_folder_is_fine_and_nothing_is_left_in_it(tmp_path):
    found = judge_runs(gather_runs(tmp_path), 1, False)
    assert found.level == "ok"
    assert "a file could be written" in found.sentence
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_does_not_exist_yet_is_judged_by_its_nearest_parent_and_not_made(tmp_path):
    facts = gather_runs(tmp_path / "a" / "b" / "c")
    assert facts.base == tmp_path
    assert "can be created" in judge_runs(facts, 1, False).sentence
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_work_and_stay_within_a_line(tmp_path, name):
    (tmp_path / name).mkdir()
    for path in (tmp_path / name, tmp_path / name / "runs"):
        found = judge_runs(gather_runs(path), 1, False)
        assert found.level == "ok"
        assert "\n" not in found.sentence
    assert list((tmp_path / name).iterdir()) == []


def test_a_file_in_place_of_the_folder_or_of_a_parent_fails(tmp_path):
    (tmp_path / "runs").write_text("")
    for path in (tmp_path / "runs", tmp_path / "runs" / "below"):
        found = judge_runs(gather_runs(path), 1, False)
        assert found.level == "fail"
        assert f"{str(tmp_path / 'runs')!r} is a file" in found.sentence


def test_a_dangling_link_fails_and_a_good_one_does_not(tmp_path):
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "good").symlink_to(".")
    for name in ("dangling", "dangling/below", "loop"):
        found = judge_runs(gather_runs(tmp_path / name), 1, False)
        assert found.level == "fail"
        assert "symbolic link that leads nowhere" in found.sentence
    assert judge_runs(gather_runs(tmp_path / "good"), 1, False).level == "ok"


def test_less_than_the_wanted_space_fails_with_both_numbers(tmp_path):
    found = judge_runs(RunsFacts(tmp_path, tmp_path, tmp_path, free_bytes=4_900_000_000), 5_000_000_000, False)
    assert found.level == "fail"
    assert "4.9 GB are free" in found.sentence
    assert "5.0 GB are wanted" in found.sentence
    assert found.no_room


def test_a_file_system_that_counts_no_inodes_is_not_taken_for_one_without_any(tmp_path, monkeypatch):
    real = os.statvfs(tmp_path)
    fields = {name: getattr(real, name) for name in ("f_bavail", "f_frsize")}
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(**fields, f_files=0, f_favail=0))
    assert gather_runs(tmp_path).free_inodes is None


def test_few_inodes_fail_and_a_file_system_that_counts_none_does_not(tmp_path):
    few = judge_runs(RunsFacts(tmp_path, tmp_path, tmp_path, free_bytes=10, free_inodes=12), 1, False)
    none = judge_runs(RunsFacts(tmp_path, tmp_path, tmp_path, free_bytes=10, free_inodes=None), 1, False)
    assert few.level == "fail"
    assert "only 12 more files" in few.sentence
    assert few.no_room
    assert none.level == "ok"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (errno.EDQUOT, "quota"),
        (errno.ENOSPC, "the disk is full"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "no permission"),
        (errno.ESTALE, "Stale file handle"),
    ],
)
def test_the_errors_of_a_write_are_told_apart_and_the_file_is_removed(tmp_path, monkeypatch, error, words):
    def fail(_):
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "fsync", fail)  # where NFS reports a quota
    facts = gather_runs(tmp_path)
    monkeypatch.undo()
    found = judge_runs(facts, 1, False)
    assert facts.error == error
    assert found.level == "fail"
    assert words in found.sentence
    assert found.no_room is (error in (errno.EDQUOT, errno.ENOSPC)), "who waits for room waits for nothing else"
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_permission_is_told_from_a_full_one(tmp_path):
    if os.geteuid() != 0:
        tmp_path.chmod(0o555)
        assert write_error(tmp_path) == errno.EACCES
        return
    child = os.fork()
    if child == 0:
        os.setuid(65_534)  # root may write everywhere
        os._exit(write_error(tmp_path) or 0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == errno.EACCES


@pytest.mark.parametrize(
    ("path", "kind", "several", "level"),
    [
        ("/tmp/runs", "ext4", True, "warn"),
        ("/dev/shm/runs", "tmpfs", True, "warn"),
        ("/scratch/runs", "tmpfs", True, "warn"),
        ("/tmp/runs", "ext4", False, "ok"),
        ("/home/me/runs", "nfs4", True, "ok"),
        ("/tmpfiles/runs", "xfs", True, "ok"),
    ],
)
def test_a_nodes_own_folder_warns_in_a_job_of_several_nodes(path, kind, several, level):
    facts = RunsFacts(Path(path), Path(path), Path(path), free_bytes=10**12, fs_type=kind)
    assert judge_runs(facts, 1, several).level == level


def test_the_file_system_is_that_of_the_longest_mount_point_and_the_later_of_two(tmp_path):
    mounts = tmp_path / "mounts"
    mounts.write_text(
        "/dev/a / ext4 rw 0 0\nserver:/x /data nfs4 rw 0 0\ntmpfs /data/my\\040runs tmpfs rw 0 0\n"
        "b /late xfs rw 0 0\nc /late nfs rw 0 0\nbroken\n"
    )
    kinds = {path: fs_type(Path(path), mounts) for path in ("/home", "/data/x", "/data/my runs/x", "/datax", "/late/x")}
    assert kinds == {"/home": "ext4", "/data/x": "nfs4", "/data/my runs/x": "tmpfs", "/datax": "ext4", "/late/x": "nfs"}
    assert fs_type(Path("/"), tmp_path / "none") == ""


_ON_A_SMALL_TMPFS = """
import subprocess, sys
from pathlib import Path
from hpc.preflight.disk import gather_runs, judge_runs
place = Path(sys.argv[1])
def mount(options):
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], check=True)
def say():
    facts = gather_runs(place / "runs")
    print(facts.fs_type, judge_runs(facts, 10**5, False).sentence)
mount("size=1m"); say()
try:
    (place / "fill").write_bytes(bytes(2 * 2**20))
except OSError:
    pass
say()
(place / "fill").unlink()
subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True); say()
mount("size=1m,nr_inodes=1"); say()
"""


def test_a_real_small_file_system_full_read_only_and_without_inodes(tmp_path):
    """In a mount namespace of its own: nothing can stay mounted."""
    if os.geteuid() != 0 or subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True).returncode:
        pytest.skip("needs root and mount namespaces")
    command = ["unshare", "-m", sys.executable, "-c", _ON_A_SMALL_TMPFS, str(tmp_path)]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60, env=environ)
    lines = done.stdout.splitlines()
    words = ["1.0 MB are free", "the disk is full", "read-only", "no more files (inodes) fit"]
    assert [word in line for word, line in zip(words, lines, strict=True)] == [True] * 4, done.stdout
    assert all(line.startswith("tmpfs ") for line in lines)
    assert not os.path.ismount(tmp_path)
