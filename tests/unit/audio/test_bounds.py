"""Values within bounds keep their gradient; beyond them only one that leads back."""

import pytest
import torch

from v2a.audio.bounds import bounded


@pytest.mark.parametrize("wanted", [-30.0, -1.0, 0.5, 30.0])
@pytest.mark.parametrize("begin", [-40.0, 0.0, 40.0])
def test_what_is_beyond_comes_back(begin: float, wanted: float):
    """By descent to the nearest to what is wanted, from where clamp would stay."""
    value = torch.tensor([begin], requires_grad=True)
    for _ in range(200):
        loss = (bounded(value, -2.0, 2.0) - wanted).abs().sum()
        (gradient,) = torch.autograd.grad(loss, value)
        value = (value - 0.3 * gradient).detach().requires_grad_()
    found = float(bounded(value.detach(), -2.0, 2.0))
    assert found == pytest.approx(min(2.0, max(-2.0, wanted)), abs=0.31)
    assert abs(value.item()) <= 2.6 or abs(begin) == 40, "does not wander off beyond a bound"


def test_values_are_those_of_clamp():
    values = torch.linspace(-5, 5, 41, dtype=torch.float64, requires_grad=True)
    assert torch.equal(bounded(values, -2, 3), values.clamp(-2, 3))
    inner = values.detach()[(values > -2) & (values < 3)].requires_grad_()
    assert torch.autograd.gradcheck(lambda x: bounded(x, -2.0, 3.0), inner)
