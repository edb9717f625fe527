"""A scope is a layer or a structure that layers are in, by its name: how a config names the layers a rule is for."""

from __future__ import annotations

import fnmatch
from collections.abc import Collection

from cnntrain.core.registry import nearest

_NAMED = 12  # scopes that a message names


def scopes(name: str) -> list[str]:
    """The name of a node, and of each structure that it is in: "stage1", "stage1.conv2d_2"."""
    pieces = name.split(".")
    return [".".join(pieces[: count + 1]) for count in range(len(pieces))]


def covers(match: str, name: str) -> bool:
    """Whether a rule is for the node of this name: by a shell pattern for it, or by the name of a structure around it.

    A pattern is held against the node alone: "*_1" means the first of each type, not all that is in "residual_1".
    """
    return fnmatch.fnmatchcase(name, match) or name.startswith(f"{match}.")


def among(match: str, names: Collection[str]) -> str:
    """The tail of a message: the scope of these nodes that was probably meant, or some of the nodes there are."""
    near = nearest(match, {scope for name in names for scope in scopes(name)})
    if near:
        return f"; did you mean {near!r}?"
    known = sorted(names)
    more = f" and {len(known) - _NAMED} more" if len(known) > _NAMED else ""
    return f"; known: {', '.join(known[:_NAMED])}{more}" if known else ""
