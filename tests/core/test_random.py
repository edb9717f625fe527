"""Draws depend on what they are for and on nothing else, today and in later versions."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from cnntrain.core.random import Draws, stream

SAMPLES = np.arange(50_000)


def draws(seed: int = 0, purpose: str = "crop", *ids: int) -> Draws:
    return Draws(seed, purpose, ids, SAMPLES)


def test_the_numbers_never_change() -> None:
    """Recorded from the first version: another value here means that no old run can be repeated."""
    assert stream(0, "init", 3).integers(0, 2**63, 3).tolist() == [
        8188519035416060594,
        3700254708047891625,
        6563779509866055126,
    ]
    assert stream(2**63 - 1, "order").standard_normal(2).tolist() == [0.7945974793760799, 0.6895610620174643]
    few = Draws(7, "hflip", (2,), np.array([0, 1, 60_000]))
    assert few.bits().tolist() == [8448860654589864208, 3830423234619720184, 7985815109707352610]
    assert few.uniform().tolist() == [0.3465512292232539, 0.6516182994285092, 0.020244794822489975]
    assert few.integers(9).tolist() == [5, 3, 8]


def test_every_part_of_an_address_matters() -> None:
    addresses: list[tuple[int, str, tuple[int, ...]]] = [
        *((0, "a", ids) for ids in ((), (0,), (1,), (10,), (0, 0), (1, 0))),
        *((1, "a", ()), (0, "b", ())),
    ]
    streamed = {tuple(stream(seed, purpose, *ids).integers(0, 2**60, 4)) for seed, purpose, ids in addresses}
    hashed = {tuple(Draws(seed, purpose, ids, SAMPLES[:4]).bits()) for seed, purpose, ids in addresses}
    assert len(streamed) == len(hashed) == len(addresses)


def test_an_address_starts_the_same_stream_every_time() -> None:
    one, two = stream(5, "dropout", 1, 2, 3), stream(5, "dropout", 1, 2, 3)
    one.random(100)
    assert stream(5, "dropout", 1, 2, 3).random() == two.random()


def test_streams_of_neighbouring_addresses_are_uncorrelated() -> None:
    rows = np.array([stream(seed, "noise", step).standard_normal(2000) for seed in range(4) for step in range(8)])
    correlations = np.corrcoef(rows)[np.triu_indices(len(rows), 1)]
    assert np.abs(correlations).max() < 5 / np.sqrt(2000)


def test_a_sample_draws_the_same_in_every_batch() -> None:
    def three(samples: np.ndarray) -> dict[int, tuple[float, ...]]:
        some = Draws(1, "crop", (4,), samples)
        assert len(some) == len(samples)
        columns = [some.uniform(), some.integers(7), some.bits()]
        return dict(zip(samples.tolist(), zip(*(column.tolist() for column in columns), strict=True), strict=True))

    rng = np.random.default_rng(0)
    expected = three(np.arange(100))
    for dtype in (np.int64, np.int32, np.uint64):
        samples = rng.permutation(100)[:37].astype(dtype)
        assert three(samples) == {sample: expected[sample] for sample in samples.tolist()}
    assert three(np.array([42])) == {42: expected[42]}


def test_uniform_draws_are_uniform() -> None:
    """Chi-squared over 100 cells: mean 99, standard deviation 14."""
    some = draws()
    for _ in range(3):
        cells = np.bincount((some.uniform() * 100).astype(int), minlength=100)
        assert np.sum((cells - 500) ** 2 / 500) < 99 + 5 * 14
    spread = draws().uniform(-2, 3)
    assert spread.min() >= -2
    assert spread.max() < 3
    assert abs(spread.mean() - 0.5) < 5 * 5 / np.sqrt(12 * len(spread))


@pytest.mark.parametrize("count", [1, 2, 9, 224])
def test_integers_are_uniform_and_inside(count: int) -> None:
    cells = np.bincount(draws().integers(count), minlength=count)
    assert len(cells) == count
    expected = len(SAMPLES) / count
    assert np.sum((cells - expected) ** 2 / expected) < count + 5 * np.sqrt(2 * count)


def test_every_bit_is_fair_and_neighbours_are_independent() -> None:
    some = draws()
    one, two = some.bits(), some.bits()
    for words in (one, two, one ^ two, one[1:] ^ one[:-1]):
        shares = [float(np.mean((words >> np.uint64(bit)) & np.uint64(1))) for bit in range(64)]
        assert max(abs(share - 0.5) for share in shares) < 5 * 0.5 / np.sqrt(len(words))


def test_draws_of_neighbouring_addresses_are_uncorrelated() -> None:
    rows = [Draws(seed, "crop", (epoch,), SAMPLES[:2000]) for seed in range(3) for epoch in range(3)]
    columns = [row.uniform() for row, _ in itertools.product(rows, range(3))]
    correlations = np.corrcoef(columns)[np.triu_indices(len(columns), 1)]
    assert np.abs(correlations).max() < 5 / np.sqrt(2000)
