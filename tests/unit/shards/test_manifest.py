"""The manifest counts what is there; splits follow from a video's group alone."""

import json
from pathlib import Path

import pytest

from tests.unit.shards.making import ODD, TINY, make_clip, make_dataset
from v2a.shards.errors import ShardError
from v2a.shards.manifest import read_manifest, write_manifest
from v2a.shards.splits import SPLITS, Splits, split_of
from v2a.shards.writer import ShardWriter


def test_the_manifest_counts_clips_videos_and_seconds(tmp_path: Path):
    labels = {0: "plane", 1: "plane", 2: "h\udc80lm", 3: "plane"}
    make_dataset(
        tmp_path, 12, each=lambda number: {"label": labels[number // 3], "frames": 12 if number % 3 < 2 else 5}
    )
    manifest = read_manifest(tmp_path)
    seconds = 4 * (1.2 + 1.2 + 0.5)
    assert (manifest.total.clips, manifest.total.videos, manifest.total.seconds) == (12, 4, pytest.approx(seconds))
    assert {name: counts.clips for name, counts in manifest.by_label.items()} == {"plane": 9, "h\udc80lm": 3}
    assert sum(counts.clips for counts in manifest.by_split.values()) == 12
    assert [(entry.name, entry.clips) for entry in manifest.shards] == [
        ("clips-w0-00000.h5", 5), ("clips-w0-00001.h5", 5), ("clips-w0-00002.h5", 2),
    ]  # fmt: skip
    assert all(entry.bytes == (tmp_path / entry.name).stat().st_size for entry in manifest.shards)
    assert (manifest.geometry, manifest.settings, manifest.splits) == (TINY, {"fit": "stretch"}, Splits())
    assert write_manifest(tmp_path, TINY, {"fit": "stretch"}, Splits()) == manifest
    assert not list(tmp_path.glob("*.tmp")) + list(tmp_path.glob(".*"))


def test_equal_clips_count_once(tmp_path: Path):
    """The same file under two names and in two groups, and clips of a run that was killed before their video was done."""
    make_dataset(tmp_path, 6)
    with ShardWriter(tmp_path, TINY, prefix="other") as writer:
        for number in range(4):
            writer.add(make_clip(number, source="/copy.mp4", group="another"))
    manifest = write_manifest(tmp_path, TINY, {}, Splits())
    assert manifest.total.clips == 6
    assert manifest.total.videos == 2
    assert sum(entry.clips for entry in manifest.shards) == 10


def test_clips_that_begin_together_and_differ_in_length_are_two(tmp_path: Path):
    tmp_path.mkdir(exist_ok=True)
    with ShardWriter(tmp_path, TINY, prefix="w") as writer:
        for frames, start_s in ((6, 0.0), (12, 0.0), (12, 0.0), (12, 1e-7), (12, 2e-6)):
            writer.add(make_clip(0, frames=frames, start_s=start_s, label=str(frames)))
    assert write_manifest(tmp_path, TINY, {}, Splits()).total.clips == 3


def test_one_content_is_in_one_split_whatever_its_groups(tmp_path: Path):
    """Shards of two folders, put together by hand."""
    with ShardWriter(tmp_path, TINY, prefix="w") as writer:
        for number in range(40):
            writer.add(make_clip(number, content="same", group=f"g{number:02}", start_s=float(number)))
    manifest = write_manifest(tmp_path, TINY, {}, Splits(0.3, 0.3))
    assert {name: counts.clips for name, counts in manifest.by_split.items() if counts.clips} == {
        split_of("g00", Splits(0.3, 0.3)): 40
    }


def test_an_empty_split_is_said(tmp_path: Path):
    make_dataset(tmp_path, 3)
    warnings = read_manifest(tmp_path).warnings
    assert len(warnings) == 2
    assert "the split validation is empty: there are too few videos (1) for a part of 0.1" in warnings
    make_dataset(tmp_path / "no", 3, splits=Splits(0, 0))
    assert read_manifest(tmp_path / "no").warnings == []


@pytest.mark.parametrize("splits", [Splits(), Splits(0.25, 0.5), Splits(0, 0.1), Splits(0, 0)])
def test_splits_have_their_parts_and_are_never_moved(splits: Splits):
    groups = [f"{number:032x}" for number in range(20_000)]
    before = {group: split_of(group, splits) for group in groups[:10_000]}
    counts = dict.fromkeys(SPLITS, 0)
    for group in groups:
        counts[split_of(group, splits)] += 1
    assert counts["validation"] == pytest.approx(20_000 * splits.validation, abs=300)
    assert counts["test"] == pytest.approx(20_000 * splits.test, abs=300)
    assert {group: split_of(group, splits) for group in groups[:10_000]} == before
    bigger = Splits(splits.validation + 0.05, splits.test)
    assert all(split_of(group, bigger) == name for group, name in before.items() if name != "train")


def test_splits_are_the_same_for_ever():
    """Written down: a change of this function would leak test videos into training."""
    groups = ["", "a", "b\udcff", "é", "00ff", "video 7", "x" * 1000, "9", "k", "rr"]
    letters = "".join(split_of(group, Splits(0.3, 0.3))[0] + split_of(group, Splits(0.3, 0.3))[1] for group in groups)
    assert letters == "trtrtetevatrtetevava"


@pytest.mark.parametrize("parts", [(-0.1, 0), (0, 1), (0.5, 0.5), (float("nan"), 0)])
def test_wrong_parts_are_refused(parts: tuple[float, float]):
    with pytest.raises(ValueError, match="expected"):
        Splits(*parts)


def test_a_shard_of_another_geometry_is_named(tmp_path: Path):
    make_dataset(tmp_path, 3)
    with ShardWriter(tmp_path, ODD, prefix="x") as writer:
        writer.add(make_clip(0, ODD))
    with pytest.raises(
        ShardError, match=r"clips-x-00000.h5: has clips of 6x10, 7 frames/s.*where the dataset has 16x8"
    ):
        write_manifest(tmp_path, TINY, {}, Splits())


def test_what_is_wrong_with_a_manifest_is_said(tmp_path: Path):
    with pytest.raises(ShardError, match="there is no such folder"):
        read_manifest(tmp_path / "none")
    with pytest.raises(ShardError, match="it has no shards either: is it a dataset"):
        read_manifest(tmp_path)
    make_dataset(tmp_path, 3)
    path = tmp_path / "dataset.json"
    text = path.read_text()
    for wrong in (
        "",
        "[]",
        "{}",
        text[:-20],
        "null",
        text.replace('"clips": 3', '"clips": 4'),
        text.replace("stretch", "crop"),
    ):
        path.write_text(wrong)
        with pytest.raises(ShardError, match=r"build it from the shards: python -m v2a\.shards index"):
            read_manifest(tmp_path)
    path.write_text(json.dumps(json.loads(text) | {"version": 2}))
    with pytest.raises(ShardError, match="version 2, this program reads 1"):
        read_manifest(tmp_path)
    path.unlink()
    with pytest.raises(ShardError, match=r"has no dataset\.json; build it from the shards"):
        read_manifest(tmp_path)
