"""K-fold cross-validation: one of k equal parts of another dataset's training samples validates, the rest trains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from cnntrain.config.fields import Kind, NonNegativeInt, Range, Seed
from cnntrain.core.arrays import Array
from cnntrain.core.counts import counted
from cnntrain.core.errors import DataError
from cnntrain.core.random import stream
from cnntrain.core.registry import Part, register
from cnntrain.parts.datasets.chosen import Chosen
from cnntrain.parts.datasets.images import Images, shuffled
from cnntrain.reading.reader import ALONE, Reader


@register("k_fold")
@dataclass(frozen=True)
class KFold(Chosen):
    """Fold number `fold` (from 0) of `folds` as the split val, the other training samples as train.

    The folds of one seed are disjoint, cover every training sample, and differ by at most one sample in all and in
    each class (stratified; Kohavi 1995, "A Study of Cross-Validation and Bootstrap"). Where the source has groups
    (`group`), these are dealt out whole instead, the largest first, each to the smallest fold. A test split of the
    source is passed on; one with a validation split of its own is refused, because it would go unused. So would
    a fold beside a `data.val`, which has to be null. Run it once for each fold: `--set data.source.fold=1`.
    """

    source: Annotated[Part, Kind("datasets")]  # the data set to split
    folds: Annotated[int, Range(2, 1000)] = 5  # how many folds there are
    fold: NonNegativeInt = 0  # the fold that validates, from 0
    seed: Seed = 0  # decides which samples are in which fold

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.fold >= self.folds:
            raise ValueError(f"fold must be 0 to {self.folds - 1} of {self.folds} folds, got {self.fold}")

    def splits(self) -> tuple[str, ...]:
        """Train and val, and test where the source has it. Raises DataError where the source has its own val."""
        found = self.whole.splits()
        if "val" in found:
            raise DataError(
                "k_fold: the source has a validation split of its own, expected only train and test. Use the source "
                "without k_fold, or without that split"
            )
        return ("train", "val", *(split for split in found if split == "test"))

    def chooses_validation(self) -> bool:
        """It does nothing else."""
        return True

    def chosen_from(self, split: str) -> str:
        """The training split, for val, too."""
        return "train" if split == "val" else split

    def load(self, split: str, reader: Reader = ALONE) -> Images:
        """Read a split. Raises DataError where there are fewer training samples than folds."""
        self.splits()
        if split not in ("train", "val"):
            return self.whole.load(split, reader)
        images = self.whole.load("train", reader)
        if len(images) < self.folds:
            raise DataError(
                f"k_fold: the source has {counted(len(images), 'training sample')}, expected at least one for each of "
                f"{self.folds} folds. Lower folds"
            )
        validates = self._folds(images) == self.fold
        return images.take(np.flatnonzero(validates if split == "val" else ~validates))

    def _folds(self, images: Images) -> Array:
        """The fold of each sample: dealt out like cards, class after class, without starting over at a new class."""
        if images.kin:
            return self._folds_of_groups(images.kin)
        order = np.concatenate([*(indices for _, indices in shuffled(images, self.seed, "k_fold"))])
        folds = np.empty(len(order), np.int64)
        folds[order] = np.arange(len(order)) % self.folds
        return folds

    def _folds_of_groups(self, kin: tuple[str, ...]) -> Array:
        """The fold of each sample, that of its group; among groups of one size the order is random."""
        names, groups, counts = np.unique(kin, return_inverse=True, return_counts=True)
        if len(names) < self.folds:
            raise DataError(
                f"k_fold: the source has {counted(len(names), 'group')} ({', '.join(names.tolist()[:8])}), expected at "
                f"least one for each of {self.folds} folds. Lower folds"
            )
        shuffled_groups = stream(self.seed, "k_fold").permutation(len(names))
        sizes, fold_of = np.zeros(self.folds, np.int64), np.empty(len(names), np.int64)
        for group in shuffled_groups[np.argsort(-counts[shuffled_groups], kind="stable")].tolist():
            fold_of[group] = sizes.argmin()
            sizes[fold_of[group]] += counts[group]
        return fold_of[groups]
