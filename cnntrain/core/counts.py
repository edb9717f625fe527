"""Counts with their nouns, as people write them: 1 sample, 2,000 samples, 3 classes."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """The number with thousands separated, and the noun in the plural unless there is one of it."""
    plural = noun + ("es" if noun.endswith(("s", "x", "sh", "tch")) else "s")
    return f"{number:,} {noun if number == 1 else plural}"
