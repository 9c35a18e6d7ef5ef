"""What several ranks of stage `vqvae` do as one rank with the whole batch does; called on every rank with that rank's `Comm`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from tests.contracts.training import (
    KINDS,
    NETWORKS,
    SETTINGS,
    STEPS,
    Place,
    asked_after,
    changed,
    check_ranks_that_differ_are_found,
    left,
)
from v2a.comm import Comm, LocalComm
from v2a.loading.batch import whole_batch
from v2a.loading.dataset import ClipDataset
from v2a.loading.order import permutation
from v2a.models.make import make_vqvae
from v2a.stages import load_config
from v2a.vqvae.task import VQVAETask

# Flips and colours are drawn by each rank for itself.
_EACH = 2  # clips of a rank in a step
ALIKE = ("flip=false", "colours=0", "train.accumulate=1")
# After k-means each code is the mean of its encodings, where its gradient is zero: what is left would be rounding alone.
START = {"gradient": "quantizer.start=uniform", "ema": "quantizer.start=kmeans"}


def _gradients(place: Place, comm: Comm, clips: range, kind: str) -> dict[str, torch.Tensor]:
    """Averaged over the ranks of `comm`, of one loss over these clips of this rank."""
    config = load_config("vqvae", [*SETTINGS, *ALIKE, f"quantizer={kind}", START[kind], f"data={place.data}"])
    model = make_vqvae(config.model, config.quantizer, comm, 0)
    task = VQVAETask(model, torch.device("cpu"), config, fps=10)
    averaged = comm.wrap_optimizer(torch.optim.SGD(model.parameters(), lr=1.0), model.named_parameters())
    batch = whole_batch(ClipDataset(place.data, "train", frames=8, with_audio=False).__getitems__(list(clips)))
    task.loss(batch, 0)["loss"].backward()
    averaged.average()
    return {name: value.grad.clone() for name, value in model.named_parameters() if value.grad is not None}


def check_gradients_are_those_of_the_whole_batch(place: Place, kind: str) -> None:
    """The real network: both losses, the straight-through step, the start (k-means for EMA), and the codebook's own gradient.

    Tolerance: each number of a gradient is a sum of thousands of products in fp32 (unit 6e-8), in another order; 1e-5 of the
    largest of its tensor is some hundred units. Measured: at most 1.3e-6. A rank's own half differs by more than 1e-2.
    """
    comm, each = place.comm, _EACH
    mine = _gradients(place, comm, range(comm.rank * each, (comm.rank + 1) * each), kind)
    whole = _gradients(place, LocalComm(), range(comm.size * each), kind)
    half = _gradients(place, LocalComm(), range(each), kind)
    assert list(mine) == list(whole)
    assert ("quantizer.codebook" in mine) == (kind == "gradient")
    for name, gradient in whole.items():
        largest = float(gradient.abs().max())
        assert largest > 0
        assert float((mine[name] - gradient).abs().max()) <= 1e-5 * largest, name
        assert float((half[name] - gradient).abs().max()) > 1e-2 * largest, f"{name} shows nothing"


def check_steps_are_those_of_one_rank(place: Place, network: str) -> None:
    """Ten steps of the real stage, restarts included: weights, codebook and its statistics.

    AdamW divides a gradient by its own size, rounding included, so differences grow from 6e-8. Measured: 1.3e-7; one step is 1e-3.
    """
    size = place.comm.size
    settings = (*ALIKE, *NETWORKS[network], START.get(network, START["ema"]), "train.steps=10")
    place.train("ranks", *settings, "train.batch=2")
    out = place.folder / "ranks"
    alone = f"alone-{place.comm.rank}"
    place.train(alone, *settings, f"train.batch={2 * size}", comm=LocalComm())
    together, whole = (left(path, step=10)["state"]["model"] for path in (out, place.folder / alone))
    assert list(together) == list(whole)
    for name, value in whole.items():
        if value.is_floating_point():
            torch.testing.assert_close(together[name], value, rtol=1e-5, atol=2e-6, msg=lambda m: f"{name}: {m}")  # noqa: B023
        else:
            assert torch.equal(together[name], value), name
    place.comm.barrier()


def _watched(place: Place, name: str, seen: list[int], *settings: str, **how: Any) -> dict[str, float]:
    """Train, and note this rank's clips, batch by batch."""

    def note(result: Any, _task: VQVAETask, batch: dict[str, torch.Tensor], _step: int) -> Any:
        seen.extend(batch["clip"].tolist())
        return result

    with changed("loss", note):
        return place.train(name, *settings, **how)


def check_another_number_of_ranks_goes_on_in_the_same_order(place: Place, more: bool) -> None:
    """One rank, then all of them; or all, and then one: together they draw the one row of clips, each place of it once."""
    comm, alone = place.comm, LocalComm()
    before: list[int] = []
    after: list[int] = []
    one = f"alone-{comm.rank}"
    settings = ("train.accumulate=1", "train.validate_every=0")
    if more:
        _watched(place, one, before, *settings, comm=alone, should_stop=asked_after(9))
        place.copy("alone-0", "run")
        _watched(place, "run", after, *settings)
    else:
        _watched(place, "run", before, *settings, should_stop=asked_after(9))
        place.copy("run", one) if comm.rank == 0 else comm.barrier()
        if comm.rank == 0:
            _watched(place, one, after, *settings, comm=alone)
    clips = len(ClipDataset(place.data, "train", frames=8))
    row = [int(clip) for epoch in range(20) for clip in permutation(clips, 0, epoch)]
    first, second = (1, comm.size) if more else (comm.size, 1)
    if more or comm.rank == 0:
        assert before == _share(row, 0, 0 if more else comm.rank, first, 9)
        assert after == _share(row, 9 * first * _EACH, comm.rank if more else 0, second, len(after) // _EACH)
        assert len(after) == (STEPS - 9) * _EACH
        assert 9 * first * _EACH % clips, "the change of ranks lies inside an epoch"
    comm.barrier()


def _share(row: list[int], begin: int, rank: int, size: int, steps: int) -> list[int]:
    places = [begin + (step * size + rank) * _EACH + at for step in range(steps) for at in range(_EACH)]
    return [row[place] for place in places]


def check_a_rank_more_with_less_each_is_the_same_training(place: Place) -> None:
    """One rank with the whole batch, then all ranks with their shares of it: the weights of one rank that did it all."""
    comm, size = place.comm, place.comm.size
    settings = (*ALIKE, "train.steps=10", "train.validate_every=0")
    alone = f"alone-{comm.rank}"
    place.train(alone, *settings, f"train.batch={2 * size}", comm=LocalComm())
    place.train(
        f"begun-{comm.rank}", *settings, f"train.batch={2 * size}", comm=LocalComm(), should_stop=asked_after(4)
    )
    place.copy("begun-0", "run")
    place.train("run", *settings, "train.batch=2")
    found, expected = (left(place.folder / name, step=10)["state"]["model"] for name in ("run", alone))
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-5, atol=2e-6, msg=lambda m: f"{name}: {m}")  # noqa: B023
    comm.barrier()


CONTRACT: dict[str, Callable[[Place], None]] = {
    **{f"gradients {kind}": partial(check_gradients_are_those_of_the_whole_batch, kind=kind) for kind in KINDS},
    **{f"steps {name}": partial(check_steps_are_those_of_one_rank, network=name) for name in NETWORKS},
    "more ranks": partial(check_another_number_of_ranks_goes_on_in_the_same_order, more=True),
    "less ranks": partial(check_another_number_of_ranks_goes_on_in_the_same_order, more=False),
    "shares": check_a_rank_more_with_less_each_is_the_same_training,
    "ranks differ": check_ranks_that_differ_are_found,
}
