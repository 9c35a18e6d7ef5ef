"""A disk that is full, a limit that is reached, a writer that is killed: whole shards stay, and nothing else."""

import errno
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from tests.unit.shards.making import TINY, make_clip
from v2a.shards.errors import DiskFull
from v2a.shards.folder import read_rows, remove_unfinished, shard_paths
from v2a.shards.manifest import write_manifest
from v2a.shards.splits import Splits
from v2a.shards.verify import verify
from v2a.shards.writer import ShardWriter

CHECKOUT = Path(__file__).resolve().parents[3]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small disk, and so needs root")


@pytest.fixture
def small_disk(tmp_path: Path):
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


@needs_root
@pytest.mark.parametrize("compression", ["none", "lz4"])
@pytest.mark.parametrize("clips_per_shard", [10, 1000])
def test_a_full_disk_keeps_whole_shards(small_disk: Path, clips_per_shard: int, compression: str):
    writer = ShardWriter(small_disk, TINY, clips_per_shard=clips_per_shard, compression=compression, prefix="a")
    with pytest.raises(DiskFull, match="the disk is full, so the shard could not be written") as caught:
        _fill(writer)
    assert caught.value.errno == errno.ENOSPC
    assert [path.suffix for path in small_disk.iterdir()] == [".h5"] * len(writer.finished)
    space = os.statvfs(small_disk)
    used = (space.f_blocks - space.f_bfree) * space.f_frsize
    assert used <= sum(path.stat().st_blocks * 512 for path in small_disk.iterdir())  # no deleted file holds space
    rows = [row for _, rows in read_rows(small_disk) for row in rows]
    assert rows == [make_clip(number).row for number in range(len(rows))]
    assert len(rows) == (len(writer.finished) * 10 if clips_per_shard == 10 else 0)
    with pytest.raises(DiskFull):  # it is still full, and says so again
        _fill(writer)
    writer.close()


@needs_root
def test_a_full_disk_at_the_last_moment(small_disk: Path):
    """Whatever of a shard still fits, the shard is either whole or gone."""
    outcomes = set()
    for filler in range(0, 256 * 1024, 4096):
        for path in small_disk.iterdir():
            path.unlink()
        (small_disk / "filler").write_bytes(bytes(filler))
        try:
            with ShardWriter(small_disk, TINY, prefix="a") as writer:
                for number in range(5):
                    writer.add(make_clip(number))
            outcomes.add("whole")
            assert [len(rows) for _, rows in read_rows(small_disk)] == [5]
        except DiskFull:
            outcomes.add("full")
            assert shard_paths(small_disk) == remove_unfinished(small_disk) == []
    assert outcomes == {"whole", "full"}


@needs_root
def test_a_full_disk_keeps_the_old_manifest(small_disk: Path):
    with ShardWriter(small_disk, TINY, prefix="a") as writer:
        writer.add(make_clip(0))
    write_manifest(small_disk, TINY, {}, Splits())
    before = (small_disk / "dataset.json").read_bytes()
    with pytest.raises(OSError, match="No space left"):
        (small_disk / "filler").write_bytes(bytes(1 << 20))
    with pytest.raises(DiskFull, match="the disk is full"):
        write_manifest(small_disk, TINY, {"long": "x" * 10000}, Splits())
    assert (small_disk / "dataset.json").read_bytes() == before
    assert not list(small_disk.glob(".dataset*"))


def test_a_limit_on_the_size_of_files(tmp_path: Path):
    program = f"""
        import resource, sys
        from pathlib import Path
        sys.path.insert(0, {str(CHECKOUT)!r})
        from tests.unit.shards.making import TINY, make_clip
        from v2a.shards.errors import DiskFull
        from v2a.shards.writer import ShardWriter
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
        try:
            with ShardWriter(Path(sys.argv[1]), TINY, prefix="a") as writer:
                for number in range(100):
                    writer.add(make_clip(number))
        except DiskFull as error:
            print(error)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), tmp_path], capture_output=True, text=True, check=False
    )
    assert "files may not grow so large, so the shard could not be written" in done.stdout, done.stderr
    assert done.returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="No such file"):
        ShardWriter(tmp_path / "none", TINY, prefix="a").add(make_clip(0))


def test_a_killed_writer_leaves_whole_shards(tmp_path: Path):
    program = f"""
        import sys
        from pathlib import Path
        sys.path.insert(0, {str(CHECKOUT)!r})
        from tests.unit.shards.making import TINY, make_clip
        from v2a.shards.writer import ShardWriter
        writer = ShardWriter(Path(sys.argv[1]), TINY, prefix=sys.argv[2], clips_per_shard=3)
        for number in range(10**6):
            writer.add(make_clip(number))
    """
    for attempt in range(3):
        with subprocess.Popen([sys.executable, "-c", textwrap.dedent(program), tmp_path, f"w{attempt}"]) as writing:
            end = time.monotonic() + 30
            while len(list(tmp_path.glob(f"clips-w{attempt}*.h5"))) < 2 + attempt and time.monotonic() < end:
                time.sleep(0.01)
            writing.send_signal(signal.SIGKILL)
    remove_unfinished(tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} == {".h5"}
    assert all(len(rows) == 3 for _, rows in read_rows(tmp_path))
    write_manifest(tmp_path, TINY, {}, Splits())
    assert verify(tmp_path).problems == []
    assert len(shard_paths(tmp_path)) >= 9


def _fill(writer: ShardWriter) -> None:
    for number in range(1000):
        writer.add(make_clip(number))
