"""Picture fields say how picture files become samples of one size, in every dataset that reads such files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, cast

from cnntrain.config.fields import Pair, Range
from cnntrain.core.arrays import Shape
from cnntrain.parts.datasets.base import Dataset
from cnntrain.reading.decoded import Content, Recipe, Sample
from cnntrain.reading.pictures import LARGEST, MAX_PIXELS, VERSIONS, Fit, are_mixed, common_size, decode, header

_FAINT = (
    "have 16 bits and no value above 4095, so that 16 greys or fewer are left of them (if 4095 or less is white there, "
    "multiply their values until it is 65535)"
)
_MOVES = "have several frames or pages, of which the first counts (frames_folder reads such files as clips)"


@dataclass(frozen=True)
class PictureFields:
    """The fields of the datasets that read picture files, which mean the same in all of them.

    `why_size` says how `init` comes by the size that it proposes, of which a side is a multiple of `multiple`.
    """

    why_size: ClassVar[str] = (
        "as the sides of the pictures suggest, but at most 64 where they differ, since time grows with area"
    )

    multiple: ClassVar[int] = 8

    # size to resize to: one number, or [height, width]; without it all pictures must have one size
    size: Pair | None = None
    # how: stretch each side by itself; letterbox, all of it in a grey frame; cover the size with its middle
    fit: Fit = "stretch"
    channels: Literal[1, 3] = 3  # 3 for colour, 1 for grey
    # a picture with more pixels is refused before it is decoded
    max_pixels: Annotated[int, Range(1, LARGEST)] = MAX_PIXELS
    # what to do with a picture that cannot be read: stop, or leave it out and list it
    on_bad_image: Literal["error", "skip"] = "error"

    def of_pictures(self, paths: Sequence[Path]) -> Self:
        """`size` as their sides suggest, at most 64 of the shorter one unless all are alike; grey where all are.

        Where proportions are mixed, stretching would show things in different shapes: then `fit` is letterbox.
        """
        heads = [head for path in paths if (head := header(path))]
        if not heads:
            return self  # nothing there can be read: loading it will say so
        sides = [(head.height, head.width) for head in heads]
        fit: Fit = "letterbox" if are_mixed(sides) else self.fit
        return replace(self, size=common_size(sides), fit=fit, channels=1 if all(head.grey for head in heads) else 3)

    def skipping(self) -> Self:
        """Without the pictures that cannot be read."""
        return replace(self, on_bad_image="skip")

    def giving(self, shape: Shape) -> Self:
        """Resized, and made grey or coloured, as the shape (height, width, channels) says."""
        channels: Any = shape[2] if shape[2] in (1, 3) else self.channels
        return replace(self, size=(shape[0], shape[1]), channels=channels)

    def widened(self) -> Self:
        """With as many pixels allowed as the largest picture that can be opened has."""
        source = cast(Dataset, self)
        listed = (source.labelled_samples(split) or () for split in source.splits())
        heads = [header(path) for samples in listed for sample, _ in samples for path in sample]
        largest = max((head.height * head.width for head in heads if head), default=0)
        return replace(self, max_pixels=largest) if self.max_pixels < largest else self

    def extent(self, path: Path) -> tuple[float, ...] | None:
        """Height and width of a picture."""
        head = header(path)
        return head and (head.height, head.width)

    def picture_recipe(self) -> Recipe:
        """Reads a picture file's pixels, or finds that it cannot be read."""
        size = (self.size, self.size) if isinstance(self.size, int) else self.size

        def decode_one(sample: Sample) -> Content:
            picture = decode(sample[0], size, self.channels, self.max_pixels, self.fit)
            return Content(picture.pixels, _MOVES * picture.moves or _FAINT * picture.faint)

        settings = {
            "what": "picture",
            "size": size,
            "fit": self.fit,
            "channels": self.channels,
            "limit": self.max_pixels,
            **VERSIONS,
        }
        return Recipe(decode_one, settings, "images", skip=self.on_bad_image == "skip")
