"""CodeDataset: the clips of ClipDataset by their codes, cut where the sound is cut."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.unit.codes.making import STAGED, make_run
from tests.unit.shards.making import TINY
from v2a.codes.__main__ import main
from v2a.loading.codes import CodeDataset
from v2a.loading.dataset import ClipDataset, as_float
from v2a.loading.loader import make_loader
from v2a.loading.order import OrderedBatches, ShuffledBatches
from v2a.shards.errors import ShardError
from v2a.vqvae.load import load_vqvae

CPU = torch.device("cpu")


@pytest.fixture(name="codes")
def codes_fixture(run: Path, data: Path, tmp_path: Path) -> Path:
    assert main(["--workers", "0", f"model={run}", f"data={data}", f"out={tmp_path / 'codes'}"]) == 0
    return tmp_path / "codes"


@pytest.mark.parametrize("split", ["train", "all"])
def test_the_same_clips_as_of_the_clip_dataset(split: str, run: Path, codes: Path, data: Path):
    ours, theirs = CodeDataset(codes, data, split), ClipDataset(data, split)
    model = load_vqvae(run, CPU).model
    assert (len(ours), ours.identity, ours.geometry) == (len(theirs), theirs.identity, TINY)
    assert len(ours) > 10
    for clip in range(len(ours)):
        mine, other = ours[clip], theirs[clip]
        assert torch.equal(mine["codes"], model.codes(as_float(other["video"][None]))[0])
        assert mine["codes"].dtype == torch.int64
        for name in ("audio", "clip", "start", "frames"):
            assert torch.equal(mine[name], other[name])
        assert ours.row(clip) == theirs.row(clip)


def test_crops_begin_at_codes_and_their_sound_with_them(codes: Path, data: Path):
    crops, whole = CodeDataset(codes, data, "all", frames=8, seed=4), CodeDataset(codes, data, "all")
    places = {clip: number for number, clip in enumerate(_keys(whole))}
    starts = set()
    for epoch in range(4):
        for number, key in enumerate(_keys(crops)):
            crop, clip = crops[epoch, number], whole[places[key]]
            start = int(crop["start"])
            starts.add(start)
            assert crop["codes"].shape == (2, 2, 4)
            assert torch.equal(crop["codes"], clip["codes"][start // 4 : start // 4 + 2])
            samples = slice(TINY.samples_until(start), TINY.samples_until(start + 8))
            assert torch.equal(crop["audio"], clip["audio"][samples])
            assert int(crop["frames"]) == 8
            assert start + 8 <= int(clip["frames"])
    assert starts == {0, 4}


def _keys(dataset: CodeDataset) -> list[tuple[str, float]]:
    return [(row.content, row.start_s) for row in map(dataset.row, range(len(dataset)))]


def test_crops_keep_together_what_belongs_together(data: Path, tmp_path: Path):
    run = make_run(tmp_path / "staged", model=STAGED)  # three steps of two frames
    assert main(["--workers", "0", f"model={run}", f"data={data}", f"out={tmp_path / 'codes'}"]) == 0
    dataset = CodeDataset(tmp_path / "codes", data, "all", frames=6)
    assert dataset.step == 6
    assert {int(dataset[epoch, clip]["start"]) for epoch in range(4) for clip in range(len(dataset))} == {0, 6}
    for frames in (2, 4, 8, 0, 18):
        with pytest.raises(ValueError, match="expected crops of a multiple of 6 frames up to 12"):
            CodeDataset(tmp_path / "codes", data, "all", frames=frames or -6)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_in_training_and_validation(workers: int, codes: Path, data: Path):
    dataset = CodeDataset(codes, data, "all", frames=4, seed=1)
    order = ShuffledBatches(len(dataset), seed=0, batch=7, identity=dataset.identity)
    seen: list[int] = []
    for batch in make_loader(dataset, order, workers=workers):
        order.advance()
        assert batch["codes"].shape == (7, 1, 2, 4)
        assert batch["audio"].shape == (7, TINY.samples_until(4))
        for place, clip in enumerate(batch["clip"].tolist()):
            epoch = (len(seen) + place) // len(dataset)
            assert torch.equal(batch["codes"][place], dataset[epoch, clip]["codes"])
        seen += batch["clip"].tolist()
        if order.epoch == 2:
            break
    assert sorted(seen[: len(dataset)]) == list(range(len(dataset)))
    whole = CodeDataset(codes, data, "all", with_audio=False)
    batches = list(make_loader(whole, OrderedBatches(len(whole), batch=4)))
    assert [clip for batch in batches for clip in batch["clip"].tolist()] == list(range(len(whole)))
    assert "audio" not in batches[0]


def test_filters_are_those_of_the_clip_dataset(codes: Path, data: Path):
    ours, theirs = CodeDataset(codes, data, "all", frames=12), ClipDataset(data, "all", frames=12)
    assert ours.left_out == theirs.left_out == {"short": 8, "silent": 0}
    with pytest.raises(IndexError, match=f"expected a clip from 0 to {len(ours) - 1}"):
        ours[len(ours)]


# --- what does not belong together ------------------------------------------------------------------------------------


def test_the_encoder_that_is_wanted(run: Path, codes: Path, data: Path):
    identity = load_vqvae(run, CPU).identity
    assert CodeDataset(codes, data, encoder=identity).head.encoder == identity
    with pytest.raises(ShardError, match=f"of the encoder {identity}, where 0123456789abcdef is wanted"):
        CodeDataset(codes, data, encoder="0123456789abcdef")


def test_codes_of_two_encoders(codes: Path, data: Path, tmp_path: Path):
    other = make_run(tmp_path / "other", seed=5)
    assert main(["--workers", "0", f"model={other}", f"data={data}", f"out={tmp_path / 'others'}"]) == 0
    (tmp_path / "others/codes-w0-00003.h5").replace(codes / "codes-w0-00003.h5")
    with pytest.raises(ShardError, match=r"codes-w0-00003\.h5: holds codes of the encoder"):
        CodeDataset(codes, data)


def test_codes_of_another_shard(codes: Path, data: Path):
    (codes / "codes-w0-00003.h5").replace(codes / "codes-w0-00001.h5")
    with pytest.raises(ShardError, match=r"holds codes of clips-w0-00003\.h5 .*but clips-w0-00001\.h5 has"):
        CodeDataset(codes, data)


def test_codes_that_are_missing_or_cut_off(codes: Path, data: Path):
    path = codes / "codes-w0-00002.h5"
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    with pytest.raises(ShardError, match=r"codes-w0-00002\.h5: is cut off"):
        CodeDataset(codes, data)
    path.unlink()
    with pytest.raises(ShardError, match=r"codes-w0-00002\.h5: is missing: .* is not encoded; run codes"):
        CodeDataset(codes, data)


def test_damage_while_reading_is_named(codes: Path, data: Path):
    dataset = CodeDataset(codes, data, "all")
    path = codes / "codes-w0-00002.h5"
    from v2a.shards.code_reader import CodeShard

    with CodeShard(path) as shard:
        place = int(shard._reader.table[3, 0, 0])
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(ShardError, match=r"codes-w0-00002\.h5, clip 3: chunk 0 does not match"):
        list(make_loader(dataset, OrderedBatches(len(dataset), batch=5)))
