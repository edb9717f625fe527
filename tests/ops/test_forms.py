"""The transforms of Winograd's convolution are an identity, and the published ones."""

from __future__ import annotations

import numpy as np
import pytest

from cnntrain.ops.forms import FORMS


@pytest.mark.parametrize("kernel", sorted(FORMS))
def test_the_transforms_are_an_identity(kernel):
    """One tile, one channel, in float64: A' [(G g G') * (B' d B)] A is the correlation of d with g."""
    form, rng = FORMS[kernel], np.random.default_rng(1)
    d, g = rng.integers(-9, 9, (form.tile, form.tile)), rng.integers(-9, 9, (kernel, kernel))
    expected = [[np.sum(d[i : i + kernel, j : j + kernel] * g) for j in range(form.out)] for i in range(form.out)]
    transformed = form.weights @ g @ form.weights.T
    found = form.outputs @ (transformed * (form.inputs @ d @ form.inputs.T)) @ form.outputs.T
    np.testing.assert_allclose(found, expected, atol=1e-10)
    np.testing.assert_allclose((form.kernels @ g.ravel()).reshape(form.tile, form.tile).T, transformed, atol=1e-12)


def test_those_of_3x3_are_lavins():
    """Lavin and Gray (2015), section 4.1: F(4x4, 3x3)."""
    form = FORMS[3]
    assert form.inputs.tolist() == [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ]
    expected = [[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]]
    np.testing.assert_allclose(24 * form.weights, expected, rtol=1e-15)
    assert form.outputs.tolist() == [
        [1, 1, 1, 1, 1, 0],
        [0, 1, -1, 2, -2, 0],
        [0, 1, 1, 4, 4, 0],
        [0, 1, -1, 8, -8, 1],
    ]


def test_a_matrix_has_the_type_of_an_array():
    for kind in (np.float32, np.float64):
        made = FORMS[5].matrix("output adjoint", np.zeros(1, kind))
        assert made.dtype == kind
        assert made.flags.c_contiguous
        assert made.shape == (8, 4)
