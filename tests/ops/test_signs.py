"""Signs are those of np.sign, of every kind of number."""

from __future__ import annotations

import numpy as np
import pytest

from cnntrain.ops.signs import signs


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_they_are_numpys(dtype):
    info = np.finfo(dtype)
    positive = [info.smallest_subnormal, info.tiny, info.eps, 0.3, 1, 1e30, info.max, np.inf]
    x = np.array([0, -0.0, np.nan, *positive, *(-np.array(positive))], dtype)
    expected = np.sign(x)
    assert np.array_equal(signs(x, np.empty_like(x)), expected, equal_nan=True)
    assert signs(x, x) is x
    assert np.array_equal(x, expected, equal_nan=True)
