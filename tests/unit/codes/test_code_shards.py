"""The file of a code shard: what was written comes back, and no damage passes."""

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt
import pytest

from tests.unit.shards.making import TINY, make_dataset
from v2a.geometry import Geometry
from v2a.shards.code_folder import count_codes, verify_codes
from v2a.shards.code_layout import Head
from v2a.shards.code_reader import CodeShard
from v2a.shards.code_writer import pack_code_shard, remove_unfinished_codes, write_code_shard
from v2a.shards.errors import DiskFull, ShardError
from v2a.shards.reader import Shard

HEAD = Head("e" * 16, TINY, (4, 4, 4), 16, 1, "clips-a.h5", "c" * 32)
LONG = Head("e" * 16, Geometry(256, 144, 10, 40.0), (4, 8, 8), 1024, 1, "clips-a.h5", "c" * 32)  # two chunks a clip
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small disk, and so needs root")


def _codes(head: Head, clips: int) -> npt.NDArray[np.uint16]:
    return np.random.default_rng(clips).integers(0, head.codes, (clips, *head.grid)).astype(np.uint16)


@pytest.mark.parametrize("head", [HEAD, LONG], ids=["one chunk", "more chunks"])
@pytest.mark.parametrize("clips", [0, 1, 3])
def test_round_trip(head: Head, clips: int, tmp_path: Path):
    codes, frames = _codes(head, clips), [head.geometry.frames, 1, 5][:clips]
    write_code_shard(tmp_path / "codes-a.h5", head, codes, frames)
    assert os.listdir(tmp_path) == ["codes-a.h5"]
    with CodeShard(tmp_path / "codes-a.h5") as shard:
        assert (shard.head, shard.frames.tolist(), shard.clips) == (head, frames, clips)
        shard.check()
        for clip in range(clips):
            assert np.array_equal(shard.codes(clip), codes[clip])
            assert np.array_equal(shard.codes(clip, 1, 2), codes[clip, 1:3])
    with h5py.File(tmp_path / "codes-a.h5") as file:  # any HDF5 program
        assert np.array_equal(file["codes"][:], codes)
    (tmp_path / "codes-a.h5").unlink()
    write_code_shard(tmp_path / "codes-a.h5", head, codes, frames)
    assert (tmp_path / "codes-a.h5").read_bytes() == pack_code_shard(head, codes, frames)


def test_no_flipped_byte_passes(tmp_path: Path):
    codes, path = _codes(HEAD, 2), tmp_path / "codes-a.h5"
    content = pack_code_shard(HEAD, codes, [12, 5])
    noticed: list[str] = []
    harmless = 0
    for place in range(0, len(content), 2):  # all of them passed, too
        damaged = bytearray(content)
        damaged[place] ^= 0x41
        path.write_bytes(damaged)
        try:
            with CodeShard(path) as shard:
                shard.check()
                same = shard.head == HEAD and shard.frames.tolist() == [12, 5]
                assert same, place
                assert all(np.array_equal(shard.codes(clip), codes[clip]) for clip in range(2)), place
                harmless += 1
        except ShardError as error:
            noticed.append(str(error))
    assert all(str(path) in said for said in noticed)
    assert len(noticed) > 0.15 * len(content)  # the rest is HDF5's free space, and copies that nobody reads
    assert harmless > 0


def test_no_truncation_passes(tmp_path: Path):
    content, path = pack_code_shard(HEAD, _codes(HEAD, 2), [12, 5]), tmp_path / "codes-a.h5"
    for length in range(0, len(content), 61):
        path.write_bytes(content[:length])
        with pytest.raises(ShardError, match=r"cut off|no HDF5 file|damaged"):
            CodeShard(path)


def test_other_files(tmp_path: Path):
    make_dataset(tmp_path / "clips", 3)
    clips = next((tmp_path / "clips").glob("*.h5"))
    with pytest.raises(ShardError, match="but not a shard of codes"):
        CodeShard(clips)
    with pytest.raises(ShardError, match="is missing"):
        CodeShard(tmp_path / "codes-none.h5")
    path = tmp_path / "codes-a.h5"
    write_code_shard(path, HEAD, _codes(HEAD, 1), [3])
    with pytest.raises(ShardError, match="but not a shard of clips"):
        Shard(path)
    with h5py.File(path, "r+") as file:
        file.attrs["version"] = 2
    with pytest.raises(ShardError, match="has the format version 2"):
        CodeShard(path)


def test_what_cannot_be_written(tmp_path: Path):
    path, codes = tmp_path / "codes-a.h5", _codes(HEAD, 2)
    with pytest.raises(ValueError, match=r"expected codes uint16 \[1, 3, 2, 4\] of 1 clips"):
        write_code_shard(path, HEAD, codes, [12])
    with pytest.raises(ValueError, match="expected codes uint16"):
        write_code_shard(path, HEAD, codes.astype(np.int64), [12, 12])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected codes from 0 to 7"):
        write_code_shard(path, replace(HEAD, codes=8), codes, [12, 12])
    with pytest.raises(ValueError, match="real frames"):
        write_code_shard(path, HEAD, codes, [12, 13])
    assert os.listdir(tmp_path) == []


def test_what_cannot_be_read(tmp_path: Path):
    write_code_shard(tmp_path / "codes-a.h5", HEAD, _codes(HEAD, 2), [12, 5])
    with CodeShard(tmp_path / "codes-a.h5") as shard:
        for clip in (-1, 2):
            with pytest.raises(IndexError, match="has clips 0 to 1"):
                shard.codes(clip)
        for part in ((-1, 1), (0, 4), (1, 0)):
            with pytest.raises(ValueError, match="expected a part of 0 to 3"):
                shard.codes(0, *part)
        with pytest.raises(ValueError, match="expected out as contiguous uint16"):
            shard.codes(0, out=np.empty((3, 2, 4), np.int64))  # type: ignore[arg-type]


def test_a_writer_that_was_killed(tmp_path: Path):
    (tmp_path / "codes-a.12-ab.h5.tmp").write_bytes(b"half")
    write_code_shard(tmp_path / "codes-a.h5", HEAD, _codes(HEAD, 2), [12, 5])
    assert "codes-a.12-ab.h5.tmp" in verify_codes(tmp_path).notes[0]
    assert remove_unfinished_codes(tmp_path) == 1
    assert os.listdir(tmp_path) == ["codes-a.h5"]


@needs_root
def test_a_full_disk(tmp_path: Path):
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", disk], check=True)
    try:
        with pytest.raises(DiskFull, match="the disk is full"):
            _fill(disk)
        assert {path.suffix for path in disk.iterdir()} == {".h5"}
        assert len(list(disk.iterdir())) > 2
        assert verify_codes(disk).problems == []
    finally:
        subprocess.run(["umount", disk], check=True)


def _fill(disk: Path) -> None:
    for number in range(100):
        write_code_shard(disk / f"codes-{number:02}.h5", HEAD, _codes(HEAD, 100), [12] * 100)


def test_use_is_counted_over_real_frames_and_by_codebook(tmp_path: Path):
    head = replace(HEAD, codes=8, group=3)  # a codebook for each of three steps
    codes = np.zeros((2, 3, 2, 4), np.uint16)
    codes[:, 0] = 5  # one code
    codes[:, 1] = np.arange(8).reshape(2, 4)  # all eight
    codes[:, 2] = [[0, 1, 0, 1]] * 2  # two
    write_code_shard(tmp_path / "codes-a.h5", head, codes, [12, 8])  # of the second clip two steps are real
    use = count_codes([tmp_path / "codes-a.h5"])
    assert use.counts.sum(axis=1).tolist() == [16, 16, 8]
    assert use.used == 1 + 8 + 2
    assert use.perplexity == pytest.approx((1 + 8 + 2) / 3)
    assert use.bits_per_pixel == pytest.approx(3 / 64)
    assert use.entropy_per_pixel == pytest.approx((16 * 0 + 16 * 3 + 8 * 1) / 40 / 64)
