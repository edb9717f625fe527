"""The chunked convolution against loops over every number, with chunks of every kind."""

from __future__ import annotations

import numpy as np
import pytest

from cnntrain.core.arrays import aligned
from cnntrain.engine.solo import spoiled
from cnntrain.ops import calls as calls_module
from cnntrain.ops import columns as columns_module
from cnntrain.ops import convolution as convolution_module
from cnntrain.ops.calls import run
from cnntrain.ops.convolution import Convolution
from cnntrain.ops.windows import windows
from tests.support.kernels import passes

CASES = {  # (height, width, channels), filters, groups, windows' arguments
    "plain": ((6, 7, 5), 4, 1, (3, 1)),
    "one channel": ((9, 8, 1), 3, 1, (5, 1, 1, 2)),
    "stride": ((9, 7, 6), 3, 1, (3, 2, 1, "same")),
    "everything": ((11, 9, 10), 4, 2, ((3, 2), (2, 1), (1, 3), (2, 0, 1, 3))),
    "few in a group": ((7, 8, 6), 6, 3, (3, 1, 1, 1)),
    "pointwise": ((5, 6, 4), 7, 1, (1, 1)),
    "pointwise groups": ((5, 6, 12), 4, 2, (1, 1)),
    "padding beyond the kernel": ((4, 5, 5), 2, 1, (2, 1, 1, 3)),
    "only padding": ((2, 2, 5), 2, 1, (3, 4, 1, 5)),
    "stride beyond the kernel": ((9, 8, 3), 4, 1, ((2, 1), (3, 2), 1, (1, 0, 1, 1))),
    "stride and dilation": ((9, 8, 3), 4, 1, (3, (2, 3), (2, 3), 1)),
}
CHUNKS = {"whole shard": 128 * 1024, "some images": 2000, "bands": 300, "single rows": 1}
FIELDS = {"whole shard": 1000, "some images": 10**6, "bands": 10**6, "single rows": 1}


def naive(x, w, b, dy, where, groups):
    """Every product written out."""
    kh, kw, per_group, filters = w.shape
    y, dx, dw = np.zeros_like(dy), np.zeros_like(x), np.zeros_like(w)
    for n, r, c, f in np.ndindex(*dy.shape):
        group = f // (filters // groups)
        total = b[f]
        for i, j, k in np.ndindex(kh, kw, per_group):
            row = r * where.rows.stride + i * where.rows.dilation - where.rows.before
            column = c * where.columns.stride + j * where.columns.dilation - where.columns.before
            if 0 <= row < x.shape[1] and 0 <= column < x.shape[2]:
                at = (n, row, column, group * per_group + k)
                total += x[at] * w[i, j, k, f]
                dx[at] += dy[n, r, c, f] * w[i, j, k, f]
                dw[i, j, k, f] += dy[n, r, c, f] * x[at]
        y[n, r, c, f] = total
    return y, dx, dw, dy.sum((0, 1, 2))


def setup(case, dtype=np.float64):
    shape, filters, groups, arguments = CASES[case]
    rng = np.random.default_rng(0)
    where = windows(*shape[:2], *arguments)
    plan = Convolution(where, shape[2], filters, groups)

    def draw(*sides):
        array = aligned(sides, dtype)
        array[...] = rng.standard_normal(sides)
        return array

    x = draw(5, *shape)
    w = draw(where.rows.kernel, where.columns.kernel, shape[2] // groups, filters)
    return plan, x, w, draw(filters), draw(5, where.rows.out, where.columns.out, filters)


@pytest.fixture(scope="module")
def expected():
    made = {}
    for case in CASES:
        plan, x, w, b, dy = setup(case)
        made[case] = naive(x, w, b, dy, plan.windows, plan.groups)
    return made


def ways(case):
    """How dx can be computed."""
    plan = setup(case)[0]
    correlation = ["correlation", "correlation of large kernels"] if plan.turned else []
    return ["scattering", *correlation, *(["phases"] if plan.phases else [])]


WAYS = [(case, way) for case in CASES for way in ways(case)]


@pytest.mark.parametrize(("case", "way"), WAYS)
@pytest.mark.parametrize("chunk", CHUNKS)
def test_equals_the_loops(case, chunk, way, expected, monkeypatch):
    monkeypatch.setattr(columns_module, "CHUNK_VALUES", CHUNKS[chunk])
    monkeypatch.setattr(columns_module, "FIELD_VALUES", FIELDS[chunk])
    monkeypatch.setattr(columns_module, "LEAST_ROWS", 192 if chunk == "whole shard" else 1)
    monkeypatch.setattr(calls_module, "PORTION", 1 if chunk == "single rows" else 1000)
    if "large" in way:
        monkeypatch.setattr(convolution_module, "MANY", 1)
    monkeypatch.setattr(calls_module, "FAR", calls_module.FAR if chunk == "whole shard" else 0)
    monkeypatch.setattr(calls_module, "ROWS_AT_ONCE", 2)
    plan, x, w, b, dy = setup(case)
    plan.__dict__.update(by_correlation=way.startswith("correlation"), by_phases=way == "phases")
    for ours, theirs in zip(passes(plan, x, w, b, dy), expected[case], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-11)


def test_chunks_cover_every_window_once(monkeypatch):
    monkeypatch.setattr(columns_module, "LEAST_ROWS", 1)
    for values in (1, 500, 3000, 10**6):
        monkeypatch.setattr(columns_module, "CHUNK_VALUES", values)
        plan = setup("stride")[0]
        seen = np.zeros((7, plan.windows.rows.out), int)
        sizes = []
        for chunk in plan.columns.chunks(7):
            seen[chunk.images, chunk.rows] += 1
            sizes.append(chunk.size)
            assert chunk.first == (chunk.rows.start == 0)
            assert chunk.last == (chunk.rows.stop == plan.windows.rows.out)
        assert np.all(seen == 1)
        assert max(sizes) * plan.columns.depth == plan.columns.matrix_size(7)


def test_a_chunk_of_the_columns_fits_the_cache():
    plan = Convolution(windows(224, 224, 3, 1, 1, "same"), 64, 64, 1)
    assert plan.columns.matrix_size(8) <= columns_module.CHUNK_VALUES
    small = Convolution(windows(4, 4, 3, 1, 1, "same"), 512, 512, 1)
    images, rows = small.columns.extent(32)
    assert images * rows * 4 >= columns_module.LEAST_ROWS - 16


def test_the_gradient_of_the_input_takes_the_cheaper_way():
    same = Convolution(windows(32, 32, 3, 1, 1, "same"), 32, 32, 1)
    lenet = Convolution(windows(12, 12, 5, 1), 20, 50, 1)
    strided = Convolution(windows(32, 32, 3, 2, 1, "same"), 32, 32, 1)
    assert same.by_correlation
    assert not lenet.by_correlation
    assert strided.turned is None
    assert not strided.by_correlation
    assert strided.by_phases
    assert not same.by_phases
    assert not lenet.by_phases
    assert not Convolution(windows(32, 32, 3, 2, 1, "same"), 1, 200, 1).by_phases


def test_gather_and_scatter_are_adjoint():
    plan, x, *_ = setup("everything")
    columns = plan.columns
    rng = np.random.default_rng(3)
    matrix, border = spoiled((columns.matrix_size(5),), float), spoiled(columns.border_shape(5), float)
    back, d_border = spoiled((columns.matrix_size(5),), float), spoiled(columns.gradient_shape(5), float)
    weights, forward = [], 0.0
    for _, flat, filling in columns.gather(x, matrix, border):
        run(filling)
        weights.append(rng.standard_normal(flat.shape))
        forward += np.sum(flat * weights[-1])
    dx = spoiled(x.shape, float)
    for (_, flat, before, after), weight in zip(columns.scatter(back, dx, d_border), weights, strict=True):
        run(before)
        flat[...] = weight
        run(after)
    np.testing.assert_allclose(np.sum(dx * x), forward, rtol=1e-12)


def test_large_kernels_are_not_turned_back_and_large_matrices_not_transposed():
    large, small = (Convolution(windows(8, 8, 3, 1, 1, "same"), many, many, 1) for many in (128, 32))
    assert (large.tap_by_tap, small.tap_by_tap) == (True, False)
    pointwise = Convolution(windows(8, 8, 1, 1), 64, 256, 1)
    assert "backward" not in pointwise.scratch(4, np.float32)
    assert "backward" in Convolution(windows(8, 8, 1, 1), 32, 64, 1).scratch(4, np.float32)
    assert "backward" in Convolution(windows(8, 8, 1, 1), 64, 256, 2).scratch(4, np.float32)
