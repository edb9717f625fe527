"""The contract of structures: one network for the same keys, of which nothing is left unread.

What a structure is made of depends on the layers that a config gives it, which have a contract of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cnntrain.checks.contracts.base import hold
from cnntrain.config.binder import bound
from cnntrain.config.fields import Layers
from cnntrain.core.arrays import Shape
from cnntrain.core.errors import ConfigError, Mark
from cnntrain.network.graph import BATCH, Weaver
from cnntrain.parts.structures.base import Structure

ODD_SHAPES: tuple[Shape, ...] = ((7,), (1, 1, 1), (1, 5, 2), (2, 3, 4, 5), (1, 1, 1, 1))


@dataclass(frozen=True)
class Placed:
    """A structure in a network: the keys of an example, the layers they gave, and the shape it is put on."""

    keys: Mapping[str, Any]
    layers: Layers  # one that passes the batch on, and the structure
    shape: Shape

    def __str__(self) -> str:
        return f"{dict(self.keys)} on {self.shape}"

    def woven(self, shape: Shape | None = None) -> Weaver:
        """The network, on its own shape or another. Raises ConfigError where that does not fit."""
        weaver = Weaver(shape or self.shape, outputs=3)
        weaver.body(self.layers, BATCH)
        return weaver


def expands_to_the_same_nodes_again(one: Placed) -> None:
    """A checkpoint keeps the keys, and its arrays go by the names of the nodes."""
    hold(one.woven().nodes == one.woven().nodes, "asked again, `expand` gives other nodes")


def leaves_nothing_unread(one: Placed) -> None:
    """Neither its input x nor what it adds, but for the last node."""
    woven = one.woven()
    before, *added = (node.name for node in woven.nodes)
    unread = [node.name for node in woven.unread()]
    hold(added and before not in unread, "none of its nodes reads its input x")
    hold(not unread, f"nothing reads what it adds as {', '.join(unread)}")


def refuses_what_does_not_fit(one: Placed) -> None:
    """By a ValueError that says what does; features, a single pixel and clips are given to every structure."""
    for shape in ODD_SHAPES:
        try:
            one.woven(shape)
        except ConfigError:  # a ValueError with the line of the config
            continue
        except Exception as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            hold(False, f"on {shape} it raised {reason}, expected a ValueError that says what it needs")


def subjects(cls: type[Structure]) -> Iterator[tuple[Placed]]:
    """What the checks are given: each example, its keys read as those of a config."""
    for shape, keys in cls.examples:
        layers = bound(["identity", {"type": cls.name_in_config, **keys}], Layers, Mark("examples", 1, 1))
        yield (Placed(keys, layers, shape),)


CHECKS = (expands_to_the_same_nodes_again, leaves_nothing_unread, refuses_what_does_not_fit)
