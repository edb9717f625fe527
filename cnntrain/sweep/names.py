"""A cell is named after what sets it apart from the others of its sweep; its run directory has that name."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from cnntrain.config import scalars
from cnntrain.config.tree import List, Map, Node, Scalar
from cnntrain.sweep.value_text import to_text

_UNFIT = re.compile(r"[^A-Za-z0-9._=,+-]+")  # what a directory's name is better without
_LONGEST = 100  # letters of a cell's name
Setting = tuple[Scalar, Node]  # a dotted key and its value, with their places in the sweep file


def names_of(cells: Sequence[Sequence[Setting]], constant: set[str]) -> list[str]:
    """A name for every cell, made from all it sets except what is the same in all of them."""
    labels = short_names({key.text for cell in cells for key, _ in cell} - constant)
    varied = [{labels[key.text]: node for key, node in cell if key.text in labels} for cell in cells]
    names = [name_of(cell) for cell in varied]
    said = {name: set[str]() for name in names}
    for name, cell in zip(names, varied, strict=True):
        said[name].add(_text_of(cell))
    return [name_of(cell, exact=len(said[name]) > 1) for name, cell in zip(names, varied, strict=True)]


def short_names(keys: Collection[str]) -> dict[str, str]:
    """Key -> the shortest end of it that none of the others has: `lr` for `optimizer.lr`."""

    def ends(key: str) -> Iterator[str]:
        steps = key.split(".")
        yield from (".".join(steps[-n:]) for n in range(1, len(steps) + 1))

    shared = {key: {end for other in keys if other != key for end in ends(other)} for key in keys}
    return {key: next((end for end in ends(key) if end not in shared[key]), key) for key in keys}


def name_of(varied: Mapping[str, Node], exact: bool = False) -> str:
    """The name of a cell: what sets it apart, as far as a directory's name can say it.

    What it cannot say, or with `exact` in any case, is told apart by a digest.
    """
    full = ",".join(f"{label}={_in_name(node)}" for label, node in varied.items()) or "run"
    name = _UNFIT.sub("-", full).strip("-.")
    if name == full and len(name) <= _LONGEST and not exact:
        return name
    return f"{name[: _LONGEST - 9].rstrip('-')}-{hashlib.sha256(_text_of(varied).encode()).hexdigest()[:8]}"


def _text_of(varied: Mapping[str, Node]) -> str:
    return ",".join(f"{label}={to_text(node)}" for label, node in varied.items())


def _in_name(node: Node) -> str:
    """A value in a name: `adam-lr=1e-3` for {type: adam, lr: 1e-3}, `0.9-0.99` for a list."""
    if isinstance(node, List):
        return "-".join(map(_in_name, node.items))
    if isinstance(node, Map):
        entries = {key: _in_name(entry.value) for key, entry in node.entries.items()}
        first = [entries.pop("type")] if "type" in entries else []
        return "-".join([*first, *(f"{key}={text}" for key, text in entries.items())])
    assert isinstance(node, Scalar)
    return "null" if scalars.is_null(node) else node.text
