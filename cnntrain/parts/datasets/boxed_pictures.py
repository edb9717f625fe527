"""Boxed pictures are picture files, and the boxes that a file of some format draws in them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal, Self

import numpy as np

from cnntrain.config.fields import check_fields
from cnntrain.core.arrays import Array
from cnntrain.core.boxes import BOXES, COUNTED, Boxes, packed
from cnntrain.core.counts import counted
from cnntrain.core.description import Description
from cnntrain.core.errors import DataError
from cnntrain.parts.datasets.images import Images
from cnntrain.parts.datasets.labels import MAX_CLASSES
from cnntrain.parts.datasets.picture_fields import PictureFields
from cnntrain.reading.annotations import Mended, Page, settled
from cnntrain.reading.decoded import Sample, decoded
from cnntrain.reading.pictures import Fit, Header, fitted, header
from cnntrain.reading.reader import ALONE, Reader

_LOOKED_AT = 1_000  # pictures whose headers say what all are like


@dataclass(frozen=True)
class BoxedPictures(PictureFields):
    """Base of the datasets that are pictures with boxes in them, as a file of some format has them.

    What is plainly a slip is mended and counted, or an error (`on_bad_box`; reading/annotations.py has the rules).
    """

    sure: ClassVar[int] = 2
    why_size: ClassVar[str] = "that of the middle picture in multiples of 32, the longer side at most 320"
    multiple: ClassVar[int] = 32  # as a detector needs

    # how: letterbox, all of it in a grey frame; stretch each side by itself; cover the size with its middle
    fit: Fit = "letterbox"
    names: tuple[str, ...] | None = None  # the classes in the order of their numbers; by default the data's
    on_bad_box: Literal["mend", "error"] = "mend"  # what to do with a box that cannot be right

    def __post_init__(self) -> None:
        check_fields(self)
        if self.names is not None and len(set(self.names)) != max(len(self.names), 1):
            raise ValueError(f"names must be one or more different names, got {list(self.names)}")

    def describe(self) -> Description | None:
        """What size, channels and names say, where all are given."""
        if self.size is None or self.names is None:
            return None
        size = (self.size, self.size) if isinstance(self.size, int) else self.size
        return Description((*size, self.channels), self.names, target=BOXES)

    def pages(self, split: str) -> list[Page]:
        """What is known of each picture of a split. Raises DataError."""
        raise NotImplementedError

    def found_classes(self) -> Sequence[str]:
        """The names of the classes, in order, as the training data has them."""
        return sorted({box.label for page in self.pages("train") for box in page.boxes})

    def annotation_files(self, split: str) -> tuple[Path, ...]:
        """The files that the pages of a split are read from."""
        raise NotImplementedError

    def unannotated(self, split: str) -> tuple[Sequence[Path], str]:  # noqa: ARG002  (for those that know)
        """Pictures of a split that have no annotation, and what becomes of them."""
        return (), ""

    def files(self, split: str) -> tuple[Path, ...]:
        """The annotations of a split, and its pictures."""
        return (*self.annotation_files(split), *(page.picture for page in self.pages(split)))

    def labelled_samples(self, split: str) -> list[tuple[Sample, str | None]]:
        """Every picture; it has no class of its own."""
        return [((page.picture,), None) for page in self.pages(split)]

    def read_sample(self, sample: Sample) -> Array:
        """One picture."""
        return self.picture_recipe().decode(sample).values

    def boxed(self) -> Self:
        """With a size that suits finding things: proportions kept, the longer side at most 320, multiples of 32."""
        heads = [head for page in self.pages("train")[:_LOOKED_AT] if (head := header(page.picture))]
        if not heads:
            return self
        height, width = (int(np.median(sides)) for sides in zip(*((h.height, h.width) for h in heads), strict=True))
        scale = min(1, 320 / max(height, width))
        rows, columns = (
            max(math.ceil(round(side * scale, 6) / self.multiple), 1) * self.multiple for side in (height, width)
        )
        return replace(self, size=(rows, columns), channels=1 if all(head.grey for head in heads) else 3)

    def load(self, split: str, reader: Reader = ALONE) -> Images:
        """Read a split: pixels, and records of boxes."""
        called = tuple(self.names or self.found_classes())
        if not 1 <= len(called) <= MAX_CLASSES:
            raise DataError(
                f"{self.annotation_files('train')[0]}: no box in the training data, expected some. Add them"
            )
        pages = self.pages(split)
        if not pages:
            raise DataError(f"{self.annotation_files(split)[0].parent}: no picture in {split}, expected some. Add them")
        heads = list(reader.map(lambda page: header(page.picture), pages))
        boxes = self._settled(split, pages, heads, {name: place for place, name in enumerate(called)}, reader)
        files: list[Sample] = [(page.picture,) for page in pages]
        read = decoded(files, self.picture_recipe(), reader)
        shape = read.values.shape[1], read.values.shape[2]
        unsized = next((pages[index].picture for index in read.kept.tolist() if heads[index] is None), None)
        if unsized is not None:
            raise DataError(
                f"{unsized}: its pixels can be read and its size cannot, so that boxes have no place. Mend it"
            )
        kept = [boxes[index] for index in read.kept.tolist()]
        frames = np.array([fitted(one.size, shape, self.fit).frame for one in kept], np.float32)
        records = packed(kept, frames, shape)
        lost = sum(map(len, kept)) - int((records["labels"] >= 0).sum())
        if lost:
            reader.warn(f"{split}: {counted(lost, 'box')} outside what {self.fit!r} shows, left out")
        there = records["labels"] >= 0
        if there.any() and not (there & (records["roles"] == COUNTED)).any():
            reader.warn(
                f"{split}: none of {counted(int(there.sum()), 'box')} is to be found, all are marked as crowds or as "
                "difficult, so that nothing can be learned or measured"
            )
        return Images(read.values, records, called, read.skipped, BOXES, read.names(files))

    def _settled(
        self,
        split: str,
        pages: Sequence[Page],
        heads: Sequence[Header | None],
        places: Mapping[str, int],
        reader: Reader,
    ) -> list[Boxes]:
        """The boxes of every picture, after telling what was mended; none of a picture that cannot be read."""
        mended = Mended() if self.on_bad_box == "mend" else None
        found = []
        for page, head in zip(pages, heads, strict=True):
            size = (1, 1) if head is None else (head.height, head.width)  # decoding will say why
            found.append(Boxes(size) if head is None else settled(page, size, places, mended))
        for line in mended.lines() if mended else ():
            reader.warn(f"{split}: {line}")
        without, fate = self.unannotated(split)
        if without:
            count = f"{counted(len(without), 'picture')} without an annotation"
            reader.warn(f"{split}: {count}, {fate}; {without[0]} is the first")
        return found
