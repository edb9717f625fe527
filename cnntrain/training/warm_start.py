"""A warm start takes initial parameters from another run's checkpoint: `model.init_from` in a config.

Parameters of the same name and shape are loaded; the rest keep the initializers' values. Nothing is left out silently:
every parameter that is missing, unused or of another shape is an error unless it is named.
"""

from __future__ import annotations

import fnmatch
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from cnntrain.config.load import Loaded, problem
from cnntrain.config.schema import InitFrom
from cnntrain.core.arrays import Array, Layout, Shape
from cnntrain.core.counts import counted
from cnntrain.core.errors import CheckpointError
from cnntrain.core.registry import did_you_mean, parts
from cnntrain.network import counterparts, torch_layout
from cnntrain.network.build import Network
from cnntrain.network.graph import format_shape
from cnntrain.parts import models
from cnntrain.parts.models.base import Preset
from cnntrain.rundir.checkpoint import Checkpoint, find, read
from cnntrain.trained import saved

BUILTIN = "builtin"
_PREFIX = "param/"
_IGNORE = "model.init_from.ignore"
_VARIANCE = "running_var"
_SHOWN = 5  # names of a list that are shown in its line


@dataclass(frozen=True)
class WarmStart:
    """The parameters that a checkpoint gives to a network.

    arrays      the values to load, by parameter
    missing     parameters of the network that the checkpoint lacks
    unused      parameters of the checkpoint that the network lacks
    mismatched  parameters of both, whose shapes differ: "head.weight (64x10, here 64x3)"
    ignored     parameters that model.init_from.ignore leaves to the initializers
    """

    path: Path
    digest: str  # SHA-256, in hex, of the names and digests of all parameters of the checkpoint
    arrays: Mapping[str, Array]
    missing: tuple[str, ...]
    unused: tuple[str, ...]
    mismatched: tuple[str, ...]
    ignored: tuple[str, ...]
    weights: str = "trained"  # which weights of the checkpoint these are, or "averaged"

    data: Mapping[str, Any] = field(default_factory=dict)  # what the checkpoint recorded about its samples
    pixels: Any = None  # and about their range

    def lines(self) -> list[str]:
        """The result for people: one line for each list that is not empty."""
        lists = {"missing": self.missing, "unused": self.unused, "mismatched": self.mismatched, "ignored": self.ignored}
        first = f"init_from {self.path}: {counted(len(self.arrays), 'parameter')} loaded"
        first += ", averaged weights" if self.weights == "averaged" else ""
        return [first, *(f"  {len(names)} {word}: {_some(names)}" for word, names in lists.items() if names)]

    def document(self) -> dict[str, Any]:
        """The record in the run's data.json."""
        return {
            "checkpoint": str(self.path.absolute()),
            "weights": self.weights,
            "sha256": self.digest,
            "loaded": sorted(self.arrays),
            "missing": list(self.missing),
            "unused": list(self.unused),
            "mismatched": list(self.mismatched),
            "ignored": list(self.ignored),
        }

    def load(self, layout: Layout, params: Array) -> None:
        """Write the values into the flat vector, after the initializers."""
        views = layout.views(params)
        for name, array in self.arrays.items():
            views[name][...] = array


def warm_start(loaded: Loaded, network: Network) -> WarmStart | None:
    """The warm start of the config's `model.init_from`, or None where it has none.

    Raises CheckpointError where the file cannot be read, holds what no parameter can be, or does not fit and `strict`
    is on; ConfigError for a pattern under `ignore` that names no parameter.
    """
    wish = loaded.experiment.model.init_from
    if wish is None:
        return None
    path, digest, theirs, meta = _read(_place(loaded, wish), network, loaded)
    nodes = network.graph.nodes  # the lists are in its order
    mine = {f"{node.name}.{name}": param.shape for node in nodes for name, param in node.params.items()}
    ignored = _ignored(loaded, [*mine, *(name for name in theirs if name not in mine)])
    result = replace(_compare(path, digest, mine, theirs, ignored), **meta)
    for name, array in result.arrays.items():
        if fault := _fault(name, array):
            raise CheckpointError(f"{result.path}: {name} {fault}. Give a sound file, or name {name} in {_IGNORE}")
    if wish.strict and (result.missing or result.unused or result.mismatched):
        raise CheckpointError(
            f"{result.path} does not fit this network: {'; '.join(line.strip() for line in result.lines()[1:])}. "
            f"Name them in {_IGNORE}, or set model.init_from.strict to false"
        )
    if not result.arrays:
        raise CheckpointError(
            f"{result.path} does not fit this network: none of its {len(theirs):,} parameters has the name and shape "
            "of one here: training would begin from scratch. Name a checkpoint of a network like this one, or leave "
            "model.init_from out"
        )
    return result


def _place(loaded: Loaded, wish: InitFrom) -> Path:
    """The file that the config means. Raises ConfigError for builtin weights of a network that has none."""
    if wish.checkpoint != BUILTIN:
        return Path(wish.checkpoint)
    preset = cast(Preset | None, loaded.experiment.model.preset)
    if preset is None or not preset.builtin:
        known = ", ".join(name for name, cls in parts("models").items() if cast(type[Preset], cls).builtin)
        message = f"{BUILTIN} weights are those of preset {known}. Use it, or name a checkpoint (./{BUILTIN})"
        raise problem(loaded, "model.init_from.checkpoint", message)
    return Path(models.__file__).with_name(preset.builtin)


def _read(path: Path, network: Network, loaded: Loaded) -> tuple[Path, str, dict[str, Array], dict[str, Any]]:
    """The file a path means, its parameters' digest, the parameters, and what else is known about them.

    A .safetensors has them as PyTorch does, under our names or those of torchvision or timm.
    """
    if path.suffix == ".safetensors":
        data = torch_layout.read_bytes(path)
        own = [f"{node.name}.weight" for node in network.graph.nodes if node.params]
        wish = loaded.experiment.model.init_from
        counterpart = counterparts.named(
            loaded, None if wish is None else wish.names, torch_layout.tensors_of(path, data), own
        )
        theirs = torch_layout.parameters(path, data, network.graph, counterpart)
        return path, hashlib.sha256(data).hexdigest(), theirs, {}
    checkpoint = read(find(path))
    recorded = checkpoint.meta.get("data")
    about: dict[str, Any] = {
        "weights": saved.weights(checkpoint),
        "data": recorded if isinstance(recorded, dict) else {},
        "pixels": checkpoint.meta.get("pixels"),
    }
    used = replace(checkpoint, arrays=saved.used(checkpoint))
    theirs = {name.removeprefix(_PREFIX): array for name, array in used.arrays.items()}
    return checkpoint.path, _digest(used), theirs, about


def _compare(
    path: Path, digest: str, mine: Mapping[str, Shape], theirs: Mapping[str, Array], ignored: Sequence[str]
) -> WarmStart:
    both = [name for name in mine if name in theirs and name not in ignored]
    return WarmStart(
        path,
        digest,
        {name: theirs[name] for name in both if theirs[name].shape == mine[name]},
        tuple(name for name in mine if name not in theirs and name not in ignored),
        tuple(name for name in theirs if name not in mine and name not in ignored),
        tuple(
            f"{name} ({format_shape(theirs[name].shape)}, here {format_shape(mine[name])})"
            for name in both
            if theirs[name].shape != mine[name]
        ),
        tuple(ignored),
    )


def _fault(name: str, array: Array) -> str:
    """What keeps an array from being a parameter; "" where nothing does."""
    if array.dtype.kind != "f":
        return f"has the type {array.dtype}, expected float32"
    with np.errstate(over="ignore"):
        values = array.astype(np.float32, copy=False)
    if not np.isfinite(values).all():
        beyond = "numbers beyond float32's" if np.isfinite(array).all() else "NaN or infinity"
        return f"holds {beyond}, expected finite numbers"
    if name.rpartition(".")[2] == _VARIANCE and values.min() < 0:
        return f"holds {values.min():g}, and a variance is never negative"
    return ""


def _ignored(loaded: Loaded, names: Sequence[str]) -> list[str]:
    """The parameters that the patterns match, by their own name or their node's."""
    wish = loaded.experiment.model.init_from
    assert wish is not None
    found: dict[str, None] = {}
    for index, pattern in enumerate(wish.ignore):
        matching = [name for name in names if _matches(name, pattern)]
        if not matching:
            known = did_you_mean(pattern, {name.rpartition(".")[0] for name in names})
            message = f"{pattern!r} names no parameter and no layer of the network or of the checkpoint{known}"
            raise problem(loaded, f"{_IGNORE}.{index}", message)
        found |= dict.fromkeys(matching)
    return list(found)


def _matches(name: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(name.rpartition(".")[0], pattern)


def _digest(checkpoint: Checkpoint) -> str:
    """One digest of all parameters; the checkpoint's own table was verified when it was read."""
    digests = sorted((n, digest) for n, digest in checkpoint.digests().items() if n.startswith(_PREFIX))
    return hashlib.sha256("\n".join(f"{name} {digest}" for name, digest in digests).encode()).hexdigest()


def _some(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
