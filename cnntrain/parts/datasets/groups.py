"""A group is the samples that belong together, of a speaker or a scene: none may stand on both sides of a split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from cnntrain.core.errors import DataError


def check_apart(kin: Mapping[str, Sequence[str]], split: str, other: str, where: Path, noun: str) -> None:
    """Raise DataError for the first group, by name, that stands in two splits; `kin` has the group of each sample."""
    for group in sorted({*kin[split]} & {*kin[other]}):
        raise DataError(
            f"{where}: the group {group!r} stands in {split} ({kin[split].count(group):,} {noun}) and in {other} "
            f"({kin[other].count(group):,}), expected each group in one split. Mend 'group' or the splits, or leave "
            "'group' out"
        )
