"""A group is the samples that belong together, of a speaker or a scene: none may be on both sides of a split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol, TypeVar

from cnntrain.core.errors import DataError


class Grouping(Protocol):
    """A source that can tell groups."""

    @property
    def group(self) -> str | None:
        """How, or None where it does not."""


G = TypeVar("G", bound=Grouping)


def with_group(source: G, by: str) -> G:
    """The source with this `group`. Raises ValueError where it has one."""
    if source.group is not None:
        raise ValueError(f"the source has the group {source.group!r} already. Leave one of the two out")
    return replace(source, group=by)  # type: ignore[type-var]


def check_apart(kin: Mapping[str, Sequence[str]], split: str, other: str, where: Path, noun: str) -> None:
    """Raise DataError for the first group, by name, that is in two splits; `kin` has the group of each sample."""
    for group in sorted({*kin[split]} & {*kin[other]}):
        raise DataError(
            f"{where}: the group {group!r} is in {split} ({kin[split].count(group):,} {noun}) and in {other} "
            f"({kin[other].count(group):,}), expected each group in one split. Mend 'group' or the splits, or leave "
            "'group' out"
        )
