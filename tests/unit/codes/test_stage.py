"""The stage: the same codes however the work is shared out, what is done stays done, and nothing is mixed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.unit.codes.making import STAGED, make_run
from tests.unit.shards.making import ODD, TINY, make_clip, make_dataset
from v2a.codes.__main__ import main
from v2a.codes.config import Config
from v2a.codes.encode import encode_clip
from v2a.codes.job import CodesJob
from v2a.codes.plan import make_plan
from v2a.codes.turns import Lead, Seat
from v2a.loading.codes import CodeDataset
from v2a.loading.dataset import as_float
from v2a.models.vqvae import VQVAE
from v2a.shards.code_reader import CodeShard
from v2a.shards.code_writer import write_code_shard
from v2a.shards.errors import DiskFull, ShardError
from v2a.shards.folder import shard_paths
from v2a.shards.manifest import read_manifest, write_manifest
from v2a.shards.reader import Shard
from v2a.shards.splits import Splits
from v2a.shards.writer import ShardWriter
from v2a.tasks import SerialTasks
from v2a.vqvae.load import load_vqvae

CPU = torch.device("cpu")


def _encode(run: Path, data: Path, out: Path, *flags: str) -> int:
    return main(["--workers", "0", *flags, f"model={run}", f"data={data}", f"out={out}"])


def _files(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(out.glob("codes-*"))}


def _refusal(capsys: pytest.CaptureFixture[str], *arguments: Path) -> str:
    capsys.readouterr()
    assert _encode(*arguments) == 1
    said = capsys.readouterr().err
    assert "codes: " in said
    return said


def test_codes_are_those_of_the_network(run: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert _encode(run, data, tmp_path / "out") == 0
    said = capsys.readouterr().err
    assert "encoded 30 clips" in said
    assert "of 16 codes used, perplexity" in said
    assert "0.0625 bit per pixel" in said  # 4 bits for 4x4x4
    model, _, identity = load_vqvae(run, CPU)
    seen = set()
    for path in shard_paths(data):
        with Shard(path) as clips, CodeShard(tmp_path / "out" / path.name.replace("clips-", "codes-")) as codes:
            assert codes.head.encoder == identity
            assert codes.frames.tolist() == [row.frames for row in clips.rows()]
            for clip in range(clips.clips):
                video = as_float(torch.from_numpy(clips.frames(clip)))[None]
                assert np.array_equal(codes.codes(clip), model.codes(video)[0].numpy())
                seen |= set(codes.codes(clip).ravel().tolist())
    assert len(seen) > 4, "codes that are all the same would prove nothing"


@pytest.mark.parametrize("threads", [1, 2])
def test_processes_and_threads_make_no_difference(threads: int, run: Path, data: Path, tmp_path: Path):
    before = torch.get_num_threads()
    assert _encode(run, data, tmp_path / "one") == 0
    torch.set_num_threads(threads)
    try:
        assert _encode(run, data, tmp_path / "threads") == 0
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert _files(tmp_path / "threads") == _files(tmp_path / "one")
    if threads == 2:
        assert main(["--workers", "2", f"model={run}", f"data={data}", f"out={tmp_path / 'two'}"]) == 0
        assert _files(tmp_path / "two") == _files(tmp_path / "one")
    assert len(_files(tmp_path / "one")) == 6


def test_codebooks_that_take_turns(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run = make_run(tmp_path / "staged", model=STAGED)
    assert _encode(run, data, tmp_path / "out") == 0
    assert "of 48 codes used" in capsys.readouterr().err
    with CodeShard(next((tmp_path / "out").glob("*.h5"))) as codes:
        assert (codes.head.group, codes.head.grid) == (3, (6, 2, 4))


def test_a_clip_is_encoded_alone_and_in_one_thread(
    run: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Both change the last bit of the encodings of large clips, and so now and then a code."""
    real, found = VQVAE.codes, set()

    def codes(model: VQVAE, video: torch.Tensor) -> torch.Tensor:
        found.add((len(video), torch.get_num_threads(), video.dtype))
        return real(model, video)

    monkeypatch.setattr(VQVAE, "codes", codes)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert _encode(run, data, tmp_path / "out") == 0
    finally:
        torch.set_num_threads(before)
    assert found == {(1, 1, torch.float32)}


def test_encoding_needs_evaluation_mode(run: Path):
    model = load_vqvae(run, CPU).model
    video = np.zeros((12, 8, 16, 3), np.uint8)
    assert encode_clip(model, video).shape == (3, 2, 4)
    with pytest.raises(ValueError, match="expected the model in evaluation mode"):
        encode_clip(model.train(), video)


# --- going on ---------------------------------------------------------------------------------------------------------


def test_the_same_again_encodes_what_is_missing(
    run: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "out"
    assert _encode(run, data, out) == 0
    before = _files(out)
    lost = sorted(out.glob("*.h5"))[2]
    lost.unlink()
    (out / "codes-w0-00001.99-aa.h5.tmp").write_bytes(b"of a killed run")
    stamps = {path: path.stat().st_mtime_ns for path in out.glob("*.h5")}
    capsys.readouterr()
    assert _encode(run, data, out) == 0
    said = capsys.readouterr().err
    assert "removed 1 unfinished" in said
    assert "5 clips in 1 shards to encode, 25 clips done before" in said
    assert _files(out) == before
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps


def test_an_export_goes_on_where_its_run_began(
    run: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    from v2a.export.__main__ import main as export

    assert _encode(run, data, tmp_path / "out") == 0
    assert export([str(run), "--out", str(tmp_path / "model")]) == 0
    next((tmp_path / "out").glob("*.h5")).unlink()
    assert _encode(tmp_path / "model", data, tmp_path / "out") == 0
    assert "25 clips done before" in capsys.readouterr().err


def test_more_clips_later(run: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert _encode(run, data, tmp_path / "out") == 0
    with ShardWriter(data, TINY, prefix="w1") as writer:
        writer.add(make_clip(100))
    write_manifest(data, TINY, {}, Splits())
    assert _encode(run, data, tmp_path / "out") == 0
    assert "1 clips in 1 shards to encode, 30 clips done before" in capsys.readouterr().err


def test_stopped_in_the_middle(run: Path, data: Path, tmp_path: Path):
    asked = iter([False] * 13 + [True] * 99)
    config = Config(model=str(run), data=str(data), out=str(tmp_path / "out"))
    result = SerialTasks().run(CodesJob(config), lambda: next(asked))
    assert result["stopped"] == 1
    assert 0 < len(_files(tmp_path / "out")) < 6
    assert all(name.endswith(".h5") for name in _files(tmp_path / "out"))
    assert _encode(run, data, tmp_path / "out") == 0
    assert _encode(run, data, tmp_path / "whole") == 0
    assert _files(tmp_path / "out") == _files(tmp_path / "whole")


def test_a_dry_run_writes_nothing(run: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert _encode(run, data, tmp_path / "out", "--dry-run") == 0
    assert "30 clips in 6 shards would be encoded, 0 clips are done" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


def test_a_shard_without_clips(run: Path, data: Path, tmp_path: Path):
    from tests.unit.shards.making import make_record

    with ShardWriter(data, TINY, prefix="w9") as writer:
        writer.end_video(make_record(77))
    write_manifest(data, TINY, {}, Splits())
    assert _encode(run, data, tmp_path / "out") == 0
    assert len(_files(tmp_path / "out")) == 7


# --- what does not belong together ------------------------------------------------------------------------------------


def test_another_encoder(run: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    other = make_run(tmp_path / "other", seed=3)
    assert _encode(run, data, tmp_path / "out") == 0
    before = _files(tmp_path / "out")
    next((tmp_path / "out").glob("*5.h5")).unlink()
    said = _refusal(capsys, other, data, tmp_path / "out")
    mine, theirs = load_vqvae(run, CPU).identity, load_vqvae(other, CPU).identity
    assert f"holds codes of the encoder {mine}, where {theirs} is wanted" in said
    assert len(_files(tmp_path / "out")) == len(before) - 1


def _change_a_pixel(data: Path) -> tuple[str, str]:
    """One value of one pixel of the first shard; every table stays the same. The shard's checksum before and after."""
    path = shard_paths(data)[0]
    with Shard(path) as shard:
        before, table = shard.checksum, shard.table_checksum
        clips, records = [shard.clip(number) for number in range(shard.clips)], shard.videos()
    path.unlink()
    clips[0].video[3, 2, 1, 0] ^= 1
    with ShardWriter(data, TINY, prefix="w0") as writer:
        for clip in clips:
            writer.add(clip)
        for record in records:
            writer.end_video(record)
    write_manifest(data, TINY, {}, Splits())
    with Shard(path) as shard:
        assert shard.table_checksum == table
        return before, shard.checksum


def test_other_clips(run: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert _encode(run, data, tmp_path / "out") == 0
    before, now = _change_a_pixel(data)
    said = _refusal(capsys, run, data, tmp_path / "out")
    assert before in said
    assert now in said
    assert "the clips are others now; move it away and run codes again" in said
    with pytest.raises(ShardError, match=f"{before}, but clips-w0-00000.h5 has {now}"):
        CodeDataset(tmp_path / "out", data)


def test_codes_that_count_other_frames(run: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert _encode(run, data, tmp_path / "out") == 0
    path = next((tmp_path / "out").glob("*.h5"))
    with CodeShard(path) as shard:
        codes = np.stack([shard.codes(clip) for clip in range(shard.clips)])
        write_code_shard(path, shard.head, codes, [1] * shard.clips)
    assert f"{path}: counts other real frames than" in _refusal(capsys, run, data, tmp_path / "out")
    with pytest.raises(ShardError, match="counts other real frames than"):
        CodeDataset(tmp_path / "out", data)


def test_another_geometry(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    make_dataset(tmp_path / "odd", 3, ODD)
    said = _refusal(capsys, run, tmp_path / "odd", tmp_path / "out")
    assert f"the model is for clips of {TINY}, but" in said
    assert str(ODD) in said


def test_damage(run: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "out"
    assert _encode(run, data, out) == 0
    path = next(out.glob("*.h5"))
    content = path.read_bytes()
    with CodeShard(path) as shard:
        place = int(shard._reader.table[1, 0, 0])
    path.write_bytes(content[:-20])
    assert f"{path}: is cut off" in _refusal(capsys, run, data, out)
    flipped = bytearray(content)
    flipped[place] ^= 1
    path.write_bytes(flipped)
    said = _refusal(capsys, run, data, out)
    assert f"{path}, clip 1: chunk 0 does not match its checksum" in said
    assert "to encode" not in said, "it is seen before the work"
    path.unlink()
    assert _encode(run, data, out) == 0
    assert path.read_bytes() == content


def test_a_damaged_clip_is_named_and_no_codes_of_it_are_written(
    run: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    path = shard_paths(data)[1]
    with Shard(path) as shard:
        place = int(shard.chunk_reader("video").table[2, 0, 0])
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    assert f"{path}, clip 2: chunk 0 does not match its checksum" in _refusal(capsys, run, data, tmp_path / "out")
    assert path.name.replace("clips-", "codes-") not in _files(tmp_path / "out")


def test_what_is_not_there(run: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert "is not there" in _refusal(capsys, tmp_path / "none", data, tmp_path / "out")
    assert "there is no such folder" in _refusal(capsys, run, tmp_path / "none", tmp_path / "out")
    assert "expected model=…, but it is empty" in _refusal(capsys, "", data, tmp_path / "out")  # type: ignore[arg-type]
    (tmp_path / "file").write_text("x")
    assert "Not a directory" in _refusal(capsys, run, data, tmp_path / "file")
    assert main(["modle=x"]) == 1
    assert "did you mean model?" in capsys.readouterr().err


@dataclass
class _Meddler:
    """A link between whose plan and work something happens."""

    job: CodesJob
    happens: Callable[[], object]

    def tasks(self) -> Iterator[object]:
        tasks = self.job.plan()
        self.happens()
        yield from tasks

    def durable(self) -> None: ...

    def count(self, counts: object) -> None: ...

    def should_stop(self) -> bool:
        return False


@pytest.mark.parametrize("what", ["model", "clips"])
def test_what_changes_during_the_work(what: str, run: Path, data: Path, tmp_path: Path):
    job = CodesJob(Config(model=str(run), data=str(data), out=str(tmp_path / "out")))
    before = load_vqvae(run, CPU).identity
    if what == "model":
        link = _Meddler(job, lambda: make_run(run, seed=8, step=20))  # it trains on
        reason = f"changed during the work: its encoder was {before} and is"
    else:
        link, reason = _Meddler(job, lambda: _change_a_pixel(data)), "the clips are others now"
    with pytest.raises(ValueError, match=reason):
        job.work(link)  # type: ignore[arg-type]
    assert "codes-w0-00000.h5" not in _files(tmp_path / "out")


def test_strays_are_named(run: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert _encode(run, data, tmp_path / "out") == 0
    shard_paths(data)[-1].unlink()
    write_manifest(data, TINY, {}, Splits())
    assert _encode(run, data, tmp_path / "out") == 0
    assert "codes-w0-00005.h5 belongs to no shard of the dataset" in capsys.readouterr().err


# --- whose turn it is -------------------------------------------------------------------------------------------------


def test_two_at_once(run: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    lead = Lead(tmp_path / "out")
    lead.take()
    said = _refusal(capsys, run, data, tmp_path / "out")
    assert f"another codes is at work in {tmp_path / 'out'} (" in said
    assert f"process {os.getpid()}" in said
    lead.give()
    assert _encode(run, data, tmp_path / "out") == 0


def test_seats_are_numbered_and_strays_are_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    lead = Lead(tmp_path)
    lead.take()
    lead.give()
    with Seat(tmp_path) as first, Seat(tmp_path) as second:
        assert (first.number, second.number) == (0, 1)
        monkeypatch.setattr("v2a.codes.turns._STRAY_S", 0.3)
        begun = time.monotonic()
        with pytest.raises(BlockingIOError, match="its workers are still ending"):
            lead.take()
        assert time.monotonic() - begun >= 0.3
        lead.give()
    lead.take()
    with Seat(tmp_path) as again:
        assert again.number == 0


def test_room_is_looked_at_before_the_work(run: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    class Full:
        f_bavail, f_frsize = 1, 512

    plan = make_plan(data, tmp_path / "out", load_vqvae(run, CPU))
    assert plan.bytes >= 30 * 2 * 24
    assert read_manifest(data).total.clips == plan.clips
    monkeypatch.setattr("os.statvfs", lambda path: Full)
    with pytest.raises(DiskFull, match="the codes take"):
        SerialTasks().run(CodesJob(Config(model=str(run), data=str(data), out=str(tmp_path / "out"))), lambda: False)
