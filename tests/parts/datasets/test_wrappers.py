"""concat, subset and k_fold: what they make of another dataset's samples, counted one by one."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnntrain.core import registry
from cnntrain.core.errors import DataError
from cnntrain.parts.datasets.base import Dataset
from cnntrain.parts.datasets.images import Images
from cnntrain.reading.reader import ALONE, Reader
from tests.support.datasets import labels, write_idx


class Numbered(Dataset):
    """Samples whose only pixel is their number; class c has sizes[c] of them. No sizes: regression."""

    def __init__(self, sizes: tuple[int, ...] = (7, 12, 5), splits: tuple[str, ...] = ("train", "test")) -> None:
        object.__setattr__(self, "sizes", sizes)
        object.__setattr__(self, "found", splits)

    def splits(self) -> tuple[str, ...]:
        return self.found  # type: ignore[attr-defined,no-any-return]

    def load(self, split: str, reader: Reader = ALONE) -> Images:
        sizes: tuple[int, ...] = self.sizes  # type: ignore[attr-defined]
        count = sum(sizes) or 10
        pixels = np.arange(count, dtype=np.uint8).reshape(-1, 1, 1, 1)
        if not sizes:
            return Images(pixels, np.arange(count, dtype=np.float32)[:, None], ())
        targets = np.random.default_rng(3).permutation(np.repeat(np.arange(len(sizes)), sizes))
        return Images(pixels, targets, tuple("abc"[: len(sizes)]))


def make(name: str, **fields: Any) -> Any:
    return registry.make("datasets", name, **fields)


def numbers(images: Images) -> list[int]:
    return [int(value) for value in images.pixels.ravel()]


def counts(images: Images) -> list[int]:
    found = Counter(images.targets.tolist() if images.classes else ())
    return [found[label] for label in range(len(images.classes))]


@pytest.mark.parametrize(("fraction", "expected"), [(1.0, [7, 12, 5]), (0.5, [4, 6, 3]), (0.01, [1, 1, 1])])
def test_a_fraction_is_of_each_class(fraction: float, expected: list[int]) -> None:
    images = make("subset", source=Numbered(), fraction=fraction).load("train")
    assert counts(images) == expected
    assert numbers(images) == sorted(set(numbers(images)))
    whole = Numbered().load("train")
    np.testing.assert_array_equal(images.targets, whole.targets[numbers(images)])


def test_a_number_of_each_class_and_larger_subsets_contain_smaller() -> None:
    small, large = (numbers(make("subset", source=Numbered(), per_class=n).load("train")) for n in (2, 4))
    assert len(small) == 6
    assert set(small) < set(large)
    assert counts(make("subset", source=Numbered(), per_class=5).load("train")) == [5, 5, 5]
    other = numbers(make("subset", source=Numbered(), per_class=2, seed=1).load("train"))
    assert other != small == numbers(make("subset", source=Numbered(), per_class=2).load("train"))


def test_a_subset_leaves_other_splits_whole() -> None:
    assert len(make("subset", source=Numbered(), per_class=1).load("test")) == 24


def test_a_subset_of_regression() -> None:
    images = make("subset", source=Numbered(()), fraction=0.3).load("train")
    assert images.targets[:, 0].tolist() == numbers(images)
    assert len(images) == 3


def test_too_few_of_a_class() -> None:
    with pytest.raises(DataError, match=r"class 'c' has 5 training samples, expected 6 or more as 'per_class' says"):
        make("subset", source=Numbered(), per_class=6).load("train")
    with pytest.raises(DataError, match="the source has 10 training samples"):
        make("subset", source=Numbered(()), per_class=11).load("train")


@pytest.mark.parametrize("fields", [{}, {"fraction": 0.5, "per_class": 3}, {"fraction": 0.0}, {"fraction": 1.5}])
def test_a_subset_is_asked_for_in_one_way(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"exactly one of|fraction must be"):
        make("subset", source=Numbered(), **fields)


@pytest.mark.parametrize("sizes", [(7, 12, 5), ()])
@pytest.mark.parametrize("folds", [2, 3, 10])
def test_folds_are_a_partition_as_even_as_can_be(sizes: tuple[int, ...], folds: int) -> None:
    source = Numbered(sizes)
    whole = source.load("train")
    parts = [make("k_fold", source=source, folds=folds, fold=fold) for fold in range(folds)]
    validating = [part.load("val") for part in parts]
    assert sorted(n for images in validating for n in numbers(images)) == numbers(whole)
    assert {len(images) for images in validating} <= {len(whole) // folds, -(-len(whole) // folds)}
    for column in zip(*map(counts, validating), strict=True):
        assert max(column) - min(column) <= 1
    for part, images in zip(parts, validating, strict=True):
        train = numbers(part.load("train"))
        assert train == sorted(set(numbers(whole)) - set(numbers(images)))


def test_folds_depend_on_the_seed_and_pass_the_test_split_on() -> None:
    first, second = (make("k_fold", source=Numbered(), seed=seed) for seed in (0, 1))
    assert numbers(first.load("val")) != numbers(second.load("val"))
    assert first.splits() == ("train", "val", "test")
    assert len(first.load("test")) == 24
    assert make("k_fold", source=Numbered(splits=("train",))).splits() == ("train", "val")


def test_folds_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="fold must be 0 to 4 of 5 folds, got 5"):
        make("k_fold", source=Numbered(), fold=5)
    with pytest.raises(DataError, match="has 24 training samples, expected at least one for each of 25 folds"):
        make("k_fold", source=Numbered(), folds=25).load("train")
    for ask in ("train", "val"):
        with pytest.raises(DataError, match="has a validation split of its own"):
            make("k_fold", source=Numbered(splits=("train", "val"))).load(ask)


def test_concat_keeps_the_order_and_joins_what_there_is() -> None:
    joined = make("concat", sources=(Numbered(), Numbered(splits=("train",))))
    assert joined.splits() == ("train", "test")
    train = joined.load("train")
    assert numbers(train) == [*range(24)] * 2
    np.testing.assert_array_equal(train.targets[24:], train.targets[:24])
    assert len(joined.load("test")) == 24
    with pytest.raises(DataError, match="no source has the split 'val', found train, test"):
        joined.load("val")
    with pytest.raises(ValueError, match="one or more datasets"):
        make("concat", sources=())


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"size": 9}, "source 2 of those with train has images of 9x9x1, expected 8x8x1"),
        ({"classes": 5}, "has classes 0, 1, 2, 3, 4, expected 0, 1, 2, 3 as in the first"),
    ],
)
def test_concat_of_what_does_not_fit(fields: dict[str, Any], said: str) -> None:
    sources = [make("synthetic", **({"size": 8, "samples": 9} | more)) for more in ({}, fields)]
    joined = make("concat", sources=tuple(sources))
    assert joined.describe() is None
    with pytest.raises(DataError, match=said):
        joined.load("train")


def test_files_are_those_of_the_sources(tmp_path: Path) -> None:
    one, two = (make("idx", root=str(write_idx(tmp_path / name, n=20))) for name in "ab")
    assert make("concat", sources=(one, two)).files("train") == one.files("train") + two.files("train")
    assert make("k_fold", source=one).files("val") == one.files("train")
    subset = make("subset", source=make("concat", sources=(one, two)), per_class=3)
    assert subset.files("train") == one.files("train") + two.files("train")
    assert sorted(subset.load("train").targets) == sorted([*labels(10)] * 3)
