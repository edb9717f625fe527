"""A subset keeps a share of another dataset's training samples: for learning curves, and for trying things fast."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar, cast

import numpy as np

from cnntrain.config.fields import Kind, PositiveInt, Range, Seed, check_exactly_one
from cnntrain.core.arrays import Array
from cnntrain.core.counts import counted
from cnntrain.core.errors import DataError
from cnntrain.core.registry import Part, register
from cnntrain.parts.datasets.chosen import Chosen
from cnntrain.parts.datasets.images import Images, shuffled
from cnntrain.reading.reader import ALONE, Reader


@register("subset")
@dataclass(frozen=True)
class Subset(Chosen):
    """Part of the training samples of `source`; its other splits stay whole, so that results can be compared.

    Give either `fraction`, of each class, rounded, but at least one sample; or `per_class`, the number of samples
    of each class. Which ones is drawn from `seed`; a larger subset of the same seed contains the smaller. Samples
    stay in the order of the source. For regression all samples count as one class.
    """

    source: Annotated[Part, Kind("datasets")]  # the data set to take from
    fraction: Annotated[float, Range(0, 1, open_low=True)] | None = None  # share of each class to take
    per_class: PositiveInt | None = None  # samples of each class to take
    seed: Seed = 0  # decides which samples are taken

    exactly_one: ClassVar[tuple[str, ...]] = ("fraction", "per_class")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_exactly_one(self, "subset")

    def load(self, split: str, reader: Reader = ALONE) -> Images:
        """Read a split of the source. Raises DataError where a class has fewer than `per_class` samples."""
        images = self.whole.load(split, reader)
        if split != "train":
            return images
        groups = shuffled(images, self.seed, "subset")
        kept = np.sort(np.concatenate([group[: self._count(whose, group)] for whose, group in groups]))
        return images.take(kept)

    def _count(self, whose: str, group: Array) -> int:
        """How many samples of a class are kept."""
        if self.fraction is not None:
            return max(math.floor(self.fraction * len(group) + 0.5), 1)
        wanted = cast(int, self.per_class)
        if len(group) < wanted:
            raise DataError(
                f"subset: {whose} has {counted(len(group), 'training sample')}, expected {wanted:,} or more as "
                "'per_class' says. Lower it, or use fraction"
            )
        return wanted
