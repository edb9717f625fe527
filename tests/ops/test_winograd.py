"""Winograd's convolution equals the direct one, in all passes, whatever the size and the chunk."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnntrain.ops import calls as calls_module
from cnntrain.ops import panels as panels_module
from cnntrain.ops import products as products_module
from cnntrain.ops import winograd as winograd_module
from cnntrain.ops.convolution import Convolution
from cnntrain.ops.forms import FORMS
from cnntrain.ops.windows import axis, windows
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


def of_clips(direct, time, x, w, b, dy):
    """Output and gradients of a convolution of clips: that of the images which a moment of the kernel sees, added up.

    Images are the moments of clips, one clip after the other.
    """
    x, dy = (a.reshape(-1, moments, *a.shape[1:]) for a, moments in ((x, time.size), (dy, time.out)))
    y, dx, dw = np.zeros_like(dy), np.zeros_like(x), np.zeros_like(w)
    for k, kernel in enumerate(w):
        at, read = time.reach(k)
        if at.start < at.stop:
            seen, back = x[:, read], dy[:, at]
            one = passes(direct, _images(seen), kernel, np.zeros_like(b), _images(back))
            y[:, at] += one[0].reshape(back.shape)
            dx[:, read] += one[1].reshape(seen.shape)
            dw[k] += one[2]
    return _images(y) + b, _images(dx), dw, dy.sum((0, 1, 2, 3))


def _images(clips):
    return np.ascontiguousarray(clips).reshape(-1, *clips.shape[2:])


@settings(deadline=None, max_examples=60)
@given(
    kernel=st.sampled_from(sorted(FORMS)),
    clips=st.integers(1, 3),
    moments=st.integers(1, 6),
    seen=st.integers(2, 4),
    dilation=st.integers(1, 2),
    before=st.integers(0, 7),
    after=st.integers(0, 7),
    size=st.tuples(st.integers(5, 13), st.integers(5, 13)),
    padding=st.sampled_from(["same", "valid", (0, 2, 1, 0)]),
    values=st.sampled_from([1, 4000, 10**6]),
)
def test_of_clips_each_moment_is_transformed_once(
    kernel, clips, moments, seen, dilation, before, after, size, padding, values
):
    rng = np.random.default_rng(0)
    where, channels, filters = windows(*size, kernel, 1, 1, padding), 3, 2
    try:
        time = axis("time", moments, seen, 1, dilation, (before, after))
    except ValueError:
        return  # the kernel spans more moments than there are
    out = where.rows.out, where.columns.out, filters
    arrays = [
        rng.standard_normal((clips * moments, *size, channels)),
        rng.standard_normal((seen, kernel, kernel, 3, 2)),
    ]
    arrays += [rng.standard_normal(filters), rng.standard_normal((clips * time.out, *out))]
    expected = of_clips(Convolution(where, channels, filters, 1), time, *arrays)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(winograd_module, "CLIP_VALUES", values)
        patch.setattr(winograd_module, "LEAST_TILES", 1)
        found = passes(Winograd(where, channels, filters, time), *arrays)
    for direct, fast in zip(expected, found, strict=True):
        np.testing.assert_allclose(fast, direct, rtol=0, atol=1e-11 * max(np.abs(direct).max(), 1))


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
@pytest.mark.parametrize("values", [1, 30, 10**6])
def test_panels_change_rounding_only(kernel, values, monkeypatch):
    monkeypatch.setattr(calls_module, "PORTION", values)
    monkeypatch.setattr(panels_module, "LEAST_COLUMNS", 3)
    monkeypatch.setattr(panels_module, "WIDEST", 2)
    monkeypatch.setattr(products_module, "reads_in_place", lambda: True)
    for direct, fast in zip(*both(kernel, 2, 7, 8, 5, 7, "same", np.float64), strict=True):
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
