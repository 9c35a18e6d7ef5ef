"""What is seen of what moves."""

from __future__ import annotations

import torch

from v2a.audio.motion import Motion, mean_around


def test_the_mean_around_is_that_of_the_frames_that_are_there():
    frames = torch.arange(6.0).view(1, 1, 6, 1, 1)
    assert mean_around(frames, 1).flatten().tolist() == [0.5, 1, 2, 3, 4, 4.5]
    assert mean_around(frames, 9).flatten().tolist() == [2.5] * 6


@torch.no_grad()
def test_what_stands_still_is_not_seen_and_what_moves_is_seen_within_three_frames():
    torch.manual_seed(0)
    motion, wall = Motion(), torch.rand(1, 3, 1, 36, 64).expand(-1, -1, 20, -1, -1)
    ball = wall.clone()
    ball[:, :, 10, 10:16, 20:26] += 2
    still, moved = (motion(frames - mean_around(frames, 5)) for frames in (wall, ball))
    assert still.shape == (1, Motion.features, 20)
    torch.testing.assert_close(still, motion(torch.zeros(1, 3, 20, 36, 64)), rtol=0, atol=1e-4)  # rounding of the mean
    changed = (still - moved).abs().amax((0, 1)) > 1e-5
    assert changed[7:14].all()
    assert not changed[:2].any()  # 5 frames of the mean, 3 of motion
    assert not changed[19:].any()


def test_all_of_it_learns():
    motion = Motion()
    motion(torch.randn(1, 3, 6, 36, 64)).square().mean().backward()
    assert all(parameter.grad is not None and bool(parameter.grad.any()) for parameter in motion.parameters())
