"""Counterparts: which networks of torchvision and timm are the same as the one at hand, and whose names a file has."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, cast, get_args

from cnntrain.config.load import Loaded, problem
from cnntrain.parts.models.base import Counterpart, Library, Preset

Names = Literal["cnntrain", "torchvision", "timm"]


def of(loaded: Loaded) -> dict[Library, Counterpart]:
    """The networks of the libraries that the config's ready model is the same as."""
    preset = cast(Preset | None, loaded.experiment.model.preset)
    if preset is None:
        return {}
    found = {library: preset.counterpart(library) for library in get_args(Library)}
    return {library: counterpart for library, counterpart in found.items() if counterpart is not None}


def named(loaded: Loaded, names: Names | None, tensors: Collection[str], own: Collection[str]) -> Counterpart | None:
    """The counterpart under whose names a file has its tensors; None where it has our own.

    `names` is what the config says; without it, those are taken that most tensors have. Raises ConfigError where the
    network has no such counterpart.
    """
    known = of(loaded)
    if names == "cnntrain":
        return None
    if names is not None:
        if names not in known:
            has = " and ".join(known) or "neither library"
            message = f"{names} has no network that is the same as this one: {has} has. Name a preset that it has"
            raise problem(loaded, "model.init_from.names", message)
        return known[names]
    modules = {name.rpartition(".")[0] for name in tensors} | set(tensors)
    counts = {None: sum(name in tensors for name in own)} | {
        library: sum(module in modules for module in counterpart.modules) for library, counterpart in known.items()
    }
    best = max(counts, key=lambda library: counts[library])
    return None if best is None else known[best]
