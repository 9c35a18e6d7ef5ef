"""DataLoader with and without worker processes: the same batches, exact resumes, damage that reaches the caller."""

import itertools
import os
import signal
from pathlib import Path

import pytest
import torch

from tests.unit.loading.test_dataset import _damage
from tests.unit.shards.making import make_dataset
from v2a.loading.batch import whole_batch
from v2a.loading.dataset import ClipDataset
from v2a.loading.loader import make_loader
from v2a.loading.order import OrderedBatches, ShuffledBatches
from v2a.shards.errors import ShardError

Batch = dict[str, torch.Tensor]


def _take(
    folder: Path, steps: int, workers: int = 0, state: dict[str, object] | None = None, **world: int
) -> list[Batch]:
    dataset = ClipDataset(folder, "all", frames=4, seed=2)
    batches = ShuffledBatches(len(dataset), seed=1, identity=dataset.identity, **{"batch": 3} | world)
    if state:
        batches.load_state_dict(state)
    return list(itertools.islice(make_loader(dataset, batches, workers=workers), steps))


def _equal(one: list[Batch], other: list[Batch]) -> bool:
    return len(one) == len(other) and all(
        a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
        for a, b in zip(one, other, strict=True)
    )


def test_workers_make_no_difference(tmp_path: Path):
    make_dataset(tmp_path, 20)
    alone = _take(tmp_path, 25)
    assert alone[0]["video"].shape == (3, 4, 8, 16, 3)
    assert alone[0]["audio"].shape == (3, 160)
    assert _equal(_take(tmp_path, 25, workers=2), alone)
    assert not _equal(alone[:5], alone[5:10])


@pytest.mark.parametrize("workers", [0, 2])
def test_a_resume_in_the_middle_of_an_epoch_is_exact(tmp_path: Path, workers: int):
    make_dataset(tmp_path, 20)
    whole = _take(tmp_path, 20)
    dataset = ClipDataset(tmp_path, "all", frames=4, seed=2)
    batches = ShuffledBatches(len(dataset), seed=1, batch=3, identity=dataset.identity)
    used = []
    for batch in make_loader(dataset, batches, workers=workers):
        used.append(batch)
        batches.advance()
        if len(used) == 9:  # within the second epoch, while workers read ahead
            break
    state = batches.state_dict()
    assert (batches.epoch, batches.position) == (1, 7)
    assert _equal(used + _take(tmp_path, 11, workers, state), whole)
    # Three ranks continue with one clip each: the same clips in the same order.
    ranks = [_take(tmp_path, 11, 0, state, batch=1, rank=rank, world=3) for rank in range(3)]
    for step in range(11):
        for name in ("video", "audio", "clip", "start"):
            assert torch.equal(torch.cat([ranks[rank][step][name] for rank in range(3)]), whole[9 + step][name])


def test_validation_reads_every_clip(tmp_path: Path):
    make_dataset(tmp_path, 20)
    dataset = ClipDataset(tmp_path, "all")
    for _ in range(2):
        seen = [
            clip
            for rank in range(3)
            for batch in make_loader(dataset, OrderedBatches(len(dataset), batch=4, rank=rank, world=3), workers=rank)
            for clip in batch["clip"].tolist()
        ]
        assert seen == list(range(20))


@pytest.mark.parametrize("workers", [0, 1])
def test_damage_reaches_the_caller(tmp_path: Path, workers: int):
    make_dataset(tmp_path, 5)
    path = _damage(tmp_path, 2)
    dataset = ClipDataset(tmp_path, "all")
    loader = make_loader(dataset, OrderedBatches(5, batch=5), workers=workers)
    with pytest.raises(ShardError, match=f"{path}, clip 2: chunk 0 does not match"):
        list(loader)
    dataset = ClipDataset(tmp_path, "all", on_damage="skip")
    (batch,) = make_loader(dataset, OrderedBatches(5, batch=5), workers=workers)
    assert batch["clip"].tolist() == [0, 1, 3, 3, 4]
    assert int(batch["skipped"]) == 1


def test_workers_are_deaf_to_signals_for_training(tmp_path: Path):
    """Slurm's signals go to every process of a job; a worker that dies of one would take training along before it has saved."""
    make_dataset(tmp_path, 20)
    dataset = ClipDataset(tmp_path, "all")
    loader = iter(make_loader(dataset, ShuffledBatches(20, seed=0, batch=2), workers=2))
    next(loader), next(loader)  # one of each: both have begun
    for worker in loader._workers:
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT):
            os.kill(worker.pid, number)
    assert len(list(itertools.islice(loader, 20))) == 20
    assert all(worker.is_alive() for worker in loader._workers)


def test_files_opened_before_a_fork_are_not_used_after_it(tmp_path: Path):
    make_dataset(tmp_path, 20, compression="lz4")  # HDF5 stays open
    dataset = ClipDataset(tmp_path, "all", threads=2)
    expected = [dataset[clip]["video"].clone() for clip in range(20)]
    for batch in make_loader(dataset, OrderedBatches(20, batch=4), workers=2):
        for place, clip in enumerate(batch["clip"].tolist()):
            assert torch.equal(batch["video"][place], expected[clip])


def test_torchs_own_collation_works_too(tmp_path: Path):
    make_dataset(tmp_path, 6)
    dataset = ClipDataset(tmp_path, "all", frames=3)
    batch = next(iter(torch.utils.data.DataLoader(dataset, batch_size=4)))
    assert torch.equal(batch["video"], dataset.__getitems__(range(4)).batch["video"])
    with pytest.raises(TypeError, match="expected the samples of one ClipDataset"):
        whole_batch([dataset[0]])
