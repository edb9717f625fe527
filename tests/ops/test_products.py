"""Products in pieces equal the whole product, whatever the shapes and the memory behind them."""

from __future__ import annotations

import numpy as np
import pytest

from cnntrain.ops import products
from cnntrain.ops.calls import run
from cnntrain.ops.products import ACROSS, UNPACKED, across, multiply

SHAPES = [
    (1, 5, 7),
    (3, 4, 1),
    (300, 144, 16),
    (1000, 288, 33),
    (32, 784, 512),
    (64, 900, 500),
    (24, 900, 500),
    (100, 1024, 300),
    (17, 9000, 24),
    (5, 70000, 3),
    (8, 4096, 256),
    (64, 8193, 40),
    (3, 30000, 700),
]


@pytest.fixture
def kernels(monkeypatch):
    """As where BLAS has, or has not, kernels that read operands in place, whatever it has here."""

    def choose(in_place):
        monkeypatch.setattr(products, "reads_in_place", lambda: in_place)
        products._piece.cache_clear()

    yield choose
    products._piece.cache_clear()


@pytest.fixture
def in_place(kernels):
    """As where BLAS has kernels that read operands in place."""
    kernels(True)


@pytest.fixture(params=[True, False], ids=["in_place", "packed"])
def either(request, kernels):
    """Both kinds of BLAS in turn."""
    kernels(request.param)


@pytest.mark.parametrize(("m", "k", "n"), SHAPES)
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.usefixtures("either")
def test_pieces_make_the_whole(m, k, n, transposed):
    rng = np.random.default_rng(m)
    a = rng.standard_normal((k, m)).T if transposed else rng.standard_normal((m, k))
    b = rng.standard_normal((k, n + 3))[:, 3:]
    room = np.full((m, n + 2), np.nan)
    multiply(a, b, room[:, :n])
    np.testing.assert_allclose(room[:, :n], a @ b, rtol=1e-9, atol=1e-9)
    assert np.isnan(room[:, n:]).all()


@pytest.mark.usefixtures("either")
def test_stacks_of_products_and_one_right_operand_for_all():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((3, 700, 40)), rng.standard_normal((3, 40, 70))
    out = np.empty((3, 700, 70))
    multiply(a, b, out)
    np.testing.assert_allclose(out, a @ b, rtol=1e-9, atol=1e-9)
    multiply(a, b[1], out)
    np.testing.assert_allclose(out, a @ b[1], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("m", "k", "n"), [(64, 784, 512), (104, 128, 512), (512, 1024, 256)])
@pytest.mark.usefixtures("in_place")
def test_a_product_with_a_wide_right_operand_is_left_whole_where_many_rows_share_the_copy(m, k, n):
    arrays = np.ones((m, k), np.float32), np.ones((k, n), np.float32), np.empty((m, n), np.float32)
    (call,) = products.product(*arrays)
    assert all(given is whole for given, whole in zip(call.args, arrays, strict=True))
    assert products.product(np.ones((32, k), np.float32), arrays[1], arrays[2][:32])[0].args[0].ndim > 2


@pytest.mark.parametrize(
    ("m", "k", "n"), [(8192, 144, 16), (512, 1152, 128), (32, 784, 512), (576, 512, 64), (8, 4096, 256)]
)
@pytest.mark.usefixtures("in_place")
def test_no_piece_is_large_enough_to_be_packed(m, k, n, monkeypatch):
    sizes = []

    def spy(a, b, out):
        sizes.append(a.shape[-2] * a.shape[-1] * b.shape[-1])
        return real(a, b, out)

    real = np.matmul
    monkeypatch.setattr(products.np, "matmul", spy)
    multiply(np.ones((m, k), np.float32), np.ones((k, n), np.float32), np.empty((m, n), np.float32))
    assert max(sizes) <= UNPACKED
    assert len(sizes) <= 2


@pytest.mark.parametrize(("m", "k", "n"), [(8, 256, 4096), (32, 500, 800), (50, 512, 100), (2, 40, 3000), (7, 20, 900)])
@pytest.mark.usefixtures("either")
def test_a_product_with_a_transposed_matrix_equals_the_whole(m, k, n):
    rng = np.random.default_rng(m)
    a, b, room = rng.standard_normal((m, k)), rng.standard_normal((n, k)), np.full((m, n + 2), np.nan)
    run(across(a, b, room[:, :n]))
    np.testing.assert_allclose(room[:, :n], a @ b.T, rtol=1e-9, atol=1e-9)
    assert np.isnan(room[:, n:]).all()


@pytest.mark.parametrize(("m", "k", "n"), [(8, 256, 4096), (16, 512, 784), (32, 500, 800), (64, 512, 784)])
@pytest.mark.usefixtures("in_place")
def test_pieces_of_a_product_with_a_transposed_matrix_are_small(m, k, n):
    arrays = np.ones((m, k), np.float32), np.ones((n, k), np.float32), np.empty((m, n), np.float32)
    sizes = [call.args[0].shape[-2] * call.args[1].shape[-1] for call in across(*arrays)]
    assert len(sizes) <= 2
    assert sizes[0] <= ACROSS


@pytest.mark.parametrize(("m", "k", "n"), [(8192, 144, 16), (32, 784, 512), (576, 512, 64)])
def test_a_blas_that_copies_operands_in_any_case_gets_them_whole(m, k, n, kernels):
    kernels(False)
    arrays = np.ones((m, k), np.float32), np.ones((k, n), np.float32), np.empty((m, n), np.float32)
    for calls in (products.product(*arrays), across(arrays[0], np.ones((n, k), np.float32), arrays[2])):
        (call,) = calls
        assert call.args[0].ndim == call.args[1].ndim == 2


@pytest.mark.usefixtures("either")
def test_long_sums_of_a_few_rows_are_cut_and_stacks_of_them_too():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 9000, 20)).swapaxes(1, 2), rng.standard_normal((2, 9000, 30))
    out = np.empty((2, 20, 30))
    *parts, total = products.product(a, b, out)
    assert all(call.args[0].shape[-1] <= products.SUMMED_AT_ONCE for call in parts)
    assert total.func == np.add.reduce
    run([*parts, total])
    np.testing.assert_allclose(out, a @ b, rtol=1e-9, atol=1e-9)
    multiply(a, b[1], out)
    np.testing.assert_allclose(out, a @ b[1], rtol=1e-9, atol=1e-9)
