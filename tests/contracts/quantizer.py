"""What every quantizer must do on any number of ranks; each function is called on every rank with that rank's `Comm`.

The reference is one rank with the whole batch, run beside it in the same process.
"""

from collections.abc import Callable, Iterator
from functools import partial

import pytest
import torch

from v2a.comm import Comm, LocalComm
from v2a.models.staged import StagedQuantizer
from v2a.quantize.base import Quantized, Quantizer
from v2a.quantize.config import Settings
from v2a.quantize.make import make_quantizer
from v2a.training.agreement import ranks_agree

DIM, CODES, CLIPS, GRID = 6, 40, 2, (3, 5, 7)
STEPS = 12
_GROUP = 3
# decay 0.5 and a high limit: codes die within a few steps of the cluster that they came from.
RESTARTING = {
    kind: Settings(kind, CODES, start="kmeans", decay=0.5, restart_below=0.1, lr_factor=1.0)
    for kind in ("ema", "gradient")
}
SETTINGS = {
    **RESTARTING,
    "paper": Settings("gradient", CODES, start="uniform", restart_below=0.0),
    "uniform": Settings("ema", CODES, start="uniform", decay=0.5, restart_below=0.1),
}


def whole_batch(step: int, size: int) -> torch.Tensor:
    """Clips of all ranks, [CLIPS * size, DIM, …]: three clusters of which each step sees two, so that codes fall out of use."""
    random = torch.Generator().manual_seed(step)
    centres = 1.5 * torch.eye(3, DIM)
    noise = 0.3 * torch.randn((CLIPS * size, DIM, *GRID), generator=random)
    which = (torch.randint(0, 2, (CLIPS * size, *GRID), generator=random) + step // 4) % 3
    return noise + centres[which].movedim(-1, 1)


def share(batch: torch.Tensor, comm: Comm) -> torch.Tensor:
    """This rank's clips."""
    each = len(batch) // comm.size
    return batch[comm.rank * each : (comm.rank + 1) * each]


class Trained:
    """A quantizer with the optimizer that its codebook needs, if any.

    SGD, whose step is as exact as its gradient; AdamW divides tiny gradients by their own size, rounding included.
    """

    def __init__(self, settings: Settings, comm: Comm) -> None:
        self.quantizer: Quantizer = make_quantizer(settings, DIM, comm, seed=3)
        self.averaged = None
        named = list(self.quantizer.named_parameters())
        if named:
            optimizer = torch.optim.SGD([parameter for _, parameter in named], lr=8.0)
            self.averaged = comm.wrap_optimizer(optimizer, named)

    def step(self, z: torch.Tensor) -> Quantized:
        """One training step."""
        found = self.quantizer(z.clone().requires_grad_())
        if self.averaged is not None:
            self.averaged.optimizer.zero_grad()
            found.loss.backward()
            self.averaged.average()
            with self.averaged.stepping():
                self.averaged.optimizer.step()
        return found


def _pairs(settings: Settings, comm: Comm) -> Iterator[tuple[int, Trained, Quantized, Trained, Quantized]]:
    """Step by step: this rank with its share, and one rank with the whole batch."""
    ours, alone = Trained(settings, comm), Trained(settings, LocalComm())
    for step in range(STEPS):
        batch = whole_batch(step, comm.size)
        yield step, ours, ours.step(share(batch, comm)), alone, alone.step(batch)


def _restarted(quantizer: Quantizer, batch: torch.Tensor) -> dict[int, int]:
    """Code → number of the encoding that it is at, bit for bit."""
    encodings = batch.flatten(2).transpose(1, 2).reshape(-1, DIM)
    equal = (quantizer.codebook.detach().unsqueeze(1) == encodings).all(2).nonzero()
    return {int(code): int(number) for code, number in equal}


def check_codebook_is_that_of_one_rank(comm: Comm, name: str) -> None:
    """After every step the codebook that one rank with the whole batch has; loss and codes too."""
    for step, ours, found, alone, reference in _pairs(SETTINGS[name], comm):
        mean_loss = comm.all_reduce(found.loss.detach()) / comm.size
        torch.testing.assert_close(mean_loss, reference.loss.detach(), rtol=1e-6, atol=0)
        assert torch.equal(found.codes, share(reference.codes, comm))
        # EMA: averages are float64, and their order of summation shows in float32 once in some 1e8 numbers, as one unit in the last
        # place (2.4e-7 below 4). Gradient: float32 averages of steps below 1, 12 of them.
        tolerance = 2.4e-7 if ours.averaged is None else 2e-6
        mine, theirs = ours.quantizer, alone.quantizer
        torch.testing.assert_close(mine.codebook, theirs.codebook, rtol=0, atol=tolerance, msg=lambda m: f"{step}: {m}")  # noqa: B023
        torch.testing.assert_close(mine.use, theirs.use, rtol=1e-12, atol=0)
        assert torch.equal(mine.used, theirs.used)
        assert ranks_agree(mine, comm)


def check_start_is_that_of_one_rank(comm: Comm, kind: str) -> None:
    """k-means of the same encodings, so bit for bit the same codebook, before anything moves it."""
    batch = whole_batch(0, comm.size)
    ours, alone = (make_quantizer(RESTARTING[kind], DIM, each, seed=3) for each in (comm, LocalComm()))
    before = ours.codebook.detach().clone()
    for quantizer, z in ((ours, share(batch, comm)), (alone, batch)):
        quantizer._begin([z.flatten(2)])
    assert torch.equal(ours.codebook, alone.codebook)
    assert torch.equal(ours.use, alone.use)
    assert not torch.isclose(ours.codebook.detach(), before).any()
    assert float(ours.use.sum()) == pytest.approx(batch[:, 0].numel(), rel=0.05)


def check_a_start_from_many_batches_is_that_of_one_rank(comm: Comm, kind: str) -> None:
    """The same codebook bit for bit, of all batches but the spoiled one; a second start changes nothing."""
    batches = [whole_batch(step, comm.size) for step in range(5)]
    spoiled = whole_batch(5, comm.size)
    spoiled[-1, 0] = torch.inf  # of the last rank alone
    ours, alone = (make_quantizer(RESTARTING[kind], DIM, each, seed=3) for each in (comm, LocalComm()))
    assert ours.wanted() == -(-alone.wanted() // comm.size) > 0
    ours.begin([share(batch, comm) for batch in (*batches[:2], spoiled, *batches[2:])])
    alone.begin(batches)
    assert torch.equal(ours.codebook, alone.codebook)
    torch.testing.assert_close(ours.use, alone.use, rtol=1e-12, atol=0)
    assert float(ours.use.sum()) == pytest.approx(batches[0][:, 0].numel(), rel=0.05), "as often as in one step"
    started = ours.codebook.detach().clone()
    assert ours.wanted() == 0
    ours.begin([share(spoiled, comm)])
    assert torch.equal(ours.codebook, started)
    assert ranks_agree(ours, comm)


def check_restarts_are_those_of_one_rank(comm: Comm, kind: str) -> None:
    """The same codes restart in the same step at the same encodings, of every rank's share."""
    numbers: list[int] = []
    ours = Trained(RESTARTING[kind], comm)
    alone = Trained(RESTARTING[kind], LocalComm())
    for step in range(STEPS):
        batch = whole_batch(step, comm.size)
        # Without the optimizer's step, which moves what has just restarted.
        ours.quantizer(share(batch, comm))
        alone.quantizer(batch)
        restarted = _restarted(ours.quantizer, batch)
        assert restarted == _restarted(alone.quantizer, batch)
        numbers += restarted.values()
    owners = {number * comm.size // batch[:, 0].numel() for number in numbers}
    assert owners == set(range(comm.size))
    assert len(numbers) >= 10


def check_a_spoiled_batch_is_left_out(comm: Comm, kind: str) -> None:
    """NaN, infinity, or numbers whose squares overflow, on the last rank alone: no rank's codebook or statistics change."""
    trained = Trained(RESTARTING[kind], comm).quantizer
    for step in range(STEPS):
        trained(share(whole_batch(step, comm.size), comm))
        if len(trained._dead()):
            break
    assert len(trained._dead())  # a restart is due
    before = {name: value.clone() for name, value in trained.state_dict().items()}
    for poison in (torch.nan, torch.inf, -torch.inf, 1e30):
        z = share(whole_batch(5, comm.size), comm).clone()
        if comm.rank == comm.size - 1:
            z[0, 2, 1, 1, 1] = poison
        trained(z)
        for name, value in trained.state_dict().items():
            assert name == "updates" or torch.equal(value, before[name]), (poison, name)
    trained(share(whole_batch(5, comm.size), comm))
    assert not torch.equal(trained.used, before["used"])
    assert ranks_agree(trained, comm)


def check_it_starts_from_the_first_sound_batch(comm: Comm, kind: str) -> None:
    """A first batch that is spoiled on one rank starts nothing, on all."""
    quantizer = make_quantizer(RESTARTING[kind], DIM, comm)
    before = quantizer.codebook.detach().clone()
    z = share(whole_batch(0, comm.size), comm).clone()
    if comm.rank == comm.size - 1:
        z[-1, 0, 0, 0, 0] = torch.nan
    quantizer(z)
    assert not bool(quantizer.initialised)
    assert torch.equal(quantizer.codebook, before)
    assert quantizer.usage() == 0.0
    quantizer(share(whole_batch(1, comm.size), comm))
    assert bool(quantizer.initialised)
    assert not torch.equal(quantizer.codebook, before)
    assert ranks_agree(quantizer, comm)


def check_usage_is_of_all_ranks(comm: Comm, kind: str) -> None:
    """Rank r's encodings are all code r's and code K - 1's, half and half."""
    quantizer = make_quantizer(Settings(kind, CODES, start="uniform", restart_below=0.0), DIM, comm)
    with torch.no_grad():
        quantizer.codebook.copy_(torch.arange(float(CODES)).unsqueeze(1).expand(CODES, DIM))
    z = torch.full((2, DIM, 3), float(comm.rank))
    z[1] = CODES - 1
    found = quantizer(z)
    assert found.codes.tolist() == [[comm.rank] * 3, [CODES - 1] * 3]
    used = comm.size + 1
    # Shares 1 / (2 n) of n codes and 1/2 of one.
    assert quantizer.usage() == pytest.approx(used / CODES)
    assert quantizer.perplexity() == pytest.approx((2 * comm.size) ** 0.5 * 2**0.5)
    assert quantizer.used.tolist()[: comm.size] == [3] * comm.size
    quantizer.reset_usage()
    assert (quantizer.usage(), quantizer.perplexity()) == (0.0, 0.0)


def check_resumed_in_the_middle_it_goes_on_bit_for_bit(comm: Comm, kind: str) -> None:
    """State after any number of steps, the first included, into a new quantizer: all that follows is equal."""
    for pause in (1, 5, 6):
        straight, interrupted = (make_quantizer(RESTARTING[kind], DIM, comm) for _ in range(2))
        for step in range(STEPS):
            z = share(whole_batch(step, comm.size), comm)
            if step == pause:
                state = interrupted.state_dict()
                interrupted = make_quantizer(RESTARTING[kind], DIM, comm)
                interrupted.load_state_dict(state)
            assert torch.equal(straight(z).vectors, interrupted(z).vectors)
        for name, value in straight.state_dict().items():
            assert torch.equal(value, interrupted.state_dict()[name]), (pause, name)


def check_evaluation_changes_nothing(comm: Comm, kind: str) -> None:
    """And talks to nobody: only rank 0 evaluates."""
    quantizer = make_quantizer(RESTARTING[kind], DIM, comm)
    quantizer(share(whole_batch(0, comm.size), comm))
    before = {name: value.clone() for name, value in quantizer.state_dict().items()}
    quantizer.eval()
    if comm.rank == 0:
        found = quantizer(whole_batch(9, 1))
        assert torch.equal(quantizer.codes_to_vectors(found.codes), found.vectors)
    assert all(torch.equal(value, before[name]) for name, value in quantizer.state_dict().items())


def check_unequal_shares_raise_on_all_ranks(comm: Comm, kind: str) -> None:
    """In the first step and later; with one rank there is nobody to differ from."""
    if comm.size == 1:
        return
    fresh, started = (make_quantizer(RESTARTING[kind], DIM, comm) for _ in range(2))
    started(share(whole_batch(0, comm.size), comm))
    for quantizer in (fresh, started):
        with pytest.raises(ValueError, match="expected equal shares of the batch on all"):
            quantizer(torch.ones(1, DIM, 4 + comm.rank))


def check_stages_are_those_of_one_rank(comm: Comm, kind: str) -> None:
    """Codebooks that refine each other, starts and restarts included: a stage sees what those before it left, on every rank.

    Rounding of the first stage is in what the second one sees; a code that is nearly as far as another would then differ, so the
    codebooks are compared, within what steps of 1 would show by far.
    """
    ours, alone = (StagedQuantizer(RESTARTING[kind], DIM, _GROUP, each, seed=3) for each in (comm, LocalComm()))
    for step in range(STEPS):
        batch = whole_batch(step, comm.size)[:, :, :1].repeat_interleave(_GROUP, 2)
        found, reference = ours(share(batch, comm)), alone(batch)
        assert torch.equal(found.codes, share(reference.codes, comm))
        assert ranks_agree(ours, comm)
    for mine, theirs in zip(ours.stages, alone.stages, strict=True):
        torch.testing.assert_close(mine.codebook, theirs.codebook, rtol=0, atol=1e-6)
        assert torch.equal(mine.used, theirs.used)
    assert not torch.allclose(ours.stages[0].codebook, ours.stages[1].codebook)


_EACH: tuple[Callable[[Comm, str], None], ...] = (
    check_stages_are_those_of_one_rank,
    check_start_is_that_of_one_rank,
    check_a_start_from_many_batches_is_that_of_one_rank,
    check_restarts_are_those_of_one_rank,
    check_a_spoiled_batch_is_left_out,
    check_it_starts_from_the_first_sound_batch,
    check_usage_is_of_all_ranks,
    check_resumed_in_the_middle_it_goes_on_bit_for_bit,
    check_evaluation_changes_nothing,
    check_unequal_shares_raise_on_all_ranks,
)

CONTRACT: dict[str, Callable[[Comm], None]] = {
    **{
        f"{check_codebook_is_that_of_one_rank.__name__}[{name}]": partial(check_codebook_is_that_of_one_rank, name=name)
        for name in SETTINGS
    },
    **{f"{check.__name__}[{kind}]": partial(check, kind=kind) for check in _EACH for kind in RESTARTING},
}
