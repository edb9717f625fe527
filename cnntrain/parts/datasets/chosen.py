"""Chosen samples are some of another dataset's, for sources that cut one down or divide it anew."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Self, cast

from cnntrain.core.description import Description
from cnntrain.core.registry import Part
from cnntrain.parts.datasets.base import Dataset


class Chosen(Dataset):
    """Base of such sources; a subclass has this field."""

    source: Part

    @property
    def whole(self) -> Dataset:
        """The source that is chosen from."""
        return cast(Dataset, self.source)

    def chosen_from(self, split: str) -> str:
        """The split of the source that the samples of a split come from."""
        return split

    def splits(self) -> tuple[str, ...]:
        """Those of the source."""
        return self.whole.splits()

    def grouped(self, by: str) -> Self | None:
        """With the source in groups."""
        inner = self.whole.grouped(by)
        return None if inner is None else replace(cast(Any, self), source=inner)

    def origins(self) -> tuple[Dataset, ...]:
        """Those of the source."""
        return self.whole.origins()

    def behind(self, split: str) -> tuple[tuple[Dataset, str], ...]:
        """Those of the source's split."""
        return self.whole.behind(self.chosen_from(split))

    def chooses_validation(self) -> bool:
        """Whether the source does."""
        return self.whole.chooses_validation()

    def describe(self) -> Description | None:
        """What the source says."""
        return self.whole.describe()

    def files(self, split: str) -> tuple[Path, ...]:
        """Those of the source's split."""
        return self.whole.files(self.chosen_from(split))

    def place_of_target(self, split: str, sample: int, column: int, value: float) -> str | None:  # noqa: ARG002
        """What the source says that finds the value among its rows: its samples have other numbers."""
        return self.whole.place_of_target(self.chosen_from(split), -1, column, value)
