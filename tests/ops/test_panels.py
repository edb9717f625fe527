"""A matrix in panels is the same matrix, whatever its size, and products with it are those with the matrix."""

from __future__ import annotations

import numpy as np
import pytest

from cnntrain.ops import products
from cnntrain.ops.calls import PORTION, run
from cnntrain.ops.panels import LEAST_COLUMNS, MOST_VALUES, Panels
from cnntrain.ops.products import WIDEST

SHAPES = [(5, 3), (7, 64), (300, LEAST_COLUMNS - 1), (300, LEAST_COLUMNS), (37, 500), (1, 700), (600, 900), (2000, 320)]


@pytest.fixture(params=[True, False], ids=["in_place", "packed"])
def in_place(request, monkeypatch):
    """Whether BLAS has kernels that read operands in place: both in turn."""
    monkeypatch.setattr(products, "reads_in_place", lambda: request.param)
    products._piece.cache_clear()
    yield request.param
    products._piece.cache_clear()


def poured(matrices: np.ndarray) -> tuple[Panels, np.ndarray]:
    """A stack of matrices in panels."""
    panels = Panels(*matrices.shape[-2:])
    memory = np.full((*matrices.shape[:-2], matrices[0].size if matrices.ndim > 2 else matrices.size), np.nan)
    for part in panels.portions():
        memory[..., part.place] = matrices[..., part.rows, part.columns].reshape(*matrices.shape[:-2], -1)
    return panels, memory


@pytest.mark.parametrize(("rows", "columns"), SHAPES)
@pytest.mark.usefixtures("in_place")
def test_portions_fill_the_memory_once(rows, columns):
    matrix = np.arange(rows * columns, dtype=float).reshape(rows, columns)
    panels, memory = poured(matrix)
    assert np.array_equal(np.sort(memory), matrix.reshape(-1))
    places = sorted((part.place.start, part.place.stop) for part in panels.portions(100))
    assert [0, *(stop for _, stop in places)] == [*(start for start, _ in places), rows * columns]
    assert all(part.shape[0] * part.shape[1] == part.place.stop - part.place.start for part in panels.portions())


@pytest.mark.parametrize(("rows", "columns"), SHAPES)
@pytest.mark.parametrize("m", [1, 2, 9, 70])
@pytest.mark.usefixtures("in_place")
def test_products_are_those_with_the_matrix(rows, columns, m):
    rng = np.random.default_rng(rows)
    matrices, a = rng.standard_normal((3, rows, columns)), rng.standard_normal((3, m, rows))
    panels, memory = poured(matrices)
    out = np.full((3, m, columns + 2), np.nan)
    run(panels.product(a, memory, out[..., 1:-1]))
    np.testing.assert_allclose(out[..., 1:-1], a @ matrices, rtol=1e-9, atol=1e-9)
    assert np.isnan(out[..., [0, -1]]).all()
    one = np.empty((m, columns))
    run(panels.product(a[1], memory[1], one))
    np.testing.assert_allclose(one, a[1] @ matrices[1], rtol=1e-9, atol=1e-9)


def test_a_matrix_is_cut_where_its_rows_are_far_apart_and_blas_reads_it_in_place(in_place):
    assert Panels(100, LEAST_COLUMNS).cut == in_place
    assert not Panels(100, LEAST_COLUMNS - 1).cut
    assert not Panels(MOST_VALUES // 1024 + 1, 1024).cut, "it would take too much memory"
    assert Panels(100, LEAST_COLUMNS).width == (WIDEST if in_place else LEAST_COLUMNS)


@pytest.mark.parametrize("columns", [300, 512])
def test_a_row_has_the_bits_it_has_among_others_where_sums_are_long(columns):
    """With real kernels: in panels the same terms are added up at a time, however many rows there are."""
    rng = np.random.default_rng(0)
    matrix, a = (rng.standard_normal(shape).astype(np.float32) for shape in ((2304, columns), (49, 2304)))
    panels, memory = poured(matrix)
    memory = memory.astype(np.float32)
    outs = []
    for rows in (slice(0, 49), slice(0, 28), slice(28, 49)):
        outs.append(np.empty((rows.stop - rows.start, columns), np.float32))
        run(panels.product(a[rows], memory, outs[-1]))
    np.testing.assert_allclose(outs[0], a @ matrix, rtol=1e-3, atol=1e-3)
    if panels.cut:
        assert np.array_equal(outs[0], np.concatenate(outs[1:]))


@pytest.mark.usefixtures("in_place")
def test_a_large_matrix_has_portions_for_many_workers_and_a_small_one_has_one():
    assert len(Panels(1000, 512).portions()) == 16
    assert len(Panels(1000, 100).portions()) == 100_000 // PORTION
    assert len(Panels(10, 100).portions()) == 1
    assert len(Panels(10, 100).portions(stack=36)) == 4
