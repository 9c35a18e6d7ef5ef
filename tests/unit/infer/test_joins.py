"""Windows cover a video of any length, and their sounds join without a click, a dip or a bump."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from v2a.geometry import Geometry
from v2a.infer.joins import Joiner, mix
from v2a.infer.windows import Window, overlap_frames, windows
from v2a.media.reading import Segment

SMALL = Geometry(width=2, height=1, fps=10, segment_s=2.0, sample_rate=800)
T = SMALL.frames
PER_FRAME = SMALL.sample_rate // SMALL.fps


def segments(frames: int) -> list[Segment]:
    """Of a video whose frame k is all k, as a reader gives them."""
    found = []
    for index, start in enumerate(range(0, frames, T)):
        real = min(T, frames - start)
        numbers = np.minimum(np.arange(start, start + T), frames - 1).astype(np.uint8)
        video = np.broadcast_to(numbers[:, None, None, None], (T, 1, 2, 3)).copy()
        found.append(Segment(index, start / SMALL.fps, video, np.zeros(SMALL.samples, np.int16), real))
    return found


@pytest.mark.parametrize("overlap", [1, 3, 7, T // 2])
@pytest.mark.parametrize("frames", [1, 3, T - 1, T, T + 1, 2 * T - 7, 2 * T, 3 * T + 1, 97, 250])
def test_windows_cover_every_frame_and_share_at_least_the_overlap(frames: int, overlap: int):
    found = list(windows(segments(frames), SMALL, overlap))
    assert [window.index for window in found] == list(range(len(found)))
    assert [window.last for window in found] == [False] * (len(found) - 1) + [True]
    for window in found:
        expected = np.minimum(np.arange(window.start, window.start + T), frames - 1)
        assert window.video.shape == (T, 1, 2, 3)
        assert (window.video[:, 0, 0, 0] == expected).all()
    assert found[0].start == 0
    assert found[-1].start + T == max(T, frames)
    for before, after in itertools.pairwise(found):
        assert before.start < after.start <= before.start + T - overlap


def test_few_frames_are_held_however_long_the_video():
    most = 0
    for window in windows(itertools.chain.from_iterable(itertools.repeat(segments(T), 50)), SMALL, 2):
        most = max(most, len(window.video.base) if window.video.base is not None else T)
    assert T < most <= 3 * T


def test_no_segments_no_windows():
    assert list(windows([], SMALL, 2)) == []


def test_overlap_in_frames():
    assert [overlap_frames(SMALL, s) for s in (0.01, 0.26, 1.0)] == [1, 3, 10]
    with pytest.raises(ValueError, match=r"overlap_s of at most 1 s, half a segment of this model, but got 1\.1"):
        overlap_frames(SMALL, 1.1)


def join(frames: int, overlap: int, sound, total: int | None = None) -> torch.Tensor:
    """The sound of a video whose windows sound as `sound` says."""
    joiner, parts = Joiner(overlap * PER_FRAME), []
    total = frames * PER_FRAME if total is None else total
    for window in windows(segments(frames), SMALL, overlap):
        start = window.start * PER_FRAME
        parts.append(joiner.last(start, sound(window), total) if window.last else joiner.add(start, sound(window)))
    return torch.cat(parts)


def _place(window: Window) -> torch.Tensor:
    return torch.arange(SMALL.samples) + window.start * PER_FRAME


@pytest.mark.parametrize("overlap", [1, 3, T // 2])
@pytest.mark.parametrize("frames", [1, T - 1, T, T + 1, 2 * T - 1, 97, 250])
def test_what_all_windows_agree_on_comes_out_as_it_is(frames: int, overlap: int):
    """Each sample is where it belongs, and sounds that are alike are not louder in the joins."""
    total = frames * PER_FRAME - 13
    found = join(frames, overlap, lambda window: torch.sin(_place(window) / 9.0), total)
    assert len(found) == total
    assert torch.allclose(found, torch.sin(torch.arange(total) / 9.0), atol=0.02)
    ones = join(frames, overlap, lambda window: torch.ones(SMALL.samples), total)
    assert (ones - 1).abs().max() < 1e-5


def test_noise_keeps_its_power_through_every_join():
    random = torch.Generator().manual_seed(0)
    overlap = T // 2
    found = torch.stack(
        [join(110, overlap, lambda window: torch.randn(SMALL.samples, generator=random)) for _ in range(150)]
    )
    power = found.square().mean(0).view(-1, 40).mean(1)  # 6,000 draws in each value: a deviation of 1.8 %
    assert (10 * power.log10()).abs().max() < 0.35
    # Fading straight, without that, would be 3 dB short in the middle.


def test_windows_of_other_levels_meet_without_a_step():
    levels = itertools.cycle([0.1, 0.5, 0.2, 0.9, 0.3, 0.7, 0.4])
    found = join(97, T // 2, lambda window: torch.full((SMALL.samples,), next(levels)))
    assert found.diff().abs().max() < 0.01


def test_silence_stays_silence_and_opposites_do_not_blow_up():
    assert torch.equal(mix(torch.zeros(50), torch.zeros(50)), torch.zeros(50))
    wave = torch.sin(torch.arange(400) / 7.0)
    assert mix(wave, -wave).abs().max() <= 1.0


def test_samples_before_a_join_are_given_at_once():
    joiner = Joiner(100)
    given = joiner.add(0, torch.ones(1600))
    assert len(given) == 1600 - 75
    assert len(joiner.last(1500, torch.ones(1600), 3100)) == 3100 - len(given)
