"""A concatenation joins several datasets into one: samples of the first, then of the second, and so on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Self, cast

from cnntrain.config.fields import Kind
from cnntrain.core import scale
from cnntrain.core.boxes import stacked
from cnntrain.core.description import Description, size_text
from cnntrain.core.errors import DataError
from cnntrain.core.registry import Part, register
from cnntrain.parts.datasets.base import Dataset
from cnntrain.parts.datasets.images import Images, joined
from cnntrain.reading.reader import ALONE, Reader


@register("concat")
@dataclass(frozen=True)
class Concat(Dataset):
    """The samples of all `sources`, in that order. They must agree in shape, in pixel type and in class names.

    A split is made of the sources that have it, so a source of nothing but training samples may be added to one
    that also has a test split.
    """

    sources: tuple[Annotated[Part, Kind("datasets")], ...]  # the data sets, in order

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.sources:
            raise ValueError("sources must be one or more datasets, got none")

    def splits(self) -> tuple[str, ...]:
        """Those that any source has."""
        found = {split for source in self._sources() for split in source.splits()}
        return tuple(split for split in ("train", "val", "test") if split in found)

    def grouped(self, by: str) -> Self | None:
        """With all sources in groups, where all can tell them."""
        inner = tuple(source.grouped(by) for source in self._sources())
        found = tuple(source for source in inner if source is not None)
        return replace(self, sources=found) if len(found) == len(inner) else None

    def origins(self) -> tuple[Dataset, ...]:
        """Those of every source, in order."""
        return tuple(origin for source in self._sources() for origin in source.origins())

    def behind(self, split: str) -> tuple[tuple[Dataset, str], ...]:
        """Those of every source that has the split, in order."""
        return tuple(origin for source in self._having(split) for origin in source.behind(split))

    def chooses_validation(self) -> bool:
        """Whether a source does."""
        return any(source.chooses_validation() for source in self._sources())

    def describe(self) -> Description | None:
        """What the sources say, where all say the same."""
        said = {source.describe() for source in self._sources()}
        return said.pop() if len(said) == 1 else None

    def files(self, split: str) -> tuple[Path, ...]:
        """Those of every source that has the split."""
        return tuple(path for source in self._having(split) for path in source.files(split))

    def place_of_target(self, split: str, sample: int, column: int, value: float) -> str | None:  # noqa: ARG002
        """What the first source that finds the value among its rows says."""
        places = (source.place_of_target(split, -1, column, value) for source in self._having(split))
        return next((place for place in places if place is not None), None)

    def load(self, split: str, reader: Reader = ALONE) -> Images:
        """Read a split of every source that has it. Raises DataError where two do not fit together."""
        read = [source.load(split, reader) for source in self._having(split)]
        for number, images in enumerate(read[1:], 2):
            _compare(read[0], images, f"concat: source {number} of those with {split}")
        scales = [scale.of(images.pixels) for images in read]
        if not scale.fitting(scales):
            raise DataError(
                f"concat: the sources hold {' and '.join(dict.fromkeys(map(str, scales)))}: expected the same range of "
                "pixels. Use sources that belong together"
            )
        pixels = joined([images.pixels for images in read])
        skipped = tuple(reason for images in read for reason in images.skipped)
        names = tuple(name for images in read for name in images.names) if all(images.names for images in read) else ()
        targets = stacked([images.targets for images in read])
        kin = tuple(name for images in read for name in images.kin) if all(images.kin for images in read) else ()
        return Images(pixels, targets, read[0].classes, skipped, read[0].target, names, kin)

    def _sources(self) -> tuple[Dataset, ...]:
        return cast(tuple[Dataset, ...], self.sources)

    def _having(self, split: str) -> list[Dataset]:
        found = [source for source in self._sources() if split in source.splits()]
        if not found:
            raise DataError(f"concat: no source has the split {split!r}, found {', '.join(self.splits()) or 'none'}")
        return found


def _compare(first: Images, other: Images, where: str) -> None:
    """Raise DataError for the first thing in which two sources differ."""
    facts = {
        "images of": (size_text(first.shape), size_text(other.shape)),
        "pixels of type": (str(first.pixels.dtype), str(other.pixels.dtype)),
        "classes": (_named(first), _named(other)),
        "targets that are": (first.description.target, other.description.target),
        "targets of shape": (str(first.targets.shape[1:]), str(other.targets.shape[1:])),
    }
    for what, (expected, found) in facts.items():
        if expected != found:
            raise DataError(
                f"{where} has {what} {found}, expected {expected} as in the first. Use sources that belong together"
            )


def _named(images: Images) -> str:
    return ", ".join(images.classes) or "none"
