"""Patch whitening against its definition: uncorrelated channels of like size, and a convolution by the same filters."""

from __future__ import annotations

import numpy as np
import pytest

from cnntrain.checks.contracts.transform import draws
from cnntrain.core import registry

SIZE, EPSILON = 2, 5e-4


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """Smooth ones, whose neighbours are alike."""
    noise = np.random.default_rng(0).standard_normal((50, 12, 11, 3))
    return (noise[:, 1:, 1:] + noise[:, :-1, 1:] + noise[:, 1:, :-1] + noise[:, :-1, :-1]).astype(np.float64)


def test_its_channels_are_uncorrelated_and_of_size_one_where_there_is_no_noise_to_blow_up(images: np.ndarray) -> None:
    fitted = registry.make("transforms", "patch_whiten", epsilon=EPSILON, both_signs=False).fit([images])
    values = fitted.apply(images, draws(range(50))).reshape(-1, 12)
    moments = values.T @ values / len(values)
    np.testing.assert_allclose(moments - np.diag(np.diag(moments)), 0, atol=1e-5)
    patches = np.stack([images[:, y : y + 10, x : x + 9] for y in range(2) for x in range(2)], axis=3).reshape(-1, 12)
    sizes = np.linalg.eigvalsh(patches.T @ patches / len(patches))[::-1]
    np.testing.assert_allclose(np.diag(moments), sizes / (sizes + EPSILON), rtol=1e-5)


def test_it_is_a_convolution_and_its_negative(images: np.ndarray) -> None:
    fitted = registry.make("transforms", "patch_whiten").fit([images])
    filters = fitted.arrays()["filters"].astype(np.float64)
    expected = sum(images[:, y : y + 10, x : x + 9] @ filters[y, x] for y in range(2) for x in range(2))
    found = fitted.apply(images, draws(range(50)))
    np.testing.assert_allclose(found, expected, atol=1e-12)
    np.testing.assert_array_equal(found[..., 12:], -found[..., :12])


@pytest.mark.parametrize(
    ("fields", "shape", "said"),
    [
        ({"size": 9}, (8, 12, 3), "patches of 9x9 do not fit a 8x12 image"),
        ({"size": 8}, (8, 12, 17), "a patch has 1,088 values"),
    ],
)
def test_what_does_not_fit(fields: dict[str, int], shape: tuple[int, ...], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        registry.make("transforms", "patch_whiten", **fields).output_shape(shape)
