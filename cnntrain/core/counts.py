"""Counts with their nouns, as people write them: 1 sample, 2,000 samples, 3 classes; and how many more there are."""

from __future__ import annotations

from collections.abc import Sequence

_FOREMOST = 3  # of many texts are said


def counted(number: int, noun: str) -> str:
    """The number with thousands separated, and the noun in the plural unless there is one of it."""
    return f"{number:,} {noun if number == 1 else _plural(noun)}"


def _plural(noun: str) -> str:
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return f"{noun[:-1]}ies"
    return noun + ("es" if noun.endswith(("s", "x", "sh", "tch")) else "s")


def foremost(texts: Sequence[str], joint: str = ", ") -> str:
    """The first three texts, and how many more there are: "a, b, c and 2 more", or with "; " "a; b; c; and 2 more"."""
    shown, rest = joint.join(texts[:_FOREMOST]), len(texts) - _FOREMOST
    return f"{shown}{';' * (joint == '; ')} and {rest} more" if rest > 0 else shown
