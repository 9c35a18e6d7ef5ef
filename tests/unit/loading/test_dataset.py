"""Clips as tensors: the right ones, cropped where they should be, each once; damage is raised or counted."""

import logging
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from tests.unit.shards.making import ODD, TINY, make_clip, make_dataset
from v2a.loading.dataset import ClipDataset, as_float
from v2a.loading.opened import OpenShards, open_clips
from v2a.loading.order import Draw
from v2a.shards.errors import ShardError
from v2a.shards.manifest import clip_key, write_manifest
from v2a.shards.reader import Shard
from v2a.shards.records import Clip
from v2a.shards.splits import Splits, split_of
from v2a.shards.writer import ShardWriter

CHECKOUT = Path(__file__).resolve().parents[3]


def _by_key(clips: list[Clip]) -> dict[tuple[str, float], Clip]:
    return {clip_key(clip.row): clip for clip in clips}


@pytest.mark.parametrize("compression", ["none", "zstd"])
def test_whole_clips(tmp_path: Path, compression: str):
    made = _by_key(make_dataset(tmp_path, 12, ODD, compression=compression))
    dataset = ClipDataset(tmp_path, "all")
    assert len(dataset) == 12
    for number in range(12):
        sample, row = dataset[number], dataset.row(number)
        clip = made.pop(clip_key(row))
        assert row == clip.row
        assert np.array_equal(sample["video"].numpy(), clip.video)
        assert np.array_equal(sample["audio"].numpy(), clip.audio)
        assert (sample["video"].dtype, sample["audio"].dtype) == (torch.uint8, torch.int16)
        assert [int(sample[name]) for name in ("clip", "start", "frames")] == [number, 0, ODD.frames]
    assert not made
    with pytest.raises(IndexError, match="expected a clip from 0 to 11, but got 12"):
        dataset[12]


def test_crops_lie_in_the_real_frames_with_their_own_sound(tmp_path: Path):
    made = _by_key(make_dataset(tmp_path, 30, ODD, each=lambda number: {"frames": 3 + number % 19}))
    dataset = ClipDataset(tmp_path, "all", frames=5, seed=3)
    assert dataset.left_out == {"short": 4, "silent": 0}
    assert len(dataset) == 26
    ends = set()
    for epoch in range(30):
        for sample in dataset.__getitems__([Draw(epoch, clip) for clip in range(len(dataset))]):
            clip = made[clip_key(dataset.row(int(sample["clip"])))]
            start = int(sample["start"])
            assert start + 5 <= clip.row.frames
            ends.add(start + 5 == clip.row.frames)
            assert np.array_equal(sample["video"].numpy(), clip.video[start : start + 5])
            first = start * 11027 // 7
            assert np.array_equal(sample["audio"].numpy(), clip.audio[first : first + 5 * 11027 // 7])
            assert int(sample["frames"]) == 5
    assert ends == {True, False}


def test_crops_do_not_depend_on_shards_batches_or_order(tmp_path: Path):
    make_dataset(tmp_path / "a", 20)
    make_dataset(tmp_path / "b", 20, clips_per_shard=3, prefix="other", compression="lz4")
    one, other = (ClipDataset(tmp_path / name, "train", frames=4, seed=1) for name in "ab")
    assert one.identity == other.identity
    draws = [Draw(epoch, clip) for epoch in (0, 7) for clip in range(len(one))]
    together = one.__getitems__(draws)
    for place in reversed(range(len(draws))):
        alone = other[draws[place]]
        assert all(torch.equal(alone[name], together[place][name]) for name in alone)
    moved = [one[Draw(0, clip)]["start"] != one[Draw(1, clip)]["start"] for clip in range(len(one))]
    assert sum(moved) > 0


def test_a_clip_shorter_than_its_segment(tmp_path: Path):
    make_dataset(tmp_path, 1, each=lambda number: {"frames": 5})
    assert int(ClipDataset(tmp_path, "all")[0]["frames"]) == 5


def test_splits_share_no_video_and_lose_none(tmp_path: Path):
    made = make_dataset(tmp_path, 60, splits=Splits(0.2, 0.3))
    found = {}
    for split in ("train", "validation", "test"):
        dataset = ClipDataset(tmp_path, split)
        for clip in range(len(dataset)):
            row = dataset.row(clip)
            assert split_of(row.group, Splits(0.2, 0.3)) == split
            found[clip_key(row)] = split
    assert set(found) == set(_by_key(made))
    with pytest.raises(ValueError, match="expected a split out of train, validation, test, all, but got 'valid'"):
        ClipDataset(tmp_path, "valid")


def test_equal_clips_come_once_and_silent_ones_on_request(tmp_path: Path):
    make_dataset(tmp_path, 9, each=lambda number: {"has_audio": number % 3 == 0})
    with ShardWriter(tmp_path, TINY, prefix="again") as writer:
        for number in range(9):
            writer.add(make_clip(number, source="/copy.mp4", group="another group"))
    write_manifest(tmp_path, TINY, {}, Splits())
    dataset = ClipDataset(tmp_path, "all")
    assert len(dataset) == 9
    assert len({clip_key(dataset.row(clip)) for clip in range(9)}) == 9
    heard = ClipDataset(tmp_path, "all", need_audio=True)
    assert (len(heard), heard.left_out) == (3, {"short": 0, "silent": 6})
    assert heard.identity != dataset.identity
    assert "audio" not in ClipDataset(tmp_path, "all", with_audio=False)[0]


def test_damage_is_raised_with_shard_and_clip(tmp_path: Path):
    make_dataset(tmp_path, 10)
    path = _damage(tmp_path, 1)
    dataset = ClipDataset(tmp_path, "all")
    with pytest.raises(ShardError, match=f"{path}, clip 1: chunk 0 does not match its checksum"):
        dataset.__getitems__([0, 1, 2])


@pytest.mark.parametrize("threads", [1, 3])
def test_damage_is_skipped_and_counted(tmp_path: Path, threads: int, caplog: pytest.LogCaptureFixture):
    make_dataset(tmp_path, 10)
    path = _damage(tmp_path, 1, 2)
    dataset = ClipDataset(tmp_path, "all", on_damage="skip", threads=threads)
    with caplog.at_level(logging.WARNING):
        samples = dataset.__getitems__([0, 1, 2, 9])
    assert samples.batch["clip"].tolist() == [0, 3, 3, 9]
    assert int(samples.batch["skipped"]) == dataset.skipped == 3  # clip 1, then its stand-in 2, and clip 2
    assert np.array_equal(samples[1]["video"], dataset[3]["video"])
    assert f"{path}, clip 1" in caplog.text
    with pytest.raises(ValueError, match="expected on_damage raise or skip"):
        ClipDataset(tmp_path, "all", on_damage="ignore")


def test_nothing_but_damage_is_raised(tmp_path: Path):
    make_dataset(tmp_path, 4)
    _damage(tmp_path, 0, 1, 2, 3)
    with pytest.raises(ShardError, match="does not match its checksum"):
        ClipDataset(tmp_path, "all", on_damage="skip")[2]


def test_shards_must_be_those_of_the_manifest(tmp_path: Path):
    make_dataset(tmp_path, 3)
    with ShardWriter(tmp_path, TINY, prefix="x") as writer:
        writer.add(make_clip(50))
    assert len(ClipDataset(tmp_path, "all")) == 3  # what a running prepare adds is not there yet
    os.replace(tmp_path / "clips-x-00000.h5", tmp_path / "clips-w0-00000.h5")
    with pytest.raises(ShardError, match=r"clips-w0-00000.h5: is not the shard that dataset.json names"):
        ClipDataset(tmp_path, "all")
    (tmp_path / "clips-w0-00000.h5").unlink()
    with pytest.raises(ShardError, match=r"clips-w0-00000.h5: is missing"):
        ClipDataset(tmp_path, "all")


def test_open_files_and_memory_are_bounded(tmp_path: Path):
    make_dataset(tmp_path, 40, ODD, clips_per_shard=1)
    dataset = ClipDataset(tmp_path, "all", open_files=3)
    process = psutil.Process()

    def open_shards() -> int:
        return sum(str(tmp_path) in file.path for file in process.open_files())

    assert open_shards() == 0
    for _ in range(3):
        dataset.__getitems__(range(40))
    before = process.memory_info().rss
    for _ in range(30):
        dataset.__getitems__(range(40))
        assert open_shards() <= 6  # two files of a shard at most
    assert process.memory_info().rss - before < 8 << 20  # 30 batches hold 50 MB of clips and 1,200 opened shards
    dataset.close()
    assert open_shards() == 0
    assert len(dataset.__getitems__([0, 1])) == 2


def test_a_forked_process_opens_its_own_files(tmp_path: Path):
    make_dataset(tmp_path, 3)
    shards = OpenShards(sorted(tmp_path.glob("*.h5")), open_clips)
    opened = shards[0]
    child = os.fork()
    if child == 0:
        own = shards[0] is not opened and len(shards) == 1
        os._exit(0 if own and np.array_equal(shards[0].frames(0), opened.frames(0)) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert shards[0] is opened


def test_memory_is_used_again_but_never_while_it_is_held(tmp_path: Path):
    make_dataset(tmp_path, 20)
    dataset = ClipDataset(tmp_path, "all")
    held = [dataset.__getitems__(range(k, k + 4)) for k in range(10)]
    expected = [dataset[k]["video"].clone() for k in range(14)]
    places = {samples.batch["video"].data_ptr() for samples in held}
    assert len(places) == 10
    one = held[3][2]["video"][1:]  # a view of a view keeps the whole
    del held
    seen = {dataset.__getitems__(range(4)).batch["video"].data_ptr() for _ in range(10)}
    assert seen <= places
    assert torch.equal(one, expected[5][1:])


def test_a_dataset_goes_through_pickle_without_open_files(tmp_path: Path):
    make_dataset(tmp_path, 6)
    dataset = ClipDataset(tmp_path, "all", threads=2, frames=3)
    sample = dataset[Draw(4, 2)]
    other = pickle.loads(pickle.dumps(dataset))
    assert torch.equal(other[Draw(4, 2)]["video"], sample["video"])


def test_two_processes_read_at_once(tmp_path: Path):
    make_dataset(tmp_path, 30, ODD)
    program = f"""if True:
        import sys
        sys.path.insert(0, {str(CHECKOUT)!r})
        from pathlib import Path
        from v2a.loading.dataset import ClipDataset
        dataset = ClipDataset(Path(sys.argv[1]), "all", frames=4)
        print(sum(int(dataset[e, c]["video"].sum()) for e in range(20) for c in range(30)))
    """
    runs = [
        subprocess.Popen([sys.executable, "-c", program, tmp_path], stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    sums = {run.communicate(timeout=60)[0] for run in runs}
    assert [run.returncode for run in runs] == [0, 0]
    dataset = ClipDataset(tmp_path, "all", frames=4)
    assert sums == {f"{sum(int(dataset[e, c]['video'].sum()) for e in range(20) for c in range(30))}\n"}


def test_as_float():
    video = torch.tensor([0, 255, 51], dtype=torch.uint8).expand(2, 4, 5, 6, 3)
    made = as_float(video)
    assert made.shape == (2, 3, 4, 5, 6)
    assert made.dtype == torch.float32
    assert made[0, :, 0, 0, 0].tolist() == pytest.approx([0, 1, 0.2])


def _damage(folder: Path, *clips: int) -> Path:
    """Flip a bit in the video of clips of the first shard; with the datasets here these numbers are the dataset's, too."""
    path = sorted(folder.glob("*.h5"))[0]
    with Shard(path) as shard:
        offsets = [int(shard.chunk_reader("video").table[clip, 0, 0]) for clip in clips]
    with path.open("r+b") as file:
        for offset in offsets:
            file.seek(offset)
            value = file.read(1)[0]
            file.seek(offset)
            file.write(bytes([value ^ 8]))
    return path
