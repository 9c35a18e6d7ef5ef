"""The global order: exact epochs, no overlap and no loss between ranks, and the same after a resume at any step and world size."""

import collections
import itertools
import random

import numpy as np
import pytest

from v2a.loading.order import Draw, OrderedBatches, ShuffledBatches, crop_starts, permutation


def _run(  # noqa: PLR0917
    clips: int, world: int, batch: int, steps: int, seed: int = 0, seen: int = 0
) -> list[Draw]:
    """What all ranks see in so many steps, in the global order."""
    state = ShuffledBatches(clips, seed=seed, batch=1).state_dict() | {"samples_seen": seen}
    ranks = []
    for rank in range(world):
        batches = ShuffledBatches(clips, seed=seed, batch=batch, rank=rank, world=world)
        batches.load_state_dict(state)
        ranks.append(list(itertools.islice(batches, steps)))
        assert all(len(step) == batch for step in ranks[-1])
    return [draw for step in range(steps) for rank in range(world) for draw in ranks[rank][step]]


def test_epochs_are_exact_for_any_world():
    draw = random.Random(0)
    for _ in range(60):
        clips, world, batch, seed = draw.randint(1, 40), draw.randint(1, 6), draw.randint(1, 5), draw.randint(-5, 2**70)
        epochs = 4
        steps = -(-clips * epochs // (world * batch))
        seen = _run(clips, world, batch, steps, seed)
        for epoch in range(epochs):
            of_epoch = seen[epoch * clips : (epoch + 1) * clips]
            assert {draw.epoch for draw in of_epoch} == {epoch}
            assert sorted(draw.clip for draw in of_epoch) == list(range(clips))


def test_a_resume_continues_exactly_also_with_another_world():
    draw = random.Random(1)
    for _ in range(60):
        clips, seed = draw.randint(1, 50), draw.randint(0, 9)
        whole = _run(clips, 1, 1, 200, seed)
        world, batch, steps = draw.randint(1, 4), draw.randint(1, 5), draw.randint(0, 9)
        first = ShuffledBatches(clips, seed=seed, batch=batch, world=world)
        for _ in range(steps):
            first.advance()
        seen = first.samples_seen
        assert seen == steps * world * batch
        other_world, other_batch = draw.randint(1, 4), draw.randint(1, 5)
        more = 20 // (other_world * other_batch)
        rest = _run(clips, other_world, other_batch, more, seed, seen)
        assert _run(clips, world, batch, steps, seed) + rest == whole[: seen + len(rest)]


def test_permutations_are_fair_and_differ():
    places = np.zeros((6, 6))
    for epoch in range(3000):
        order = permutation(6, 7, epoch)
        assert sorted(order) == list(range(6))
        places[np.arange(6), order] += 1
    assert np.abs(places / 500 - 1).max() < 0.25  # each clip as often in each place: 5 standard deviations
    orders = {tuple(permutation(50, seed, epoch)) for seed in range(20) for epoch in range(20)}
    assert len(orders) == 400


def test_the_order_is_the_same_for_ever():
    """Written down: a resumed run would see other clips if this changed."""
    assert permutation(10, 3, 2).tolist() == [2, 4, 9, 0, 5, 8, 7, 3, 1, 6]
    assert crop_starts([Draw(2, 5), Draw(3, 5), Draw(2, 6)], np.array([84, 84, 84]), 3).tolist() == [44, 46, 42]


def test_a_million_clips_are_shuffled_each_once():
    order = np.asarray(permutation(1_000_000, 0, 1))
    assert len(order) == 1_000_000
    assert np.array_equal(np.sort(order), np.arange(1_000_000))
    assert not np.array_equal(order, np.arange(1_000_000))


def test_crops_depend_on_seed_epoch_and_clip_alone():
    draws = [Draw(epoch, clip) for epoch in range(4) for clip in range(300)]
    room = np.full(len(draws), 84)
    together = crop_starts(draws, room, 5)
    assert [int(crop_starts([draw], np.array([84]), 5)[0]) for draw in draws] == together.tolist()
    counts = collections.Counter(together.tolist())
    assert set(counts) == set(range(85))  # every place is used, both ends included
    assert max(counts.values()) < 40  # 14 expected
    assert (crop_starts(draws, room, 6) != together).mean() > 0.95
    assert (together[:300] != together[300:600]).mean() > 0.95
    assert crop_starts(draws, np.zeros(len(draws), np.int64), 5).max() == 0


def test_progress_is_counted_by_steps_that_were_used():
    batches = ShuffledBatches(10, seed=0, batch=2, rank=1, world=2)
    ahead = iter(batches)
    fetched = [next(ahead) for _ in range(5)]  # a loader that reads ahead
    assert (batches.epoch, batches.position, batches.samples_seen) == (0, 0, 0)
    batches.advance(3)
    assert (batches.epoch, batches.position, batches.samples_seen) == (1, 2, 12)
    assert next(iter(batches)) == fetched[3]


def test_a_state_of_another_order_is_refused():
    batches = ShuffledBatches(10, seed=1, batch=2, identity="abc")
    batches.advance(3)
    state = batches.state_dict()
    same = ShuffledBatches(10, seed=1, batch=5, world=3, identity="abc")
    same.load_state_dict(state)
    assert same.state_dict() == state
    for settings, text in (
        ({"seed": 2}, "the seed was 1 and is 2"),
        ({"clips": 11}, "a dataset of so many clips was 10 and is 11"),
        ({"identity": "x"}, "the dataset was 'abc' and is 'x'"),
    ):
        other = ShuffledBatches(**{"clips": 10, "seed": 1, "batch": 2, "identity": "abc"} | settings)
        with pytest.raises(ValueError, match=text):
            other.load_state_dict(state)
        assert other.samples_seen == 0
    for wrong in ({}, {**state, "more": 1}, {**state, "samples_seen": -1}, {**state, "samples_seen": 1.5}):
        with pytest.raises(ValueError, match="expected"):
            batches.load_state_dict(wrong)


def test_validation_sees_every_clip_once():
    for clips, world, batch in itertools.product((0, 1, 5, 16, 17), (1, 2, 3, 7), (1, 4, 20)):
        ranks = [list(OrderedBatches(clips, batch=batch, rank=rank, world=world)) for rank in range(world)]
        seen = [draw for rank in ranks for step in rank for draw in step]
        assert seen == [Draw(0, clip) for clip in range(clips)]
        counts = [sum(map(len, rank)) for rank in ranks]
        assert max(counts) - min(counts) <= 1
        assert [len(OrderedBatches(clips, batch=batch, rank=rank, world=world)) for rank in range(world)] == [
            len(rank) for rank in ranks
        ]


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"clips": 0}, "at least one clip to train on"),
        ({"batch": 0}, "a batch of at least one clip, but got batch=0"),
        ({"rank": 2, "world": 2}, "a rank from 0 to 1, but got rank=2"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, int], text: str):
    with pytest.raises(ValueError, match=text):
        ShuffledBatches(**{"clips": 5, "seed": 0, "batch": 2} | settings)
