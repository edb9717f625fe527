"""A structure is a pattern of layers: the builder expands it into nodes, and nothing is left of it at run time.

To add a structure, write one file with a registered subclass, its `expand` and its `examples`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from cnntrain.config.fields import Declared, check_fields
from cnntrain.config.schema import NodeOptions
from cnntrain.core.arrays import Shape
from cnntrain.core.registry import Part


class Weave(Protocol):
    """The graph under construction, as a structure sees it. Nodes are known by their index; -1 is the batch."""

    def body(self, layers: Sequence[Declared], x: int, scope: str = "") -> int:
        """Add a list of layers that starts from node x, and return its last node. Names go under `scope`."""
        ...

    def add(self, layer: str, *inputs: int, name: str = "", **fields: Any) -> int:
        """Add one layer by type and fields, reading these nodes, and return it."""
        ...

    def apply(self, part: Part, x: int) -> int:
        """Add one layer or structure the config gave as a part, such as an activation, and return its node."""
        ...

    def shape(self, x: int) -> Shape:
        """The output shape of a node."""
        ...


@dataclass(frozen=True)
class Structure(Part):
    """Base of every structure."""

    kind: ClassVar[str] = "structures"
    # the shape of an input, and the keys as a config has them, lists of layers included
    examples: ClassVar[tuple[tuple[Shape, Mapping[str, Any]], ...]] = ()
    options: ClassVar[type | None] = NodeOptions

    def __post_init__(self) -> None:
        check_fields(self)

    def expand(self, weave: Weave, x: int) -> int:
        """Add this structure's nodes after node x, and return the one that is its output.

        Raises ValueError where the shapes do not fit.
        """
        raise NotImplementedError
