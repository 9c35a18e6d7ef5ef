"""What is written is read, by every way of reading and with every compression."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.unit.shards.making import ODD, TINY, make_clip, make_record, same
from v2a.geometry import Geometry
from v2a.shards.compression import COMPRESSIONS
from v2a.shards.folder import read_rows, read_videos, remove_unfinished, shard_paths
from v2a.shards.reader import Shard
from v2a.shards.writer import ShardWriter

ASSETS = Path(__file__).resolve().parents[2] / "assets"


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("chunk_frames", [None, 1, 5])
@pytest.mark.parametrize("geometry", [TINY, ODD], ids=["tiny", "odd"])
def test_clips_come_back(tmp_path: Path, compression: str, chunk_frames: int | None, geometry: Geometry):
    clips = [make_clip(number, geometry, level_db=float("-inf")) for number in range(7)]
    with ShardWriter(
        tmp_path, geometry, clips_per_shard=3, compression=compression, prefix="a", chunk_frames=chunk_frames
    ) as writer:
        for clip in clips:
            writer.add(clip)
    assert [path.name for path in shard_paths(tmp_path)] == [f"clips-a-0000{k}.h5" for k in range(3)]
    assert writer.finished == shard_paths(tmp_path)
    for direct in (True, False):
        found = []
        for path in shard_paths(tmp_path):
            with Shard(path, direct=direct) as shard:
                assert shard.geometry == geometry
                assert shard.chunk_reader("video").direct == (direct and compression == "none")
                found += [shard.clip(clip) for clip in range(shard.clips)]
        assert len(found) == 7
        assert all(map(same, clips, found))


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("direct", [True, False])
def test_any_part_of_a_clip_comes_back(tmp_path: Path, compression: str, direct: bool):
    clip = make_clip(1)
    with ShardWriter(tmp_path, TINY, compression=compression, prefix="a", chunk_frames=5) as writer:
        writer.add(make_clip(0))
        writer.add(clip)
    with Shard(writer.finished[0], direct=direct) as shard:
        for start in range(TINY.frames):
            for count in range(1, TINY.frames - start + 1):
                assert np.array_equal(shard.frames(1, start, count), clip.video[start : start + count])
        for start, count in ((0, 1), (479, 1), (3, 400), (0, 480), (100, 250)):
            assert np.array_equal(shard.audio(1, start, count), clip.audio[start : start + count])
        for wrong in ((0, 13), (-1, 2), (12, 1), (3, 0)):
            with pytest.raises(ValueError, match="expected a part of 0 to 12"):
                shard.frames(1, *wrong)
        with pytest.raises(IndexError, match="has clips 0 to 1, but got 2"):
            shard.frames(2)
        with pytest.raises(ValueError, match="expected out as contiguous uint8"):
            shard.frames(1, 0, 2, np.empty((2, 8, 16, 3), np.int8))


def test_tables_come_back(tmp_path: Path):
    with ShardWriter(tmp_path, TINY, clips_per_shard=2, prefix="a") as writer:
        writer.end_video(make_record(0, clips=0))  # a video without clips, before any clip
        for number in range(2):
            writer.add(make_clip(number))
        writer.end_video(make_record(1))  # the shard is full, and still takes the record of its last clip's video
        writer.add(make_clip(2))
    assert [(path.name, videos) for path, videos in read_videos(tmp_path)] == [
        ("clips-a-00000.h5", [make_record(0, clips=0), make_record(1)]),
        ("clips-a-00001.h5", []),
    ]
    assert [rows for _, rows in read_rows(tmp_path)] == [[make_clip(0).row, make_clip(1).row], [make_clip(2).row]]


def test_a_shard_may_hold_records_alone(tmp_path: Path):
    with ShardWriter(tmp_path, TINY, prefix="a") as writer:
        writer.end_video(make_record())
    with Shard(writer.finished[0]) as shard:
        assert (shard.clips, shard.rows(), shard.videos()) == (0, [], [make_record()])
        assert shard.chunk_reader("video").stored_bytes() == 0


def test_other_programs_read_a_shard(tmp_path: Path):
    with ShardWriter(tmp_path, TINY, prefix="a") as writer:
        writer.add(make_clip(4))
    with h5py.File(writer.finished[0]) as file:
        assert file["video"].shape == (1, 12, 8, 16, 3)
        assert np.array_equal(file["video"][0], make_clip(4).video)
        assert np.array_equal(file["audio"][0], make_clip(4).audio)
        assert (file.attrs["format"], file.attrs["version"]) == (b"v2a-clips", 1)


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_shards_of_the_first_version_are_read(compression: str):
    """Files written by version 1 of the format, kept; never made anew by this test."""
    with Shard(ASSETS / f"clips-v1-{compression}.h5") as shard:
        assert shard.compression == compression
        assert [same(shard.clip(k), make_clip(k)) for k in range(2)] == [True, True]
        assert shard.videos() == [make_record(0)]


def test_a_shard_is_there_only_when_it_is_whole(tmp_path: Path):
    writer = ShardWriter(tmp_path, TINY, prefix="a")
    writer.close()
    assert list(tmp_path.iterdir()) == []
    writer.add(make_clip(0))
    assert [path.name for path in tmp_path.iterdir()] == ["clips-a-00000.h5.tmp"]
    assert shard_paths(tmp_path) == []
    writer.close()
    assert [path.name for path in tmp_path.iterdir()] == ["clips-a-00000.h5"]
    writer.add(make_clip(1))
    writer.abort()
    writer.abort()
    assert [path.name for path in tmp_path.iterdir()] == ["clips-a-00000.h5"]
    writer.add(make_clip(2))
    writer.close()
    assert [path.name for path in shard_paths(tmp_path)] == ["clips-a-00000.h5", "clips-a-00002.h5"]


def test_names_are_never_used_twice(tmp_path: Path):
    for number in range(3):
        with ShardWriter(tmp_path, TINY, prefix="a") as writer:
            writer.add(make_clip(number))
    left = tmp_path / "clips-a-00003.h5.tmp"
    left.write_bytes(b"left by a killed writer")
    with ShardWriter(tmp_path, TINY, prefix="a") as writer:
        writer.add(make_clip(3))
    assert writer.finished == [tmp_path / "clips-a-00004.h5"]
    assert [rows[0] for _, rows in read_rows(tmp_path)] == [make_clip(number).row for number in range(4)]
    assert remove_unfinished(tmp_path) == [left]
    assert len(list(tmp_path.iterdir())) == 4


def test_an_error_inside_with_keeps_whole_shards_only(tmp_path: Path):
    def stop_after(clips: int) -> None:
        with ShardWriter(tmp_path, TINY, clips_per_shard=2, prefix="a") as writer:
            for number in range(clips):
                writer.add(make_clip(number))
            raise KeyError

    with pytest.raises(KeyError):
        stop_after(3)
    assert [path.name for path in tmp_path.iterdir()] == ["clips-a-00000.h5"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"clips_per_shard": 0}, "at least one clip in a shard, but got clips_per_shard=0"),
        ({"compression": "gzip"}, "a compression out of none, lz4, zstd, but got 'gzip'"),
        ({"prefix": "a/b"}, "a prefix that can stand in a file name, but got 'a/b'"),
    ],
)
def test_wrong_settings_are_named(tmp_path: Path, settings: dict[str, object], message: str):
    with pytest.raises(ValueError, match=message):
        ShardWriter(tmp_path, TINY, **{"prefix": "a"} | settings)


def test_clips_of_another_geometry_are_refused(tmp_path: Path):
    writer = ShardWriter(tmp_path, TINY, prefix="a")
    with pytest.raises(ValueError, match=r"expected video uint8 \[12, 8, 16, 3\], but got uint8 \[21, 10, 6, 3\]"):
        writer.add(make_clip(0, ODD))
    with pytest.raises(ValueError, match="expected 1 to 12 real frames, but got frames=0"):
        writer.add(make_clip(0, frames=0))
    assert list(tmp_path.iterdir()) == []
