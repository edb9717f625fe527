"""A condition compares what stands under a name with a value: `val/accuracy>=0.98`, `optimizer.type=adam`.

    NAME  = (or ==)  !=  <  >  <=  >=  VALUE

A value is a number where it can be read as one, else `true`, `false`, `null` or a text; blanks around the three do not
count. What is absent, not a number (NaN), or of another type than the value meets `!=` and nothing else; `null` stands
for what is absent.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from cnntrain.core.errors import UsageError
from cnntrain.core.registry import did_you_mean

_FORM = re.compile(r"\s*([^<>=!\s]+)\s*(<=|>=|!=|==?|<|>)(?![=<>!])\s*([^<>]*?)\s*")
_RELATIONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}
_WORDS = {"true": True, "false": False, "null": None}
_MANY = 1000  # with this many names, no similar one is looked for: each takes a moment


@dataclass(frozen=True)
class Condition:
    """A condition of an option such as `--filter`, which messages name."""

    option: str
    text: str
    name: str
    relation: str
    value: Any  # float, bool, str or None

    @classmethod
    def read(cls, option: str, text: str) -> Condition:
        """What a text says. Raises UsageError where it is not a condition."""
        found = _FORM.fullmatch(text)
        if not found:
            raise UsageError(
                f"{option} {text!r} is not a condition. Write a name, one of = != < > <= >=, and a value, such as "
                "'val/accuracy>=0.98'"
            )
        name, relation, value = found.groups()
        return cls(option, text, name, relation, _read(value))

    def require_name(self, known: Collection[str], lacking: str) -> None:
        """Raise UsageError unless its name is known; `lacking` begins the reason: "no run has"."""
        require_name(self.name, known, f"{self.option} {self.text!r}: {lacking}")

    def holds(self, value: Any) -> bool:
        """Whether a value meets it, None being an absent one."""
        if value is None and self.value is not None:
            return self.relation == "!="
        if isinstance(value, bool) != isinstance(self.value, bool):
            return self.relation == "!="
        try:
            return _RELATIONS[self.relation](value, self.value)
        except TypeError:  # a number against a text
            return self.relation == "!="


def require_name(name: str, known: Collection[str], lacking: str) -> None:
    """Raise UsageError, which begins with `lacking`, unless a name is known."""
    if name not in known:
        similar = did_you_mean(name, known) if len(known) < _MANY else ""
        raise UsageError(f"{lacking} {name!r}{similar}")


def _read(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return _WORDS.get(text, text)
