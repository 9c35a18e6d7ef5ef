"""Stage `selftest`: its clips are what they say, and it trains."""

import math
from pathlib import Path

import pytest
import torch

from v2a.comm import LocalComm
from v2a.selftest import clips
from v2a.selftest.clips import FRAMES, HEIGHT, WIDTH, make_clips
from v2a.selftest.config import Config
from v2a.selftest.stage import LoudnessNet, run
from v2a.stages import Context, load_config, run_stage
from v2a.tasks import SerialTasks
from v2a.training import alone


def _context(folder: Path, comm: LocalComm | None = None) -> Context:
    return Context(comm or LocalComm(), SerialTasks(), folder, lambda step, metrics: None, lambda: False)


def test_clips_have_their_shapes_and_ranges():
    video, loudness = make_clips(5, seed=0)
    assert video.shape == (5, 3, FRAMES, HEIGHT, WIDTH)
    assert loudness.shape == (5, FRAMES)
    assert video.dtype == loudness.dtype == torch.float32
    assert video.min() >= 0
    assert video.max() <= 1
    assert loudness.min() >= 0
    assert 0.05 < loudness.max() < 1
    assert loudness.std() > 0.01, "clips that sound all the same teach nothing"


def test_the_same_seed_makes_the_same_clips():
    again = [make_clips(3, seed=7) for _ in range(2)]
    assert torch.equal(again[0][0], again[1][0])
    assert torch.equal(again[0][1], again[1][1])
    assert not torch.equal(make_clips(3, seed=8)[0], again[0][0])


def test_clips_leave_the_global_random_state_alone():
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    make_clips(2, seed=1)
    assert torch.equal(torch.rand(1), expected)


def test_loudness_is_brightness_times_the_covered_share(monkeypatch: pytest.MonkeyPatch):
    """With every draw in the middle of its range: a disc of brightness 0.65 in the frame's middle, of radius 3.5 to 4.25."""
    monkeypatch.setattr(clips.torch, "rand", lambda *shape, generator: torch.full(shape, 0.5))
    video, loudness = make_clips(1, seed=0)
    radius = torch.linspace(3.5, 4.25, FRAMES)
    # The disc is 1 inside radius - 1 and falls to 0 at its edge: 2π ∫ min(1, r - d) d dd = π (r² - r + 1/3).
    share = math.pi * (radius**2 - radius + 1 / 3) / (HEIGHT * WIDTH)
    # 5 %: a disc of 40 pixels is only roughly round.
    torch.testing.assert_close(loudness[0], 0.65 * share, rtol=0.05, atol=0)
    assert video[0, :, :, HEIGHT // 2, WIDTH // 2].unique().tolist() == pytest.approx([0.65])
    assert video[0, :, :, 0].max() == 0


def test_the_network_gives_a_loudness_for_each_frame():
    assert LoudnessNet()(torch.rand(2, 3, FRAMES, HEIGHT, WIDTH)).shape == (2, FRAMES)


def test_a_hundred_steps_lower_the_loss_tenfold(tmp_path: Path):
    metrics = run_stage("selftest", load_config("selftest", []), _context(tmp_path))
    assert metrics["step"] == 100
    assert metrics["ranks_agree"] == 1
    assert metrics["loss"] < metrics["loss_first"] / 10
    weights = torch.load(tmp_path / "weights.pt", weights_only=True)
    assert sorted(weights) == sorted(LoudnessNet().state_dict())
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".training.lock", "checkpoints", "metrics.jsonl", "pictures", "tensorboard", "weights.pt",
    ]  # fmt: skip


def test_training_is_repeatable_and_follows_its_seed(tmp_path: Path):
    runs = enumerate((1, 1, 2))
    losses = [run(Config(steps=3, seed=seed), _context(tmp_path / str(number)))["loss"] for number, seed in runs]
    assert losses[0] == losses[1]
    assert losses[0] != losses[2]


class _Two(LocalComm):
    size = 2


def test_a_batch_that_does_not_divide_is_refused_with_one_that_does(tmp_path: Path):
    with pytest.raises(ValueError, match=r"divides over 2 ranks, but got batch=5; try batch=8"):
        run(Config(batch=5), _context(tmp_path, _Two()))


class _Liar(_Two):
    """Its largest whole number, such as a hash of weights, is always one more than what was given."""

    def all_reduce(self, tensor: torch.Tensor, reduction: str = "sum") -> torch.Tensor:
        return tensor * 2 if reduction == "sum" else tensor + int(tensor.dtype == torch.int64)


def test_ranks_that_hold_different_weights_are_an_error_and_leave_none(tmp_path: Path):
    with pytest.raises(RuntimeError, match="at step 1 the ranks hold different weights or buffers"):
        run(Config(steps=1), _context(tmp_path, _Liar()))
    assert not (tmp_path / "weights.pt").exists()
    assert not (tmp_path / "checkpoints").exists()


def test_two_at_once_in_a_folder_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(alone, "_STRAY_S", 0.0)
    with alone.alone_in(tmp_path, LocalComm()), pytest.raises(alone.RunBusy, match="another process trains in"):
        run(Config(steps=1), _context(tmp_path))
    assert run(Config(steps=1), _context(tmp_path))["step"] == 1
