"""The contract of ready models: the same settings write the same network."""

from __future__ import annotations

import dataclasses

from cnntrain.checks.contracts.base import hold
from cnntrain.parts.models.base import Preset


def writes_the_same_layers_again(cls: type[Preset]) -> None:
    """With its defaults, where every key has one: a checkpoint keeps the settings, and builds the network anew."""
    fields = dataclasses.fields(cls)
    if all(field.default is not field.default_factory for field in fields):
        hold(cls().layers() == cls().layers(), "asked again, its `layers` are others")


OF_CLASS = (writes_the_same_layers_again,)
