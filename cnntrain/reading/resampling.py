"""Resampling gives a sound the rate a network listens at, without the frequencies that this rate cannot hold.

The sound is the sum of sincs that its samples stand for, low-passed below half of the lower rate, and read off at the
new moments. The low-pass is a sinc under a Kaiser window (Kaiser 1974; Smith, "Digital Audio Resampling"): frequencies
up to 0.9 of half the lower rate pass within 0.001 dB, those from half of it on are 100 dB down. A tone is right to
2e-5 of its amplitude (soxr's best quality: to 7e-4 where no rate is a multiple of the other). Rates are integers, so
that moments fall on the same few places between samples again and again (polyphase), and no moment is rounded.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple, cast

import numpy as np

from cnntrain.core.arrays import Array

CROSSINGS = 64  # zero crossings of the sinc on either side of a moment
_STOP = 100.0  # decibels by which those frequencies are attenuated
_BETA = 0.1102 * (_STOP - 8.7)  # of the window, after Kaiser
_CUT = 0.95  # middle of the transition, as a share of half the lower rate
_TABLE = 2**21  # weights held at a time


class Resampling(NamedTuple):
    """From one rate to another, in samples a second: `up` and `down` are the new and the old without common factors."""

    up: int
    down: int

    @classmethod
    def between(cls, old: int, new: int) -> Resampling:
        """From `old` to `new` samples a second."""
        common = math.gcd(old, new)
        return cls(new // common, old // common)

    @property
    def reach(self) -> int:
        """How many samples on either side of a moment contribute to it."""
        return math.ceil(CROSSINGS * max(1.0, self.down / self.up))

    def length(self, samples: int) -> int:
        """The number of new samples for so many old ones: those that begin before the old end."""
        return -(-samples * self.up // self.down)

    def weights(self, phases: Array) -> Array:
        """The weights of samples -reach + 1 to reach around a moment, (phases, 2 reach).

        Phase p is a moment p / up of a sample's duration after the sample it follows. Rows sum to 1, so that
        a constant stays what it is.
        """
        scale = min(1.0, self.up / self.down) * _CUT  # the cut-off, in halves of the old rate
        offset = np.arange(-self.reach + 1, self.reach + 1) - phases[:, None] / self.up
        window = np.i0(_BETA * np.sqrt(np.maximum(1 - (offset / self.reach) ** 2, 0)))
        weights = np.sinc(offset * scale) * window
        weights /= weights.sum(axis=1, keepdims=True)
        return cast(Array, weights)


def resampled(stretch: Callable[[int, int], Array], samples: int, rates: Resampling, first: int, count: int) -> Array:
    """New samples [first, first + count) of a sound of so many old `samples`: float64, silence beyond its ends.

    `stretch(first, count)` gives old samples; it is called once, for those that contribute.
    """
    if rates.up == rates.down:
        return _padded(stretch, samples, first, count)
    moments = (first + np.arange(min(rates.up, count))) * rates.down  # later ones repeat their phases
    start = first * rates.down // rates.up - rates.reach + 1  # the first old sample that contributes
    stop = (first + count - 1) * rates.down // rates.up + rates.reach + 1
    old = _padded(stretch, samples, start, stop - start)
    windows = np.lib.stride_tricks.sliding_window_view(old, 2 * rates.reach)
    places, phases = moments // rates.up - rates.reach + 1 - start, moments % rates.up
    new = np.empty(count)
    block = max(1, _TABLE // (2 * rates.reach))
    for begin in range(0, len(moments), block):
        weights = rates.weights(phases[begin : begin + block])
        for index, (place, row) in enumerate(zip(places[begin : begin + block].tolist(), weights, strict=True), begin):
            mine = new[index :: rates.up]
            mine[...] = windows[place :: rates.down][: len(mine)] @ row
    return new


def _padded(stretch: Callable[[int, int], Array], samples: int, first: int, count: int) -> Array:
    """A stretch that may begin before the sound and end after it."""
    start, stop = max(first, 0), min(first + count, samples)
    if stop <= start:
        return np.zeros(count)
    return np.pad(stretch(start, stop - start), (start - first, first + count - stop))
