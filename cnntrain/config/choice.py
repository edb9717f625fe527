"""A choice says which member of a union a value is written as: a number, a text, a list, a part."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Sequence
from typing import Any, Literal

from cnntrain.config import scalars
from cnntrain.config.describe import bare
from cnntrain.config.fields import Duration, Kind, keys_of
from cnntrain.config.tree import List, Map, Node, Scalar
from cnntrain.core import registry
from cnntrain.core.registry import Part

NONE = type(None)


def parts_at(kind: Kind) -> dict[str, type[Part]]:
    """Every part that may stand at a place, by name."""
    return {name: cls for folder in kind.names for name, cls in registry.parts(folder).items()}


SCALARS: dict[Any, Any] = {
    NONE: {}.get,
    bool: scalars.TRUE.__contains__,
    int: int,
    float: float,
    str: str,
    Duration: None,
}


def choose(node: Node, members: Sequence[Any]) -> Any:
    """The member of a union that a node is written as; None where none of them is, or the choice is unclear."""
    possible = [member for member in members if _possible(node, member)]
    for member in sorted(possible, key=lambda member: _rank(node, member)):
        if _fits_member(node, member):
            return member
    possible = [member for member in possible if bare(member)[0] is not NONE]
    if isinstance(node, Map):  # without a type, and with no key of another member's: most likely a part
        parts = [member for member in possible if any(isinstance(mark, Kind) for mark in bare(member)[1])]
        possible = parts or possible
    return possible[0] if len(possible) == 1 else None


def _possible(node: Node, member: Any) -> bool:
    """Whether the member is written as this kind of node: a single value, a list, a map."""
    base, marks = bare(member)
    is_part = any(isinstance(mark, Kind) for mark in marks)
    if isinstance(node, Scalar):
        return is_part or base in SCALARS or typing.get_origin(base) is Literal
    if isinstance(node, List):
        return typing.get_origin(base) is tuple
    return is_part or (dataclasses.is_dataclass(base) and base is not Duration)


def _fits_member(node: Node, member: Any) -> bool:
    """Whether a possible member can be read from the node, as far as can be told without reading it."""
    base, marks = bare(member)
    kind = next((mark for mark in marks if isinstance(mark, Kind)), None)
    if isinstance(node, Scalar):
        return registry.find(node.text, *kind.names) is not None if kind else fits(node, base)
    if isinstance(node, List):
        wanted = typing.get_args(base)
        return wanted[1:] == (Ellipsis,) or len(wanted) == len(node.items)
    if not isinstance(node, Map):
        return True
    if kind is not None or "type" in node.entries:
        return kind is not None and "type" in node.entries
    return not node.entries or any(key in node.entries for key in keys_of(base))


def fits(node: Scalar, base: Any) -> bool:
    """Whether a single value is written as this type wants it."""
    if typing.get_origin(base) is Literal:
        return any(is_choice(node, choice) for choice in typing.get_args(base))
    if base is Duration:
        try:
            Duration.parse(node.text)
        except ValueError:
            return False
        return True
    tests = {NONE: scalars.is_null, bool: scalars.is_boolean, int: scalars.is_integer, float: scalars.is_number}
    return tests[base](node) if base in tests else not scalars.is_null(node)


def is_choice(node: Scalar, choice: Any) -> bool:
    """Whether a single value is one of a Literal's; texts may be quoted, numbers and booleans not."""
    if isinstance(choice, str):
        return node.text == choice
    return node.plain and node.text.lower() == str(choice).lower()


def _rank(node: Node, member: Any) -> int:
    """Which of several fitting members wins: the strictest; a text in quotes is a text before it is a number."""
    base, marks = bare(member)
    if typing.get_origin(base) is Literal:
        return 0
    if any(isinstance(mark, Kind) for mark in marks):
        return 6
    if base is str:
        return 7 if isinstance(node, Scalar) and node.plain else 1
    order = [NONE, bool, int, float, Duration]
    return 1 + order.index(base) if base in order else 8
