"""The cache of wheels, the folders that builds happen in, and the messages of a compile that fails."""

import io
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import pytest

from hpc.build_horovod import cache as horovod_cache
from hpc.build_horovod import compile as horovod_compile
from hpc.build_horovod import scratch as horovod_scratch
from hpc.build_horovod.key import BuildError
from tests.unit.horovod_builds import CPU, GPU, ROOT, alive, make_wheel


@pytest.fixture(name="temporary")
def temporary_fixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_a_stored_wheel_is_found_and_whole(stored: Path, tmp_path: Path) -> None:
    assert horovod_cache.cached_wheel(tmp_path / "cache", CPU) == stored
    assert horovod_cache.cached_wheel(tmp_path / "cache", GPU) is None
    assert horovod_cache.cached_wheels(tmp_path / "cache") == [stored]
    assert horovod_cache.damage(stored, CPU) is None
    with zipfile.ZipFile(stored) as archive:
        assert horovod_cache.key_of(archive.read("horovod/v2a_build.json")) == CPU
        assert archive.read("horovod/torch/lib.so") == bytes(range(256)) * 50


def test_a_wheel_of_another_key_is_damage(stored: Path) -> None:
    assert horovod_cache.damage(stored, GPU) == "it was built for another environment"


@pytest.mark.parametrize("cut", [0, 10, 500])
def test_a_cut_off_wheel_is_damage(stored: Path, cut: int) -> None:
    stored.write_bytes(stored.read_bytes()[:cut])
    assert "cannot be read" in str(horovod_cache.damage(stored, CPU))


def test_each_flipped_byte_in_a_files_content_is_damage(stored: Path) -> None:
    whole = stored.read_bytes()
    with zipfile.ZipFile(stored) as archive:
        item = archive.getinfo("horovod/torch/lib.so")
    first = item.header_offset + 30 + len(item.filename)
    for position in range(first, first + item.compress_size, 7):
        stored.write_bytes(whole[:position] + bytes([whole[position] ^ 0x10]) + whole[position + 1 :])
        assert horovod_cache.damage(stored, CPU) is not None, position


def test_a_file_that_was_put_in_later_is_damage(stored: Path) -> None:
    with zipfile.ZipFile(stored, "a") as archive:
        archive.writestr("horovod/extra.py", "print('hello')")
    assert horovod_cache.damage(stored, CPU) == "horovod/extra.py in it is not what was built"


def test_where_the_cache_is() -> None:
    assert horovod_cache.cache_root({"V2A_CACHE_DIR": "/a b", "XDG_CACHE_HOME": "/x"}) == Path("/a b")
    assert horovod_cache.cache_root({"XDG_CACHE_HOME": "/x", "HOME": "/h"}) == Path("/x/v2a-hpc")
    assert horovod_cache.cache_root({"HOME": "/h"}) == Path("/h/.cache/v2a-hpc")


_HOLD = """
import sys
import tempfile
from pathlib import Path
from tests.unit.horovod_builds import CPU
from hpc.build_horovod.cache import locked
with locked(Path(sys.argv[1]), CPU, print):
    print("held", flush=True)
    sys.stdin.read()
"""


def holder(root: Path) -> "subprocess.Popen[str]":
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    process: subprocess.Popen[str] = subprocess.Popen([sys.executable, "-c", _HOLD, str(root)], env=env, **pipes)  # type: ignore[call-overload]
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_the_second_of_two_builds_waits_and_says_so(tmp_path: Path) -> None:
    with holder(tmp_path) as first:
        said: list[str] = []

        def say(text: str) -> None:
            said.append(text)
            assert first.stdin is not None
            first.stdin.close()  # the first ends only now, so the second did wait

        with horovod_cache.locked(tmp_path, CPU, say, poll_s=0.02):
            assert first.wait(timeout=10) == 0
    assert len(said) == 1
    assert f"process {first.pid} on" in said[0]
    assert "waiting" in said[0]


def test_a_killed_build_holds_no_lock(tmp_path: Path) -> None:
    with holder(tmp_path) as first:
        first.kill()
        first.wait(timeout=10)
        with horovod_cache.locked(tmp_path, CPU, pytest.fail):
            assert "process" in (tmp_path / "horovod" / f"{CPU.name}.lock").read_text()


def test_what_a_killed_build_left_is_removed(tmp_path: Path, temporary: Path) -> None:
    with horovod_scratch.scratch(tmp_path / "cache", CPU) as folder:
        assert folder.parent == temporary
    assert not folder.exists()
    stale = folder  # the folder of a build that was killed: the same name but for its random end
    with horovod_scratch.scratch(tmp_path / "another cache", CPU) as other:
        (other / "object.o").touch()
        stale.mkdir()
        (stale / "object.o").touch()
        orphan = subprocess.Popen(["sleep", "60"], env={"TMPDIR": str(stale)})
        bystander = subprocess.Popen(["sleep", "60"], env={"TMPDIR": str(other)})
        try:
            with horovod_scratch.scratch(tmp_path / "cache", CPU):
                assert orphan.wait(timeout=5) == -9
                assert not stale.exists()
            assert bystander.poll() is None
            assert (other / "object.o").exists()
        finally:
            for process in (orphan, bystander):
                process.kill()
                process.wait()


def test_a_temporary_folder_with_a_space_is_not_compiled_in(tmp_path: Path) -> None:
    spaced = tmp_path / "my folder"
    spaced.mkdir()
    assert "spaces" in str(horovod_scratch.unfit(spaced))
    assert horovod_scratch.unfit(tmp_path) is None
    assert horovod_scratch._first_fit([spaced, tmp_path / "missing", tmp_path]) == tmp_path
    with pytest.raises(BuildError, match=r"no folder to compile in; .*my folder: .*spaces") as error:
        horovod_scratch._first_fit([spaced])
    assert "TMPDIR" in error.value.fix


def test_room_is_looked_for_before_compiling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    horovod_cache.check_room(tmp_path)
    monkeypatch.setattr(horovod_cache, "WHEEL_BYTES", 10**18)
    with pytest.raises(BuildError, match="MB free, and a wheel and its log need 1000000000000"):
        horovod_cache.check_room(tmp_path)


def test_a_full_disk_leaves_no_partial_wheel(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path)
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("horovod/big", os.urandom(300_000))
    cache = tmp_path / "cache"
    # A file size limit stops a write in the middle as a full disk does
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, before[1]))
        with pytest.raises(OSError, match="File too large"):
            horovod_cache.store(wheel, cache, CPU)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert [file for file in cache.rglob("*") if file.is_file()] == []


@pytest.mark.parametrize(
    ("output", "what", "fix"),
    [
        ("fatal error: error writing to /tmp/x.s: No space left on device", "the disk is full", "V2A_CACHE_DIR"),
        ("c++: fatal error: Killed signal terminated program cc1plus", "ran out of memory", "-j 1"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM", "not the published one", "pip config list"),
        ("ERROR: No matching distribution found for horovod==0.28.1", "could not be downloaded", "PIP_FIND_LINKS"),
        ("pybind11.h:3: fatal error: Python.h: No such file or directory", "Python's headers", "python3-dev"),
        ("#error You need GCC 9 or newer; requires GCC 9", "too old for torch", "CXX"),
        ("Could NOT find MPI (missing: MPI_CXX_FOUND)", "no usable MPI", "libopenmpi-dev"),
        ("something nobody has seen", "did not compile (pip ended with code 7)", "first 'error:'"),
    ],
)
def test_a_failure_is_explained(tmp_path: Path, output: str, what: str, fix: str) -> None:
    log = tmp_path / "build.log"
    log.write_text("\n".join([*(f"line {n}" for n in range(100)), output]) + "\n\n")
    error = horovod_compile.failure(log, 7, 10**9)
    assert what in error.what
    assert fix in error.fix
    assert str(log) in error.what
    assert f"  | {output}" in error.what
    assert "  | line 86\n" in error.what
    assert "line 85" not in error.what


def test_a_disk_that_was_full_is_the_cause_whatever_the_tools_say(tmp_path: Path) -> None:
    log = tmp_path / "build.log"
    log.write_text("Error: could not load cache\n")
    assert "the disk is full" in horovod_compile.failure(log, 1, 4096).what
    assert "did not compile" in horovod_compile.failure(log, 1, 10**9).what


def test_the_first_error_is_shown_before_the_last_lines(tmp_path: Path) -> None:
    log = tmp_path / "build.log"
    lines = [
        "mpi.cc:3: error: no member named 'x'",
        *(f"line {n}" for n in range(40)),
        "error: subprocess-exited-with-error",
    ]
    log.write_text("\n".join(lines))
    what = horovod_compile.failure(log, 1, 10**9).what
    assert "  | mpi.cc:3: error: no member named 'x'\n  | line 26\n" in what


def test_progress_shows_the_last_step_on_plain_lines(tmp_path: Path) -> None:
    stream = io.StringIO()
    progress = horovod_compile.Progress(stream, tmp_path)
    progress.show()
    assert stream.getvalue() == ""  # not yet time: every 30 s where there is no terminal
    progress.every_s = 0
    progress.read("  [ 43%] Building CXX obj")
    progress.read("ect mpi.cc.o\n  cd /tmp && c++ -Wall\nmpi.cc:3: warning: x\n")
    progress.show()
    progress.end()
    assert stream.getvalue() == " 0:00  [ 43%] Building CXX object mpi.cc.o\n"


def test_a_long_step_is_shortened_in_the_middle() -> None:
    step = horovod_compile._short(
        "[ 43%] Building CXX object horovod/torch/CMakeFiles/pytorch.dir/" + "x/" * 40 + "mpi.cc.o"
    )
    assert len(step) <= 78
    assert step.startswith("[ 43%] Building CXX object")
    assert step.endswith("mpi.cc.o")


def test_no_compiler_outlives_the_build(tmp_path: Path) -> None:
    command = ["sh", "-c", "sleep 60 >/dev/null 2>&1 & echo $!; exit 3"]
    with (tmp_path / "log").open("wb") as log:
        code = horovod_compile._run(
            command, os.environ, log.fileno(), horovod_compile.Progress(io.StringIO(), tmp_path)
        )
    assert code == 3
    pid = int((tmp_path / "log").read_text().splitlines()[-1])
    deadline = time.monotonic() + 5
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not alive(pid)


def test_pip_is_pinned_to_the_published_source() -> None:
    command = horovod_compile.wheel_command(Path("/a b"))
    assert {"--require-hashes", "--no-cache-dir", "--no-build-isolation", "--no-deps"} <= set(command)
    assert len(horovod_compile.SDIST_SHA256) == 64
