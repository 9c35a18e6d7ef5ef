"""The sounds of overlapping windows as one sound: no click, and the power of noise and of tones is kept through the joins."""

from __future__ import annotations

import math

import torch


class Joiner:
    """Takes windows' sounds in order and gives what is settled.

    Two neighbours are faded into each other in the middle half of what they share; what lies nearer to the edge of a window, where
    encoder and decoder saw least, is not heard.

    Args:
        overlap: samples that neighbours share at least, 2 or more.
    """

    def __init__(self, overlap: int) -> None:
        self._fade = max(1, overlap // 2)
        self._kept = self._fade + (overlap - self._fade) // 2  # samples of a window that wait for the next one
        self._tail = torch.empty(0)
        self._at = 0  # of the first sample of the tail, which is how many were given

    def add(self, start: int, sound: torch.Tensor) -> torch.Tensor:
        """The next window's sound [S], which begins at this sample: the samples that are settled by it, [n]."""
        whole = self._joined(start, sound)
        ready = len(whole) - self._kept
        self._tail = whole[ready:]
        self._at += ready
        return whole[:ready]

    def last(self, start: int, sound: torch.Tensor, total: int) -> torch.Tensor:
        """The last window's: all the rest of a sound of `total` samples."""
        whole = self._joined(start, sound)[: max(0, total - self._at)]
        self._at += len(whole)
        self._tail = torch.empty(0)
        return whole

    def _joined(self, start: int, sound: torch.Tensor) -> torch.Tensor:
        """What is known from `_at` on."""
        if not len(self._tail):
            return sound
        new = sound[self._at - start :]
        fade = self._fade
        return torch.cat([mix(self._tail[:fade], new[:fade]), new[fade:]])


def mix(before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """One sound fading into another, [F] each, at equal power.

    sin and cos keep the power of sounds that are unlike each other, as drawn noise is. Where they are alike that would be too
    loud by up to 3 dB: the sum of weights a, b has the power a² + b² + 2 r a b at a correlation r, and is divided by its root.
    """
    place = (torch.arange(len(before)) + 0.5) / len(before) * (math.pi / 2)
    falling, rising = torch.cos(place), torch.sin(place)
    scale = before.norm() * after.norm()
    alike = ((before * after).sum() / scale).clamp(min=0, max=1) if scale > 0 else torch.ones(())
    return (before * falling + after * rising) / (1 + 2 * alike * falling * rising).sqrt()
