"""Known encodings, codebooks and gradients, worked out by hand or by the textbook's formula."""

import pytest
import torch

from v2a.comm import LocalComm
from v2a.quantize.base import Quantizer
from v2a.quantize.config import PAPER, Settings
from v2a.quantize.make import make_quantizer

BETA = 0.25


def _check_close(actual: torch.Tensor, expected: torch.Tensor, rtol: float = 1e-12, atol: float = 0.0) -> None:
    assert actual.dtype == expected.dtype
    assert torch.allclose(actual, expected, rtol=rtol, atol=atol), (actual, expected)


def quantizer_of(rows: list[list[float]], kind: str = "gradient", **settings: float) -> Quantizer:
    """A quantizer with this codebook, which does not restart codes."""
    made = make_quantizer(
        Settings(kind, len(rows), start="uniform", restart_below=0.0, **settings),  # type: ignore[arg-type]
        len(rows[0]),
        LocalComm(),
    )
    with torch.no_grad():
        made.codebook.copy_(torch.tensor(rows))
        if kind == "ema":
            made.sums.copy_(made.codebook)
    return made


def columns(*encodings: tuple[float, ...]) -> torch.Tensor:
    """Encodings as one clip, [1, D, S, 1, 1]."""
    return torch.tensor(encodings).t().reshape(1, len(encodings[0]), len(encodings), 1, 1)


SQUARE = [[0.0, 0.0], [2.0, 0.0], [0.0, 2.0], [2.0, 2.0]]
THREE = ((0.5, 0.25), (1.75, 1.5), (0.25, 1.0))  # the last is as near to code 0 as to code 2


@pytest.mark.parametrize("kind", ["gradient", "ema"])
def test_known_encodings_get_their_codes(kind: str):
    found = quantizer_of(SQUARE, kind).eval()(columns(*THREE))
    assert found.codes.tolist() == [[[[0]], [[3]], [[0]]]]
    assert found.codes.dtype == torch.int64
    assert torch.equal(found.vectors, columns((0, 0), (2, 2), (0, 0)).float())


def test_loss_is_that_of_the_equation():
    # Squares: 0.25 + 0.0625, 0.0625 + 0.25, 0.0625 + 1, of six numbers.
    mean = (0.3125 + 0.3125 + 1.0625) / 6
    for kind, weight in (("gradient", 1 + BETA), ("ema", BETA)):
        found = quantizer_of(SQUARE, kind)(columns(*THREE))
        assert found.loss.item() == pytest.approx(weight * mean, rel=1e-7)
        assert float(found.error) == pytest.approx(mean, rel=1e-7)
        assert not found.error.requires_grad


@pytest.mark.parametrize("kind", ["gradient", "ema"])
def test_gradient_of_vectors_passes_straight_through(kind: str):
    z = columns(*THREE).requires_grad_()
    arriving = torch.randn(z.shape, generator=torch.Generator().manual_seed(0))
    quantizer = quantizer_of(SQUARE, kind)
    quantizer(z).vectors.backward(arriving)
    assert torch.equal(z.grad, arriving)
    assert quantizer.codebook.grad is None


@pytest.mark.parametrize("kind", ["gradient", "ema"])
def test_gradient_of_the_loss_by_hand(kind: str):
    z = columns(*THREE).requires_grad_()
    quantizer = quantizer_of(SQUARE, kind)
    quantizer(z).loss.backward()
    # Encodings: 2 beta (z - e) / 6.
    expected = [[2 * BETA * value / 6 for value in pair] for pair in ((0.5, 0.25), (-0.25, -0.5), (0.25, 1.0))]
    _check_close(z.grad, columns(*map(tuple, expected)), rtol=1e-7, atol=0)
    if kind == "gradient":  # codes: 2 sum (e - z) / 6
        pulls = [[-0.75, -1.25], [0, 0], [0, 0], [0.25, 0.5]]
        _check_close(quantizer.codebook.grad, torch.tensor(pulls) / 3, rtol=1e-7, atol=0)


@pytest.mark.parametrize("batch", [1, 3])
def test_gradients_are_those_of_the_textbook(batch: int):
    """Autograd through the equation as it is written, with stop-gradients."""
    torch.manual_seed(1)
    quantizer = make_quantizer(Settings("gradient", 70, start="uniform"), 5, LocalComm())
    with torch.no_grad():
        quantizer.codebook.normal_()
    z = torch.randn(batch, 5, 3, 4, 6, requires_grad=True)
    target = torch.randn(z.shape)
    found = quantizer.eval()(z)
    ((found.vectors - target).square().sum() + 3 * found.loss).backward()
    ours = (z.grad, quantizer.codebook.grad)
    z.grad = quantizer.codebook.grad = None
    flat = z.movedim(1, -1)
    e = quantizer.codebook[torch.cdist(flat.reshape(-1, 5), quantizer.codebook).argmin(1)].view(flat.shape)
    loss = (flat.detach() - e).square().mean() + BETA * (flat - e.detach()).square().mean()
    through = (flat + (e - flat).detach()).movedim(-1, 1)
    ((through - target).square().sum() + 3 * loss).backward()
    _check_close(found.loss, loss, rtol=1e-6, atol=0)
    _check_close(ours[0], z.grad, rtol=1e-5, atol=1e-6)
    _check_close(ours[1], quantizer.codebook.grad, rtol=1e-5, atol=1e-7)


def test_the_gradient_of_a_settled_codebook_is_not_rounding():
    """Code and mean of its encodings differ by a millionth of them; the sums of 4,096 float32 would differ by their rounding."""
    z = torch.full((1, 1, 4096), 1000.0)
    z[0, 0, ::2] += 2**-14  # exact in float32; the sum is not
    quantizer = quantizer_of([[1000.0], [0.0]])
    quantizer(z).loss.backward()
    assert quantizer.codebook.grad[0].item() == pytest.approx(-2 * 2**-15, rel=1e-6)


def test_ema_moves_by_the_equations():
    """Appendix A.1, two steps by hand, decay 0.75."""
    quantizer = quantizer_of([[0.0], [4.0], [100.0]], "ema", decay=0.75)
    quantizer.initialised.fill_(True)
    quantizer(torch.tensor([[[1.0, 2.0, 3.0]]]))
    # Code 0: N = 0.75 + 0.25 * 2 (of 1 and 2; 2 is a tie), m = 0 + 0.25 * 3. Code 1: N = 1, m = 3 + 0.25 * 3. Code 2: N = 0.75.
    _check_close(quantizer.use, torch.tensor([1.25, 1.0, 0.75], dtype=torch.float64))
    _check_close(quantizer.codebook, torch.tensor([[0.6], [3.75], [100.0]]), rtol=1e-7, atol=0)
    quantizer(torch.tensor([[[2.0, 2.0, 2.0]]]))
    _check_close(
        quantizer.codebook,
        torch.tensor([[(0.75 * 0.75 + 0.25 * 6) / (0.75 * 1.25 + 0.75)], [3.75], [100.0]]),
        rtol=1e-6,
        atol=0,
    )


def test_codes_that_are_never_used_stay_where_they_are():
    quantizer = quantizer_of([[0.0], [7.3]], "ema", decay=0.5)
    quantizer.initialised.fill_(True)
    for _ in range(1500):  # 0.5^1500 is 0 in float64
        quantizer(torch.full((1, 1, 4), 0.1))
    assert quantizer.use[1] == 0
    assert quantizer.codebook[1] == torch.tensor(7.3)
    assert quantizer.codebook[0] == torch.tensor(0.1)


def test_of_equally_near_codes_the_lowest_wins():
    """Across groups and within one; the same rows at 1, 63, 64, 130 and 199."""
    codebook = torch.randn(200, 3, generator=torch.Generator().manual_seed(0)) + 10
    same = [1, 63, 64, 130, 199]
    for first in range(len(same)):
        codebook[same[first:]] = torch.tensor([1.0, -2.0, 0.5])
        codebook[same[:first]] = 20.0
        found = quantizer_of(codebook.tolist()).eval()(columns((1.1, -2.0, 0.5), (1.0, -2.0, 0.5)))
        assert found.codes.flatten().tolist() == [same[first]] * 2


@pytest.mark.parametrize("codes", [2, 63, 64, 65, 500, 4096])
def test_every_size_of_codebook_finds_the_nearest(codes: int):
    """By distances in float64; where two differ by less than float32 shows, either."""
    random = torch.Generator().manual_seed(codes)
    rows = torch.randn(codes, 8, generator=random)
    z = torch.randn(2, 8, 11, 13, generator=random)
    found = quantizer_of(rows.tolist()).eval()(z)
    distances = torch.cdist(z.movedim(1, -1).reshape(-1, 8).double(), rows.double())
    chosen = distances.gather(1, found.codes.view(-1, 1)).squeeze(1)
    assert bool((chosen <= distances.amin(1) + 1e-6).all())
    assert torch.equal(found.vectors.movedim(1, -1), rows[found.codes])


def test_the_papers_settings_are_the_papers():
    quantizer = make_quantizer(PAPER, 3, LocalComm())
    assert (PAPER.kind, PAPER.start, PAPER.restart_below, PAPER.lr_factor) == ("gradient", "uniform", 0.0, 1.0)
    assert quantizer.codebook.abs().max().item() <= 1 / PAPER.codes
    assert quantizer.codebook.abs().max().item() > 0.9 / PAPER.codes
    assert [name for name, _ in quantizer.named_parameters()] == ["codebook"]


def test_the_learning_rate_of_the_codebook_reaches_the_schedule():
    from v2a.training.config import Train
    from v2a.training.schedule import parameter_groups

    quantizer = make_quantizer(Settings("gradient", 8, lr_factor=5.0), 3, LocalComm())
    (group,) = parameter_groups(quantizer, Train(lr=0.01), 1)
    assert (group["lr"], group["weight_decay"]) == (0.05, 0.0)
    assert not list(make_quantizer(Settings("ema", 8), 3, LocalComm()).parameters())
