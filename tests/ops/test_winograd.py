"""Winograd's convolution equals the direct one, in all passes, whatever the size and the chunk."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnntrain.ops import calls as calls_module
from cnntrain.ops import winograd as winograd_module
from cnntrain.ops.convolution import Convolution
from cnntrain.ops.forms import FORMS
from cnntrain.ops.windows import windows
from cnntrain.ops.winograd import Winograd
from tests.support.kernels import passes

KERNELS = pytest.mark.parametrize("kernel", sorted(FORMS))


def both(kernel, n, height, width, channels, filters, padding, dtype):
    """The passes by both algorithms, on normal data."""
    rng = np.random.default_rng(0)
    where = windows(height, width, kernel, 1, 1, padding)
    direct = Convolution(where, channels, filters, 1)
    w = rng.standard_normal((kernel, kernel, channels, filters)) / (kernel * np.sqrt(channels))
    arrays = (
        rng.standard_normal((n, height, width, channels)),
        w,
        rng.standard_normal(filters),
        rng.standard_normal((n, where.rows.out, where.columns.out, filters)),
    )
    x, w, b, dy = (a.astype(dtype) for a in arrays)
    return passes(direct, x, w, b, dy), passes(Winograd(where, channels, filters), x, w, b, dy)


@settings(deadline=None, max_examples=60)
@given(
    kernel=st.sampled_from(sorted(FORMS)),
    n=st.integers(1, 5),
    height=st.integers(5, 19),
    width=st.integers(5, 19),
    channels=st.integers(1, 5),
    filters=st.integers(1, 5),
    padding=st.sampled_from(["same", "valid", 1, 2, 7, (0, 2, 1, 0), (9, 0, 0, 6)]),
)
def test_equals_the_direct_products_in_float64(kernel, n, height, width, channels, filters, padding):
    for direct, fast in zip(*both(kernel, n, height, width, channels, filters, padding, np.float64), strict=True):
        np.testing.assert_allclose(fast, direct, rtol=0, atol=1e-12 * max(np.abs(direct).max(), 1))


@KERNELS
@pytest.mark.parametrize(
    ("size", "channels", "filters"), [(32, 32, 32), (16, 64, 64), (9, 64, 128), (8, 256, 128), (8, 80, 16)]
)
def test_float32_agrees_to_2e_5_of_the_largest_value(kernel, size, channels, filters):
    for direct, fast in zip(*both(kernel, 4, size, size, channels, filters, "same", np.float32), strict=True):
        assert np.abs(fast - direct).max() <= 2e-5 * np.abs(direct).max()


@KERNELS
@pytest.mark.parametrize("values", [1, 4000, 10**6])
def test_chunks_change_rounding_only(kernel, values, monkeypatch):
    monkeypatch.setattr(winograd_module, "TILE_VALUES", values)
    monkeypatch.setattr(winograd_module, "LEAST_TILES", 1)
    for direct, fast in zip(*both(kernel, 5, 11, 14, 3, 4, "same", np.float64), strict=True):
        np.testing.assert_allclose(fast, direct, rtol=0, atol=1e-12 * max(np.abs(direct).max(), 1))


@KERNELS
@pytest.mark.parametrize("values", [1, 30])
def test_portions_and_blocks_change_rounding_only(kernel, values, monkeypatch):
    monkeypatch.setattr(calls_module, "PORTION", values)
    monkeypatch.setattr(winograd_module, "BLOCK", 2)
    for direct, fast in zip(*both(kernel, 2, 7, 8, 5, 3, "same", np.float64), strict=True):
        np.testing.assert_allclose(fast, direct, rtol=0, atol=1e-12 * max(np.abs(direct).max(), 1))


def test_shapes_alone_decide_whether_it_is_used():
    def used(size, channels, filters, kernel=3):
        return Winograd.worthwhile(windows(size, size, kernel, 1, 1, "same"), channels, filters)

    assert used(32, 64, 64)
    assert used(8, 128, 256)
    assert not used(32, 3, 64)
    assert used(32, 16, 16)
    assert not used(32, 8, 16)
    assert not used(5, 64, 64)  # 25 of 64 computed outputs
    assert used(10, 8, 8, kernel=5)  # 100 of 144
    assert not used(32, 6, 16, kernel=5)
    assert not used(9, 64, 64, kernel=5)
    assert not Winograd.possible(windows(8, 8, 3, 2, 1, 1), 1)
    assert not Winograd.possible(windows(8, 8, 3, 1, 2, 2), 1)
    assert not Winograd.possible(windows(8, 8, 3, 1, 1, 1), 2)
    assert Winograd.possible(windows(8, 8, 5, 1, 1, 6), 1)
    assert not Winograd.possible(windows(8, 8, (3, 5), 1, 1, 1), 1)
    assert not Winograd.possible(windows(8, 8, 4, 1, 1, 1), 1)
