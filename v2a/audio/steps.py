"""A WaveNet's samples one after another, each at the cost of one small step: what layers saw before is kept in queues.

Paine et al. 2016, "Fast Wavenet Generation Algorithm". A layer of dilation d needs its own input of d samples ago and nothing else
of the past, so it keeps its last d inputs. In numpy, since products of such small matrices cost less there than a call of torch
does (docs/LOG.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from v2a.audio.mulaw import CLASSES, SILENCE

if TYPE_CHECKING:
    from v2a.audio.wavenet import WaveNet

Array = npt.NDArray[np.float32]
_ROWS = 64  # BLAS would share a larger product out to threads, which takes longer than to do it


class Steps:
    """The weights of a network, and the queues of one sound at a time.

    Args:
        network: copied as it is now.

    Attributes:
        scale: what a layer's condition is multiplied by before it is given to `step`, [2 R].
    """

    def __init__(self, network: WaveNet) -> None:
        self._samples, self._reach = network.samples, network.reach
        look = np.stack([_array(layer.look.weight) for layer in network.layers])  # type: ignore[union-attr] # [L, 2 R, R, 2]
        leave = np.stack([_array(layer.leave.weight)[..., 0] for layer in network.layers])  # type: ignore[union-attr]
        count, twice, width = look.shape[:3]
        # sigmoid(v) = (tanh(v / 2) + 1) / 2: one tanh for both halves, and `leave` is halved.
        self.scale = np.repeat(np.array([1, 0.5], np.float32), width)
        look *= self.scale[:, None, None]
        self._past, now = np.ascontiguousarray(look[..., 0]), np.ascontiguousarray(look[..., 1])
        self._enter = _array(network.enter.weight)
        head = [(_array(layer.weight)[..., 0], _array(layer.bias)) for layer in (network.head[1], network.head[3])]
        self._hidden, self._hidden_bias = head[0]
        self._last, self._last_bias = head[1][0].reshape(-1, _ROWS, head[1][0].shape[1]), head[1][1]
        self._set_queues(network.dilations, width)
        self._heads = np.zeros((count, width), np.float32)
        self._given = np.zeros((count, twice), np.float32)
        self._inputs = np.zeros((count + 1, width), np.float32)
        left = np.zeros((count, leave.shape[1]), np.float32)
        self._skips = left[:, width:]
        self._layers = [
            (now[k], self._inputs[k], self._given[k], leave[k] / 2, left[k], left[k, :width], self._inputs[k + 1])
            for k in range(count)
        ]

    def draw(self, condition: Array, chances: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        """Classes [S] of a sound that begins after silence.

        Args:
            condition: of its T frames, [L * 2 R, T], as `WaveNet.conditions` gives them.
            chances: 0 to 1, one for each sample, [S], S at most T frames' samples.
        """
        told = np.ascontiguousarray(condition.T).reshape(-1, *self._given.shape) * self.scale  # [T, L, 2 R]
        self.begin(told[0])
        found = np.empty(len(chances), np.int64)
        last = SILENCE
        for start in range(0, len(chances), self._samples):
            block = self._between(told, start)
            for number, chance in enumerate(chances[start : start + self._samples].tolist()):
                last = pick(self.step(last, block[number]), chance)
                found[start + number] = last
        return found

    def begin(self, condition: Array) -> None:
        """Fill the queues with what silence leaves there; the condition as `step` takes it."""
        self._time = 0
        for _ in range(self._reach - 1):
            self.step(SILENCE, condition)

    def step(self, last: int, condition: Array) -> Array:
        """Logits [256] of the next sample.

        Args:
            last: class of the sample before it.
            condition: of this sample, [L, 2 R], times `scale`.
        """
        here = self._places[self._time % len(self._places)]
        self._time += 1
        self._queues.take(here, 0, self._heads, "clip")
        np.matmul(self._past, self._heads[:, :, None], self._given[:, :, None])
        np.add(self._given, condition, self._given)
        self._inputs[0] = self._enter[last]
        z, half = self._z, len(self._z) // 2
        signal, gate, gated = z[:half], z[half:], self._gated
        for now, x, given, leave, left, stays, following in self._layers:
            np.dot(now, x, z)
            np.add(z, given, z)
            np.tanh(z, z)
            np.multiply(signal, gate, gated)
            np.add(gated, signal, gated)
            np.dot(leave, gated, left)
            np.add(x, stays, following)
        self._queues[here] = self._inputs[:-1]
        hidden = np.dot(self._hidden, self._skips.sum(0).clip(0)) + self._hidden_bias
        logits: Array = np.matmul(self._last, hidden.clip(0)).ravel() + self._last_bias
        return logits

    def _set_queues(self, dilations: tuple[int, ...], width: int) -> None:
        """One array for all queues, and where in it each layer's oldest input is, sample by sample until that repeats."""
        long = np.array(dilations)
        begins = np.cumsum(long) - long
        self._queues = np.zeros((int(long.sum()), width), np.float32)
        self._places = begins + np.arange(int(long.max()))[:, None] % long
        self._z, self._gated = np.zeros(2 * width, np.float32), np.zeros(width, np.float32)
        self._time = 0

    def _between(self, told: Array, start: int) -> Array:
        """The condition of a frame's samples from `start` on: [samples, L, 2 R], straight lines from middle to middle of frames."""
        place = ((start + np.arange(self._samples) + 0.5) / self._samples - 0.5).clip(0, len(told) - 1)
        low = np.minimum(place.astype(np.int64), max(0, len(told) - 2))
        part = (place - low).astype(np.float32)[:, None, None]
        high = np.minimum(low + 1, len(told) - 1)
        found: Array = told[low] * (1 - part) + told[high] * part
        return found


def pick(logits: Array, chance: float) -> int:
    """The class at this place, 0 to 1, of the classes laid out by their odds."""
    odds = np.exp(logits - logits.max()).cumsum(dtype=np.float64)
    return min(int(odds.searchsorted(chance * odds[-1], "right")), CLASSES - 1)


def _array(weights: Any) -> Array:
    found: Array = np.array(torch.as_tensor(weights).detach().float().cpu().numpy())
    return found
