"""A CSV file: one row for each picture, its path in one column, its label or its target values in others."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

from cnntrain.core.registry import register
from cnntrain.parts.datasets.labelled_rows import LOOKED_AT, LabelledRows
from cnntrain.parts.datasets.picture_fields import PictureFields
from cnntrain.reading.decoded import Recipe
from cnntrain.reading.tables import TableColumns


@register("csv")
@dataclass(frozen=True)
class Csv(PictureFields, LabelledRows):
    """Pictures listed in a CSV file with a header; or a folder of train.csv and, if present, val.csv and test.csv.

    `image` names the column of the pictures' paths, which are relative to the file's folder. `label` names the column
    of class names ("label" unless said otherwise); the classes are those of the training rows, sorted by code point.
    `targets` names columns of numbers in its place: for regression (mse, mae), or 0 and 1, also written false and true,
    where a picture has several labels (binary_cross_entropy). Where these stand in one cell, `label` is its column,
    `separator` what is between them ("|"), and `targets` all labels there are; an empty cell has none, and brackets
    around a list and quotes around its labels, as pandas writes them, are left out. Other columns are ignored. `group`
    keeps pictures of one person or scene together: no group may be in two splits, and `data.val: 0.2` and k_fold take
    whole ones. Columns are separated by commas, semicolons or tabs.

    `size`, `channels`, `max_pixels` and `on_bad_image` are those of image_folder.
    """

    one: ClassVar[str] = "picture"
    advice: ClassVar[str] = "'image', and 'label' or 'targets'"

    image: str = "path"  # the column of the pictures' paths, relative to the file's folder

    @property
    def column(self) -> str:
        """The column of the pictures' paths."""
        return self.image

    @classmethod
    def of_columns(cls, path: Path, columns: TableColumns) -> Self:
        """With these columns, and the settings that suit the pictures."""
        found = cls(str(path), image=columns.file, **cls.settings(path, columns))
        return found.of_pictures([sample[0] for sample, _ in found.labelled_samples("train")[:LOOKED_AT]])

    def recipe(self) -> Recipe:
        """How pictures become pixels."""
        return self.picture_recipe()
