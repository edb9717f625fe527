"""Batch normalization beyond the contracts: precision, statistics, and batches it cannot measure."""

from __future__ import annotations

import numpy as np
import pytest

from cnntrain.parts.layers import batch_norm as module
from cnntrain.parts.layers.batch_norm import BatchNorm
from tests.support.layers import run, start


def test_float32_keeps_its_digits_where_the_mean_is_large():
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((6, 5, 4, 3)) + np.array([0, 1e3, -1e4])).astype(np.float32)
    dy = rng.standard_normal(x.shape)
    layer = BatchNorm()
    p = start(layer, x.shape[1:])
    exact = run(layer, [x.astype(np.float64)], p, dy)
    single = run(layer, [x], {k: v.astype(np.float32) for k, v in p.items()}, dy.astype(np.float32))
    for ours, theirs in ((single.y, exact.y), (single.dxs[0], exact.dxs[0]), (single.dp["scale"], exact.dp["scale"])):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=3e-6 * np.abs(theirs).max())


def test_centering_changes_rounding_only(monkeypatch):
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal((2, 4, 7, 5, 3))
    layer = BatchNorm()
    p = start(layer, x.shape[1:])
    whole = run(layer, [x], p, dy)
    monkeypatch.setattr(module, "CENTERED", 0)
    small = run(layer, [x], p, dy)
    for a, b in ((whole.y, small.y), (whole.dxs[0], small.dxs[0]), (whole.dp["scale"], small.dp["scale"])):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("mean", [0, 100, 10_000])
def test_the_variance_of_float32_values_keeps_its_digits_whatever_the_mean(mean):
    x = np.random.default_rng(0).standard_normal((3, 4, 5, 2)).astype(np.float32) + np.float32(mean)
    layer = BatchNorm()
    (f,) = run(layer, [x], start(layer, x.shape[1:], dtype=np.float32)).frames
    total = layer.partial(f)
    pixels = x.reshape(-1, 2).astype(np.float64)
    assert total.dtype == np.float64
    assert total[0] == 60
    np.testing.assert_allclose(total[1:3], pixels.sum(0), rtol=1e-6, atol=1e-5)
    np.testing.assert_allclose(total[3:] / 60 - (total[1:3] / 60) ** 2, pixels.var(0), rtol=1e-6)


def test_one_pixel_far_from_all_others_costs_no_digits():
    """Even the first of the shard."""
    x = (1 + 1e-4 * np.random.default_rng(0).standard_normal((2, 128, 128, 1))).astype(np.float32)
    x[0, 0, 0] = 0
    dy = np.random.default_rng(1).standard_normal(x.shape).astype(np.float32)
    layer = BatchNorm(affine=False)
    found, exact = (run(layer, [x.astype(t)], start(layer, x.shape[1:], dtype=t), dy.astype(t)) for t in ("f4", "f8"))
    for mine, theirs in ((found.y, exact.y), (found.dxs[0], exact.dxs[0])):
        assert np.abs(mine - theirs).max() <= 2e-6 * np.abs(theirs).max()


def test_a_constant_channel_has_variance_0_and_no_gradient():
    x = np.full((4, 3), 0.1)
    layer = BatchNorm()
    p = start(layer, (3,))
    result = run(layer, [x], p, np.random.default_rng(0).standard_normal((4, 3)))
    np.testing.assert_allclose(result.y, np.broadcast_to(p["shift"], (4, 3)), atol=1e-12)
    assert np.all(np.isfinite(result.dxs[0]))


def test_one_value_per_channel_has_no_variance():
    layer = BatchNorm()
    p = start(layer, (3,))
    with pytest.raises(ValueError, match="batch_norm got one value per channel in this batch"):
        layer.update_statistics(np.array([1.0, *[0.5] * 3, *[0.25] * 3]), p)
    one_image = np.random.default_rng(0).standard_normal((1, 2, 2, 3))
    run(layer, [one_image], p, one_image)  # four pixels are four values
