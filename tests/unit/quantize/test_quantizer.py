"""Shapes, number formats, starts, restarts, codes and back, and what is refused."""

import subprocess
import sys

import pytest
import torch

from v2a.comm import LocalComm
from v2a.quantize.base import Quantizer
from v2a.quantize.config import Settings
from v2a.quantize.make import make_quantizer
from v2a.quantize.picks import generator, pick
from v2a.quantize.start import first_codebook, k_means

KINDS = ("ema", "gradient")


def make(kind: str, codes: int = 32, dim: int = 4, **settings: object) -> Quantizer:
    return make_quantizer(Settings(kind, codes, **settings), dim, LocalComm())  # type: ignore[arg-type]


def clusters(count: int, each: int, dim: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    """Far centres [count, dim], and encodings [1, dim, count * each] close to them."""
    random = torch.Generator().manual_seed(5)
    centres = 10 * torch.randn(count, dim, generator=random)
    noise = 0.01 * torch.randn(count * each, dim, generator=random)
    return centres, (centres.repeat_interleave(each, 0) + noise).t().unsqueeze(0)


# --- number formats and layouts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_inside_autocast_it_is_exact(kind: str, dtype: torch.dtype):
    """Bit for bit what it makes of the same encodings outside, training included."""
    inside, outside = make(kind), make(kind)
    for step in range(3):
        z = torch.randn(2, 4, 3, 5, 7, generator=torch.Generator().manual_seed(step)).to(dtype)
        with torch.autocast("cpu", dtype=dtype):
            assert (z @ z.transpose(-1, -2)).dtype == dtype
            found = inside(z)
        reference = outside(z.float())
        assert found.vectors.dtype == found.loss.dtype == torch.float32
        for name in ("vectors", "codes", "loss", "error"):
            assert torch.equal(getattr(found, name), getattr(reference, name)), name
    for name, value in outside.state_dict().items():
        assert torch.equal(value, inside.state_dict()[name]), name


def test_the_gradient_goes_back_in_the_format_that_came():
    z = torch.randn(1, 4, 6, dtype=torch.float16, requires_grad=True)
    found = make("gradient")(z)
    (found.vectors.sum() + found.loss).backward()
    assert z.grad.dtype == torch.float16
    assert bool((z.grad != 0).all())


@pytest.mark.parametrize("shape", [(3, 4, 6), (3, 4, 5, 6), (3, 4, 2, 5, 6), (1, 4, 1)])
def test_any_number_of_axes(shape: tuple[int, ...]):
    found = make("ema", start="uniform")(torch.randn(shape))
    assert found.vectors.shape == shape
    assert found.codes.shape == (shape[0], *shape[2:])


def test_memory_layout_does_not_matter():
    z = torch.randn(2, 4, 3, 5, 6)
    quantizer = make("gradient", start="uniform").eval()
    reference = quantizer(z)
    wide = torch.randn(2, 4, 3, 5, 12)
    wide[..., ::2] = z
    for other in (z.to(memory_format=torch.channels_last_3d), wide[..., ::2]):
        found = quantizer(other)
        assert torch.equal(found.codes, reference.codes)
        assert torch.equal(found.vectors, reference.vectors)


def test_pieces_do_not_show():
    """More encodings than one piece: the same codes and sums as one by one."""
    quantizer = make("ema", codes=4096, start="uniform", restart_below=0.0, decay=0.0)
    with torch.no_grad():
        quantizer.codebook.normal_(generator=torch.Generator().manual_seed(1))
    rows = quantizer.codebook.clone()
    z = torch.randn(1, 4, 700, generator=torch.Generator().manual_seed(2))
    quantizer.initialised.fill_(True)
    found = quantizer(z)
    sums = torch.zeros(4096, 4, dtype=torch.float64).index_add_(0, found.codes[0], z[0].t().double())
    assert torch.equal(quantizer.sums, sums)
    assert quantizer.used.tolist() == torch.bincount(found.codes[0], minlength=4096).tolist()
    single = [int(torch.cdist(z[:, :, i], rows).argmin()) for i in range(0, 700, 50)]
    assert found.codes[0, ::50].tolist() == single


# --- start and restart ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_k_means_finds_clusters(kind: str):
    """One code on each of 32 clusters from the first batch, which uniform ones near 0 do not find."""
    _, z = clusters(32, 50)
    found = make(kind, start="kmeans")(z)
    assert float(found.error) < 2e-4
    assert len(found.codes.unique()) == 32
    assert float(make(kind, start="uniform", restart_below=0.0)(z).error) > 10


def test_k_means_of_known_points():
    points = torch.tensor([[0.0], [0.2], [10.0], [10.2], [10.4]])
    centres, counts = k_means(points, 2, generator(0, 0))
    order = centres.flatten().argsort()
    torch.testing.assert_close(centres[order], torch.tensor([[0.1], [10.2]]))
    assert counts[order].tolist() == [2, 3]


@pytest.mark.parametrize(("most", "taken"), [(10**6, 4 * 256), (400, 400)])
def test_k_means_takes_a_share_of_all_batches_that_is_bounded(monkeypatch: pytest.MonkeyPatch, most: int, taken: int):
    """256 for each code, but no more than the bound; from each batch alike, and the codebook is still of the data."""
    sizes: list[int] = []

    def noting(sample: torch.Tensor, codes: int, random: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        sizes.append(len(sample))
        return k_means(sample, codes, random)

    monkeypatch.setattr("v2a.quantize.start.MOST", most)
    monkeypatch.setattr("v2a.quantize.start.k_means", noting)
    centres, z = clusters(4, 200)
    batches = [(z.roll(number, 2), 800) for number in range(5)]
    codebook, shares = first_codebook(batches, 4, LocalComm(), generator(0, 0))
    assert sizes == [pytest.approx(taken, abs=len(batches))]
    assert float(torch.cdist(centres, codebook).min(1).values.max()) < 0.05
    torch.testing.assert_close(shares, torch.full((4,), 0.25, dtype=torch.float64), rtol=0, atol=0.08)


@pytest.mark.parametrize("encodings", [1, 3, 32])
def test_fewer_encodings_than_codes_will_do(encodings: int):
    """All are represented, bit for bit or nearly, whatever the other codes are; the same encoding many times, too."""
    z = torch.randn(1, 4, encodings, generator=torch.Generator().manual_seed(0))
    for case in (z, z[:, :, :1].expand(1, 4, encodings)):
        quantizer = make("ema", codes=64)
        for _ in range(3):
            found = quantizer(case)
        assert float(found.error) < 1e-12
        assert bool(torch.isfinite(quantizer.codebook).all())


@pytest.mark.parametrize("kind", KINDS)
def test_dead_codes_restart_at_encodings(kind: str):
    """A codebook far from all encodings, so that one code gets all of them; soon nearly all codes have some."""
    _, z = clusters(16, 100)
    quantizer = make(kind, codes=128, start="uniform", decay=0.9)
    with torch.no_grad():
        quantizer.codebook.add_(1000)
    if kind == "ema":
        quantizer.sums.copy_(quantizer.codebook)
    before = float(quantizer(z).error)
    for _ in range(200):
        quantizer(z)
    quantizer.reset_usage()
    after = float(quantizer(z).error)
    assert before > 1e5
    # Every cluster has codes, which go to its middle; without an optimizer they stay where they restarted, some clusters without.
    assert after < (1e-3 if kind == "ema" else 100)
    assert quantizer.usage() > 0.9


def test_without_restarts_dead_codes_stay_dead():
    _, z = clusters(32, 50)
    quantizer = make("ema", start="uniform", restart_below=0.0, decay=0.9)
    for _ in range(200):
        quantizer(z)
    quantizer.reset_usage()
    quantizer(z)
    assert quantizer.usage() < 0.9


def test_a_restarted_code_begins_its_averages_anew():
    """Its old sums would draw it back to where it was dead."""
    quantizer = make("ema", codes=2, dim=1, start="uniform", decay=0.9, restart_below=0.02)
    quantizer.codebook.copy_(torch.tensor([[0.0], [1000.0]]))
    quantizer.sums.copy_(quantizer.codebook)
    quantizer.initialised.fill_(True)
    quantizer.use.copy_(torch.tensor([4.0, 0.0]))
    z = torch.tensor([[[0.0, 5.0, 6.0, 7.0]]])
    quantizer(z)
    place = float(quantizer.codebook[1])
    assert place in (5.0, 6.0, 7.0)
    assert float(quantizer.sums[1] / quantizer.use[1]) == pytest.approx(place)
    assert 0.02 * float(quantizer.use.mean()) < float(quantizer.use[1])
    assert quantizer(z).codes.tolist() == [[0, 1, 1, 1]]


def test_codes_below_the_limit_are_dead_and_others_are_not():
    quantizer = make("ema", codes=102, dim=2, restart_below=0.05)
    assert quantizer._dead().tolist() == []  # it has not begun
    quantizer(torch.randn(1, 2, 640, generator=torch.Generator().manual_seed(0)))
    assert int(quantizer.updates) == 1
    quantizer.use.fill_(1.0189)  # the mean is then 1.0
    quantizer.use[[3, 101]] = torch.tensor([0.049, 0.051], dtype=torch.float64)
    assert quantizer._dead().tolist() == [3]
    z = torch.randn(1, 2, 640, generator=torch.Generator().manual_seed(1))
    quantizer(z)
    at = (quantizer.codebook.unsqueeze(1) == z[0].t()).all(2)  # [K, S]
    assert at.any(1).nonzero().flatten().tolist() == [3]


def test_each_step_draws_anew():
    """A dead code that waits for a use restarts elsewhere each time."""
    z = torch.randn(1, 2, 640, generator=torch.Generator().manual_seed(0))
    quantizer = make("gradient", codes=8, dim=2, restart_below=0.05)
    quantizer(z)
    places = set()
    for step in range(2, 12):
        quantizer.use[5] = 0
        quantizer(z)
        assert int(quantizer.updates) == step
        places.add(tuple(quantizer.codebook[5].tolist()))
    assert len(places) >= 8  # of 640 encodings, one may come twice


@pytest.mark.parametrize(("total", "count"), [(1, 1), (10, 10), (28800, 4096), (10**9, 1000), (7, 0)])
def test_picks_are_different_numbers_below_the_total(total: int, count: int):
    numbers = pick(total, count, generator(0, 7))
    assert numbers.tolist() == sorted(set(numbers.tolist()))
    assert len(numbers) == count
    assert all(0 <= number < total for number in numbers.tolist())
    assert torch.equal(numbers, pick(total, count, generator(0, 7)))
    if 1 < count < total:
        assert not torch.equal(numbers, pick(total, count, generator(0, 8)))
        assert not torch.equal(numbers, pick(total, count, generator(1, 7)))


def test_picks_reach_every_number():
    seen = {number for step in range(300) for number in pick(20, 3, generator(0, step)).tolist()}
    assert seen == set(range(20))


def test_usage_and_perplexity_in_closed_form():
    quantizer = make("ema", codes=8)
    assert (quantizer.usage(), quantizer.perplexity()) == (0.0, 0.0)
    quantizer.used.copy_(torch.tensor([5, 5, 5, 5, 0, 0, 0, 0]))
    assert quantizer.usage() == 0.5
    assert quantizer.perplexity() == pytest.approx(4.0)
    quantizer.used.copy_(torch.tensor([10**12, 0, 0, 0, 0, 0, 0, 0]))
    assert quantizer.perplexity() == pytest.approx(1.0)


# --- codes and back ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint16, torch.uint8])
def test_codes_go_back_to_exactly_their_vectors(kind: str, dtype: torch.dtype):
    quantizer = make(kind, codes=200)
    quantizer(torch.randn(2, 4, 3, 5, 7))
    found = quantizer.eval()(torch.randn(2, 4, 3, 5, 7))
    assert torch.equal(quantizer.codes_to_vectors(found.codes.to(dtype)), found.vectors)
    again = quantizer(found.vectors)
    assert torch.equal(again.codes, found.codes)
    assert float(again.error) == 0.0


def test_codes_of_another_codebook_are_refused():
    quantizer = make("ema", codes=16)
    for codes, said in (([[16]], "16 to 16"), ([[3, -1]], "-1 to 3")):
        with pytest.raises(
            ValueError, match=f"expected codes from 0 to 15, but got {said}; are they of another codebook"
        ):
            quantizer.codes_to_vectors(torch.tensor(codes))
    for wrong in (torch.zeros(1, 3), torch.zeros(1, 3, dtype=torch.bool), torch.tensor(3)):
        with pytest.raises(ValueError, match="expected codes of an integer dtype"):
            quantizer.codes_to_vectors(wrong)
    assert quantizer.codes_to_vectors(torch.empty(0, 2, 3, dtype=torch.int64)).shape == (0, 4, 2, 3)


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "z",
    [
        torch.zeros(2, 5, 3, 3, 3),
        torch.zeros(2, 3, 3, 3, 4),
        torch.zeros(2, 4),
        torch.zeros(4),
        torch.tensor(1.0),
        torch.zeros(0, 4, 3),
        torch.zeros(2, 4, 0, 3),
        torch.zeros(2, 4, 3, dtype=torch.int64),
        torch.zeros(2, 4, 3, dtype=torch.complex64),
    ],
    ids=lambda z: f"{tuple(z.shape)}-{z.dtype}",
)
def test_other_shapes_are_refused_with_the_rule(z: torch.Tensor):
    quantizer = make("ema")
    with pytest.raises(
        ValueError, match=r"expected encodings \[B, 4, …\] of a floating dtype with at least one position"
    ):
        quantizer(z)
    assert not bool(quantizer.initialised)


def test_a_codebook_in_half_precision_is_refused():
    quantizer = make("gradient").half()
    with pytest.raises(ValueError, match=r"expected a codebook of float32, but it is torch.float16; leave"):
        quantizer(torch.zeros(1, 4, 3))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"kind": "em"}, "expected kind to be ema or gradient, but got kind='em'"),
        ({"start": "kmean"}, "expected start to be kmeans or uniform, but got start='kmean'"),
        ({"codes": 1}, "expected codes from 2 to 65536, but got codes=1"),
        ({"codes": 65537}, "expected codes from 2 to 65536"),
        ({"beta": -0.1}, "expected beta of at least 0"),
        ({"beta": float("nan")}, "expected beta of at least 0"),
        ({"decay": 1.0}, "expected decay from 0 to below 1"),
        ({"decay": float("nan")}, "expected decay from 0 to below 1"),
        ({"restart_below": 1.0}, "expected restart_below from 0 to below 1"),
        ({"lr_factor": 0.0}, "expected lr_factor above 0"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, object], said: str):
    with pytest.raises(ValueError, match=said):
        Settings(**settings)  # type: ignore[arg-type]


def test_no_dimensions_are_refused():
    with pytest.raises(ValueError, match="expected dim of at least 1, but got dim=0"):
        make("ema", dim=0)


def test_settings_need_no_torch():
    code = "import sys, v2a.quantize.config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
