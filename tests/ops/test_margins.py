"""Margins beside a slow obvious reference: `np.pad`."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from cnntrain.ops.calls import run
from cnntrain.ops.margins import cleared, framed

MARGINS = list(itertools.product(range(3), repeat=4))


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 3, 1, 2), (3, 2, 4, 1)])
def test_images_are_copied_between_zeros_whatever_was_there(shape):
    n, height, width, channels = shape
    images = np.arange(1.0, 1 + np.prod(shape)).reshape(shape)
    for above, below, left, right in MARGINS:
        memory = np.full(1000, np.nan)
        buffer = memory[1 : 1 + n * (height + above + below) * (width + left + right) * channels]
        buffer = buffer.reshape(n, height + above + below, width + left + right, channels)
        run(framed(images, buffer, (above, below, left, right)))
        assert np.array_equal(buffer, np.pad(images, ((0, 0), (above, below), (left, right), (0, 0))))
        assert np.isnan(memory[0])
        assert np.isnan(memory[1 + buffer.size :]).all()


def test_margins_alike_on_all_sides_take_two_calls():
    assert len(cleared(np.empty((4, 10, 10, 3)), (1, 1, 1, 1))) == 2
