"""A hint says what was probably meant by a value, a key or a name that cannot stand where it does."""

from __future__ import annotations

import re
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from cnntrain.config import foreign, scalars
from cnntrain.config.choice import parts_at
from cnntrain.config.describe import bare
from cnntrain.config.fields import Kind, keys_of
from cnntrain.config.tree import Node, Scalar
from cnntrain.core import registry
from cnntrain.core.registry import Part

_JOINED = re.compile(r"(?:^|\s)([A-Za-z_]\w*)([:=])([^\s:=/]\S{0,40})$", re.ASCII)


class Joined(NamedTuple):
    """A key and a value that YAML takes for one word, and how to write them."""

    key: str
    value: str
    advice: str


def meant_part(name: Node, kind: Kind) -> type[Part] | None:
    """The part that was probably meant by an unknown name."""
    if not isinstance(name, Scalar):
        return None
    known = parts_at(kind)
    ours = next((ours for folder in kind.names if (ours := foreign.type_name(folder, name.text, known))), None)
    return known.get(ours or registry.nearest(name.text[:40], known) or "")


def own_layer(key: str, value: Node) -> str | None:
    """How to write as a layer what others write as a key of the layer before it."""
    layer = foreign.layer_of_its_own(key)
    if layer and isinstance(value, Scalar):
        known = registry.parts("layers")
        named = value.text if value.text in known else foreign.type_name("layers", value.text, known)
        if key == "dropout" and scalars.is_number(value):
            return f"{{type: dropout, rate: {value.text}}}"
        return named or layer
    return layer


def all_keys(classes: Sequence[type]) -> set[str]:
    """Every key that one of several parts takes."""
    return {"type"}.union(*(keys_of(cls) for cls in classes))


def joined(text: str) -> Joined | None:
    """Key and value of "lr:0.1" or "lr=0.1"."""
    match = _JOINED.search(text)
    if match is None:
        return None
    key, sign, value = match.groups()
    how = "put a space after the colon" if sign == ":" else "write a colon and a space for '='"
    return Joined(key, value, f"{how}: '{key}: {value}'")


def odd_space(key: str) -> str | None:
    """What to do about a key around which there are spaces that YAML counts among its letters."""
    odd = next((sign for sign in key if sign.isspace() and sign != " "), None)
    return (
        odd and f"it has spaces of another kind (U+{ord(odd):04X}), which YAML counts among the letters; type them anew"
    )


def common_key(name: str, known: Mapping[str, type[Part]]) -> str | None:
    """The key that all parts of a kind take and that was mistaken for a part: Lookahead, SAM."""
    base = next(cls for part in known.values() for cls in part.__mro__ if "kind" in cls.__dict__)
    return next((key for key in keys_of(base) if key == name.lower()), None)


def hint_for(node: Node, members: Sequence[Any]) -> str:
    """What a value that fits none of the members probably meant, or nothing."""
    bases = [bare(member) for member in members]
    names = [choice for base, _ in bases if typing.get_origin(base) is Literal for choice in typing.get_args(base)]
    for _, marks in bases:
        names += [name for mark in marks if isinstance(mark, Kind) for name in parts_at(mark)]
    if isinstance(node, Scalar) and node.text:
        near = registry.nearest(node.text[:40], [name for name in names if isinstance(name, str)])
        if near:
            return f"; did you mean {near!r}?"
    hints = {int: scalars.hint_integer, float: scalars.hint_number, bool: scalars.hint_boolean}
    return next((hint for base, _ in bases if base in hints and (hint := hints[base](node))), "")
