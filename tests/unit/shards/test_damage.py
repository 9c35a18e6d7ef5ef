"""Any byte that changes is found, or nothing that is read depends on it."""

import os
import random
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.unit.shards.making import TINY, make_clip, make_dataset, make_record
from v2a.shards.compression import COMPRESSIONS
from v2a.shards.errors import ShardError
from v2a.shards.reader import Shard
from v2a.shards.verify import verify
from v2a.shards.writer import ShardWriter


def _contents(path: Path) -> list[object]:
    """Everything that can be read of a shard."""
    found: list[object] = []
    for direct in (True, False):
        with Shard(path, direct=direct) as shard:
            found += [shard.geometry, shard.compression, shard.table_checksum, repr(shard.rows()), repr(shard.videos())]
            for number in range(shard.clips):
                clip = shard.clip(number)
                found += [clip.video.tobytes(), clip.audio.tobytes(), shard.frames(number, 3, 2).tobytes()]
            found.append(shard.chunk_reader("video").hdf5_places().tolist() if not direct else None)
    return found


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_every_flipped_bit_is_found_or_harmless(tmp_path: Path, compression: str):
    make_dataset(tmp_path, 2, compression=compression)
    path = tmp_path / "clips-w0-00000.h5"
    sound = path.read_bytes()
    expected = _contents(path)
    draw = random.Random(0)
    places = draw.sample(range(len(sound)), 120)
    found = 0
    for place in places:
        damaged = bytearray(sound)
        damaged[place] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        if verify(tmp_path).problems:
            found += 1
        else:  # nothing is said: then everything is as it was
            assert _contents(path) == expected, f"byte {place}"
    path.write_bytes(sound)
    assert verify(tmp_path).problems == []
    assert found > 0.6 * len(places)


@pytest.mark.parametrize("direct", [True, False])
@pytest.mark.parametrize("name", ["video", "audio"])
def test_a_damaged_chunk_is_named(tmp_path: Path, direct: bool, name: str):
    with ShardWriter(tmp_path, TINY, prefix="a", chunk_frames=4) as writer:
        for number in range(3):
            writer.add(make_clip(number))
    path = writer.finished[0]
    with Shard(path) as shard:
        offset = int(shard.chunk_reader(name).table[1, -1, 0])
        chunk = shard.chunk_reader(name).per_clip - 1
    _flip(path, offset)
    with Shard(path, direct=direct) as shard:
        read = shard.frames if name == "video" else shard.audio
        read(0)
        read(2)
        if name == "video":
            read(1, 0, 8)  # the other chunks of the clip are sound
        with pytest.raises(ShardError, match=f"clip 1: chunk {chunk} does not match its checksum") as caught:
            read(1)
    assert (caught.value.path, caught.value.clip) == (path, 1)


def test_all_damaged_shards_and_clips_are_listed(tmp_path: Path):
    make_dataset(tmp_path, 12, clips_per_shard=4)
    first, second, third = sorted(tmp_path.glob("*.h5"))
    for path, clip in ((first, 1), (first, 3), (third, 0)):
        with Shard(path) as shard:
            offset = int(shard.chunk_reader("video").table[clip, 0, 0])
        _flip(path, offset)
    os.truncate(second, second.stat().st_size - 5)
    problems = verify(tmp_path).problems
    for text in (f"{first}, clip 1: chunk 0", f"{first}, clip 3: chunk 0", f"{second}: is cut off", f"{third}, clip 0"):
        assert sum(text in problem for problem in problems) == 1
    assert "what to do with each damaged shard (3): move it away" in problems[-1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not a shard: it is no HDF5 file"),
        (b"a text\n" * 1000, "is not a shard: it is no HDF5 file"),
        (bytes(5000), "is not a shard: it is no HDF5 file"),
    ],
)
def test_what_is_no_shard_is_said(tmp_path: Path, content: bytes, message: str):
    path = tmp_path / "clips-a-0.h5"
    path.write_bytes(content)
    with pytest.raises(ShardError, match=message):
        Shard(path)


def test_other_files_and_folders_are_no_shards(tmp_path: Path):
    with pytest.raises(ShardError, match="is missing"):
        Shard(tmp_path / "none.h5")
    with pytest.raises(ShardError, match="is a folder, where a shard is a file"):
        Shard(tmp_path)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["video"] = np.zeros(3)
    with pytest.raises(ShardError, match="is an HDF5 file, but not a shard of clips"):
        Shard(tmp_path / "other.h5")


def test_a_newer_format_says_what_to_do(tmp_path: Path):
    with ShardWriter(tmp_path, TINY, prefix="a") as writer:
        writer.add(make_clip(0))
    with h5py.File(writer.finished[0], "r+") as file:
        file.attrs["version"] = 2
    with pytest.raises(ShardError, match="has the format version 2, and this program reads 1: use the version"):
        Shard(writer.finished[0])


def test_attributes_cannot_be_changed_unnoticed(tmp_path: Path):
    with ShardWriter(tmp_path, TINY, prefix="a") as writer:
        writer.end_video(make_record())
    with h5py.File(writer.finished[0], "r+") as file:
        file.attrs["geometry"] = np.bytes_(file.attrs["geometry"].replace(b'"fps": 10', b'"fps": 20'))
    with pytest.raises(ShardError, match="its table does not match its checksum"):
        Shard(writer.finished[0])


def test_a_file_cut_off_while_it_is_open(tmp_path: Path):
    with ShardWriter(tmp_path, TINY, prefix="a") as writer:
        for number in range(3):
            writer.add(make_clip(number))
    with Shard(writer.finished[0]) as shard:
        shard.frames(2)
        os.truncate(shard.path, 6000)
        with pytest.raises(ShardError, match="clip 2: is cut off"):
            shard.frames(2)


def _flip(path: Path, offset: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        value = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([value ^ 1]))
