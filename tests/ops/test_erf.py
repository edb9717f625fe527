"""The error function against the C library's, value by value."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cnntrain.ops.erf import erf, erf_scratch


def ours(x: np.ndarray) -> np.ndarray:
    out = np.full_like(x, np.nan)
    buffers = {name: np.empty(shape, dtype) for name, (shape, dtype) in erf_scratch(x.size, x.dtype).items()}
    erf(x, out, buffers)
    return out


@pytest.mark.parametrize(("dtype", "digits"), [(np.float64, 4), (np.float32, 4)])
def test_accurate_to_the_last_digits_of_the_type(dtype, digits):
    x = np.concatenate([np.linspace(-7, 7, 20_001), 10.0 ** np.arange(-30, 3), [0.46875, -0.46875]]).astype(dtype)
    exact = np.array([math.erf(value) for value in x])
    np.testing.assert_allclose(ours(x).astype(np.float64), exact, rtol=digits * float(np.finfo(dtype).eps), atol=0)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_odd_and_at_its_limits(dtype):
    x = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, np.finfo(dtype).max], dtype)
    np.testing.assert_array_equal(ours(x), [0, -0.0, 1, -1, np.nan, 1])
    values = np.linspace(0, 6, 1001, dtype=dtype)
    np.testing.assert_array_equal(ours(-values), -ours(values))
