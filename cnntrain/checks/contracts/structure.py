"""The contract of structures: they say what they expand to. What that is depends on the layers that a config gives."""

from __future__ import annotations

from cnntrain.checks.contracts.base import hold
from cnntrain.parts.structures.base import Structure


def says_what_it_expands_to(cls: type[Structure]) -> None:
    """By a method of its own."""
    hold(cls.expand is not Structure.expand, f"{cls.__name__} has no method expand")


OF_CLASS = (says_what_it_expands_to,)
