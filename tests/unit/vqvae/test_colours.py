"""Random colours in training: what they keep, what they change, and that a seed decides."""

from __future__ import annotations

import pytest
import torch

from v2a.vqvae.colours import random_colours
from v2a.vqvae.config import Config


def clips(count: int) -> torch.Tensor:
    """Away from 0 and 1, so that nothing is cut off; another mean for each channel."""
    video = 0.45 + 0.1 * torch.rand(count, 3, 8, 16, 16, generator=torch.Generator().manual_seed(0))
    return video + torch.tensor([-0.05, 0.0, 0.05]).view(1, 3, 1, 1, 1)


def test_each_clip_is_another_affine_map_of_exchanged_channels():
    """Frames, places and structure stay; half of the clips keep their light and half the order of their channels."""
    video = clips(200)
    torch.manual_seed(1)
    made = random_colours(video, 1.0)
    orders, lights = [], []
    for truth, ours in zip(video, made, strict=True):
        a, b = (x - x.mean((1, 2, 3), keepdim=True) for x in (truth, ours))
        match = torch.einsum("cthw,dthw->cd", b, a) / a.square().sum((1, 2, 3))
        order = match.argmax(1)
        gains = match.gather(1, order[:, None]).flatten()
        torch.testing.assert_close(b, a[order] * gains.mean(), atol=1e-4, rtol=0)
        assert sorted(order.tolist()) == [0, 1, 2]
        orders.append(tuple(order.tolist()))
        lights.append(torch.allclose(ours, truth[order], atol=1e-5))
        assert 0.69 < float(gains.mean()) < 1.31
    assert len(set(orders)) == 6
    assert 0.4 < sum(order == (0, 1, 2) for order in orders) / 200 < 0.75
    assert 0.35 < sum(lights) / 200 < 0.65


def test_the_seed_decides_and_the_range_is_kept():
    video = torch.rand(6, 3, 4, 8, 8, generator=torch.Generator().manual_seed(2))
    torch.manual_seed(3)
    first = random_colours(video, 1.0)
    torch.manual_seed(3)
    assert torch.equal(first, random_colours(video, 1.0))
    assert not torch.equal(first, random_colours(video, 1.0))
    assert float(first.min()) >= 0
    assert float(first.max()) <= 1


def test_none_at_strength_0_and_a_strength_out_of_range_is_refused():
    torch.testing.assert_close(random_colours(clips(50), 0.0), clips(50), atol=1e-6, rtol=0)
    for strength in (-0.1, 1.5):
        with pytest.raises(ValueError, match="colours from 0 to 1"):
            Config(colours=strength)
