"""A dataset gives the samples of a split: images, labels or targets, and the names of the classes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from cnntrain.arrays import Array, Shape
from cnntrain.config.fields import check_fields
from cnntrain.registry import Part


@dataclass(frozen=True)
class Images:
    """The samples of one split, in memory.

    pixels    (n, height, width, channels): uint8, or float32 already in [0, 1] or whatever range the source has
    targets   (n,) int64 labels, or (n, k) float32 values for regression
    classes   the names of the classes in label order; empty for regression
    """

    pixels: Array
    targets: Array
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def shape(self) -> Shape:
        """Of one sample: (height, width, channels)."""
        return tuple(self.pixels.shape[1:])


@dataclass(frozen=True)
class Description:
    """What a source says of its samples: shape of one, and class names or, for regression, the number of values."""

    shape: Shape
    classes: tuple[str, ...]
    values: int = 0

    @property
    def outputs(self) -> int:
        """How many outputs a network needs: what `units: auto` stands for."""
        return len(self.classes) or self.values


@dataclass(frozen=True)
class Dataset(Part):
    """Base of every dataset. Relative paths count from the working directory."""

    kind: ClassVar[str] = "datasets"
    examples: ClassVar[tuple[dict[str, Any], ...]] = ()  # settings that load without any file, if there are such

    def __post_init__(self) -> None:
        check_fields(self)

    def splits(self) -> tuple[str, ...]:
        """Which of "train", "val" and "test" this source has. Looks for files, reads none."""
        raise NotImplementedError

    def describe(self) -> Description | None:
        """Shape and classes as far as the config alone tells (`check --no-data`); None where it does not."""
        return None

    def load(self, split: str) -> Images:
        """Read a split. Raises DataError naming the file, what was found, what was expected and what to do."""
        raise NotImplementedError

    def files(self, split: str) -> tuple[Path, ...]:
        """The files a split is read from, for the manifest; empty where there are none."""
        return ()
