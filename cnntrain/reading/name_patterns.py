"""A name pattern finds in the name of a file what the name says of it: its class, its split, or who speaks.

It is a regular expression of Python's `re` that cannot take long, whatever the name. The rule: only single characters
and classes of them are repeated, not groups, at most three times in a pattern; nothing refers back or looks around; and
the alternatives of all groups multiply to at most 1,000. With r repetitions and a combinations of alternatives, there
are at most a C(n + r + 1, r + 1) ways to match in a name of n characters, and a name for which that is above ten
million (half a second) is refused.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import cast

from cnntrain.core.counts import counted

_LONGEST = 200  # characters of a pattern
_REPETITIONS = 3
_WAYS = 1_000  # of choosing among alternatives
_TRIED = 10_000_000  # ways to match in a name
_TOKEN = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\(\?|[*+?]|\{\d*(?:,\d*)?\}|.", re.DOTALL)


@dataclass(frozen=True)
class NamePattern:
    """A pattern, and what messages call it: the key that holds it."""

    key: str
    text: str
    groups: int = 1  # how many it must have

    def __post_init__(self) -> None:
        """Raise ValueError where it is no regular expression, has another number of groups, or could take long."""
        what = f"{self.key} {self.text[:60]!r}"
        if len(self.text) > _LONGEST:
            raise ValueError(f"{self.key} has {len(self.text):,} characters, expected at most {_LONGEST}")
        try:
            found = re.compile(self.text).groups
        except (re.error, OverflowError, RecursionError) as error:
            raise ValueError(f"{what} is no regular expression ({error})") from error
        try:
            _measured(self.text)
        except ValueError as error:
            raise ValueError(f"{what} {error}. A pattern must be quick for every name") from error
        if found != self.groups:
            expected = "one group (...), which is what is looked for" if self.groups else "none: write (?:...)"
            raise ValueError(f"{what} has {counted(found, 'group')}, expected {expected}")

    def find(self, name: str) -> list[str]:
        """Every different text that the group matches in a name, or the whole pattern if it has no group.

        Raises ValueError for a name that is too long for such a pattern.
        """
        repetitions, alternatives = _measured(self.text)
        if alternatives * math.comb(len(name) + repetitions + 1, repetitions + 1) > _TRIED:
            raise ValueError(
                f"{self.key} {self.text!r} has too many repetitions or alternatives for the {len(name)} characters of "
                f"{name!r}. Use fewer of them, or shorten the name"
            )
        matches = re.finditer(self.text, name)
        return list(dict.fromkeys(match[self.groups] or "" for match in matches))

    def read(self, names: Iterable[str]) -> list[str]:
        """What it finds in each name. Raises ValueError that shows three of those with nothing or with two things."""
        names = list(names)
        found = [self.find(name) for name in names]
        wrong = {
            "nothing": [name for name, texts in zip(names, found, strict=True) if texts in ([], [""])],
            "two different things": [name for name, texts in zip(names, found, strict=True) if len(texts) > 1],
        }
        for what, whose in wrong.items():
            if whose:
                raise ValueError(
                    f"{self.key} {self.text!r} finds {what} in {len(whose):,} of {len(names):,} names, such as "
                    f"{shown(whose)}. Mend the pattern, or move such files away"
                )
        return [texts[0] for texts in found]


def shown(names: list[str]) -> str:
    """Three names for a message."""
    return ", ".join(map(repr, names[:3]))


@functools.cache
def _measured(text: str) -> tuple[int, int]:
    """The repetitions in a pattern, which compiles, and the product of its groups' alternatives.

    Raises ValueError where they are too many, or where it holds what takes longer ("repeats a group").
    """
    repetitions, alternatives, open_groups, closed = 0, 1, [1], False
    for token in _tokens(text):
        if token in ("(?=", "(?!", "(?<", "(?(", "(?P=") or re.fullmatch(r"\\[1-9].*", token):
            raise ValueError("refers back or looks around, which is not allowed")
        if token[0] == "(":
            open_groups.append(1)
        elif token == ")":
            alternatives *= open_groups.pop()
        elif token == "|":
            open_groups[-1] += 1
        elif token[0] in "*+?{" and token != "{":
            if closed:
                raise ValueError("repeats a group, which is not allowed: repeat characters and classes of them")
            repetitions += 1
        closed = token == ")"
    alternatives *= math.prod(open_groups)
    if repetitions > _REPETITIONS:
        raise ValueError(f"has {repetitions} repetitions (*, +, ?, {{m,n}}), expected at most {_REPETITIONS}")
    if alternatives > _WAYS:
        raise ValueError(f"has {alternatives:,} combinations of alternatives, expected at most {_WAYS:,}")
    return repetitions, alternatives


def _tokens(text: str) -> Iterator[str]:
    """The tokens of a pattern; the beginning of a special group, and a lazy repetition, are one token each."""
    place = 0
    while place < len(text):
        token = cast(re.Match[str], _TOKEN.match(text, place))[0]  # its last alternative matches anything
        if token == "(?":
            kind = re.compile(r"\(\?(?:P=|P<\w+>|<[=!]|[=!:(<]|[a-zA-Z-]*[:)]?|.)", re.DOTALL).match(text, place)
            token = kind[0] if kind else token
            token = {"(?<=": "(?<", "(?<!": "(?<"}.get(token, token)
            if re.match(r"\(\?[a-zA-Z-]*x", token):  # in which blanks and comments would stand before a repetition
                raise ValueError("has the flag x, which is not allowed")
            place += len(kind[0]) if kind else 2
            if token.startswith("(?") and token.endswith(")"):  # flags for the whole, which open nothing
                continue
        else:
            place += len(token)
            if token[0] in "*+?{" and token != "{" and text[place : place + 1] in ("?", "+"):
                place += 1
        yield token
