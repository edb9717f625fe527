"""Counterparts: which networks of torchvision and timm are the same as the one at hand, and whose names a file has."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Literal, cast, get_args

from cnntrain.config.load import Loaded, problem
from cnntrain.core import registry
from cnntrain.core.arrays import Array
from cnntrain.core.errors import Mark
from cnntrain.network import torch_layout
from cnntrain.network.graph import Graph, weave
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
            message = f"{names} has no counterpart of this network; {has} has one. Name a preset that it has"
            raise problem(loaded, "model.init_from.names", message)
        return known[names]
    modules = {name.rpartition(".")[0] for name in tensors} | set(tensors)
    counts = {None: sum(name in tensors for name in own)} | {
        library: sum(module in modules for module in counterpart.modules) for library, counterpart in known.items()
    }
    best = max(counts, key=lambda library: counts[library])
    return None if best is None else known[best]


_WHOLE: dict[str, list[dict[str, Any]]] = {  # keys with which a preset is a network of a library, for each of these
    "vgg": [{"grid": 7, "hidden": (4096, 4096)}],
    "mobilenet_v1": [{"activation": "relu6", "width": width} for width in (1.0, 1.25)],
    "mobilenet_v2": [{"width": width} for width in (1.0, 0.35, 0.5, 0.75, 1.4)],
    "preact_resnet18": [{"stem": "imagenet"}],
}
Recognized = tuple[Preset, Library, Counterpart]


def recognized(tensors: Mapping[str, Array]) -> Recognized | None:
    """The preset whose counterpart has just these tensors, and that counterpart; None where there is none."""
    sizes = {name: array.size for name, array in tensors.items()}
    for preset, library, counterpart in _known():
        known = set(counterpart.modules)
        if {name if name in known else name.rpartition(".")[0] for name in tensors} == known:
            last = sizes.get(f"{counterpart.modules[-1]}.bias", 0)  # as many as there are classes
            if torch_layout.sizes(_woven(preset, counterpart.size, max(last, 1)), counterpart) == sizes:
                return preset, library, counterpart
    return None


def known() -> list[str]:
    """The names of all counterparts."""
    return [*dict.fromkeys(f"{library}'s {counterpart.name}" for _, library, counterpart in _known())]


def last_layer(preset: Preset, side: int) -> str:
    """The name of the layer of a ready model that gives the scores."""
    return [node.name for node in _woven(preset, side, 2).nodes if node.params][-1]


def _woven(preset: Preset, side: int, classes: int) -> Graph:
    return weave(preset.entries(Mark("preset", 1, 1)), (side, side, 3), classes)


def _known() -> list[Recognized]:
    found = []
    for name in registry.parts("models"):
        for keys in next((keys for start, keys in _WHOLE.items() if name.startswith(start)), [{}]):
            preset = cast(Preset, registry.make("models", name, **keys))
            for library in get_args(Library):
                counterpart = preset.counterpart(library)
                if counterpart is not None:
                    found.append((preset, library, counterpart))
    return found
