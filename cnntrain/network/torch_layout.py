"""The safetensors format: parameters under PyTorch's names and in its layout, to be loaded into an equal model.

A node's name is its module's, as in `model.load_state_dict`. Kernels are (filters, channels / groups, height, width)
there, those of clips (filters, channels / groups, moments, height, width), matrices (units, features); features that
come from a flattened image or clip are in PyTorch's order, channel by channel (`feature_order`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cnntrain.core import torch_files
from cnntrain.core.arrays import Array
from cnntrain.core.errors import CheckpointError, MissingExtraError, UsageError, printable
from cnntrain.core.extras import install
from cnntrain.core.regular_file import cured, open_regular
from cnntrain.network.feature_order import feature_orders
from cnntrain.network.graph import Graph
from cnntrain.parts.models.base import Counterpart

_CALLED = {"scale": "weight", "shift": "bias", "slope": "weight"}  # ours -> PyTorch's, where they differ
_COUNTER = "num_batches_tracked"  # PyTorch's batch norm has one, and does not need it


def write(
    graph: Graph, params: Mapping[str, Array], facts: Mapping[str, Any], counterpart: Counterpart | None = None
) -> bytes:
    """The bytes of the file for parameters by our names ("conv2d_1.weight"), under those of a counterpart if given.

    Raises UsageError for a network whose features cannot be in PyTorch's order, or a layer with two parameters that
    would have one name there; MissingExtraError without the package safetensors.
    """
    library = _library()
    layout = _Layout(graph, counterpart)
    _refuse_one_name_for_two(graph, layout)
    tensors = {layout.name(name): np.ascontiguousarray(layout.theirs(name, array)) for name, array in params.items()}
    data: bytes = library.save(tensors, metadata={"format": "pt", "cnntrain": json.dumps(facts)})
    return _sorted(data)


def _refuse_one_name_for_two(graph: Graph, layout: _Layout) -> None:
    for node in graph.nodes:
        ours: dict[str, str] = {}
        for name in node.params:
            theirs = layout.name(f"{node.name}.{name}")
            if theirs in ours:
                raise UsageError(
                    f"{node.name} ({node.layer.name_in_config}, {node.where}) cannot be exported as safetensors: its "
                    f"parameters {ours[theirs]!r} and {name!r} would both be called {theirs!r}. Choose another "
                    "--format, or rename one of them in the layer's 'params'"
                )
            ours[theirs] = name


def _sorted(data: bytes) -> bytes:
    """The same file with the keys of its header sorted; the library writes them in arbitrary order."""
    length = int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8 : 8 + length]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + data[8 + length :]


def read_bytes(path: Path) -> bytes:
    """The bytes of a file. Raises CheckpointError where it cannot be read."""
    with open_regular(path, lambda reason: CheckpointError(f"{path} {cured(reason, 'Check the path')}")) as file:
        return file.read()


def tensors_of(path: Path, data: bytes) -> dict[str, Array]:
    """The tensors that a file's bytes hold, without counters. Raises CheckpointError where they are not such a file."""
    library = _library()
    try:
        tensors: dict[str, Array] = library.load(data)
    except Exception as error:  # the library's own, and KeyError for a type that NumPy lacks
        raise CheckpointError(f"{path} {_fault(path, data, error)}") from error
    return {name: array for name, array in tensors.items() if name.rpartition(".")[2] != _COUNTER}


def _fault(path: Path, data: bytes, error: Exception) -> str:
    """What is wrong with a file that the library refuses, and what to do."""
    told = printable(str(error))
    if of_torch := torch_files.refusal(path, data[: torch_files.HEAD]):
        return of_torch
    if isinstance(error, KeyError):
        return f"is not a safetensors file that NumPy can hold: it has the type {told}. Write it again, in float32"
    if data[8:9] == b"{":  # after the length of a header that is JSON
        return f"is damaged: {told}. Restore it from a copy"
    return f"is not a safetensors file: {told}. Give one, or a checkpoint of cnntrain"


def parameters(path: Path, data: bytes, graph: Graph, counterpart: Counterpart | None = None) -> dict[str, Array]:
    """The parameters that a file's bytes hold, by our names; those that the network lacks keep their own.

    `counterpart` is the network whose names they have; by default they have ours. Raises CheckpointError where they are
    not a safetensors file, or the network's features cannot be in PyTorch's order.
    """
    tensors = tensors_of(path, data)
    try:
        layout = _Layout(graph, counterpart)
    except UsageError as error:
        raise CheckpointError(f"{path} cannot be read into this network: {error}") from error
    ours = {layout.name(name): name for name in layout.shapes}
    found = {}
    for name, array in tensors.items():
        mine = ours.get(name, name)
        found[mine] = layout.ours(mine, array) if mine in layout.shapes else array
    return found


def sizes(graph: Graph, counterpart: Counterpart) -> dict[str, int]:
    """How many numbers each tensor has there, by its name there."""
    layout = _Layout(graph, counterpart)
    return {layout.name(name): math.prod(shape) for name, shape in layout.shapes.items()}


def _library() -> Any:
    try:
        import safetensors.numpy
    except ImportError as error:
        raise MissingExtraError(
            f"safetensors files need the package safetensors. Run: {install('safetensors')}"
        ) from error
    return safetensors.numpy


class _Layout:
    """Which of our parameters is which of PyTorch's, and how the two programs lay it out."""

    def __init__(self, graph: Graph, counterpart: Counterpart | None = None) -> None:
        """Raises UsageError where a network cannot be expressed in PyTorch's order of features."""
        self.shapes = {
            f"{node.name}.{name}": param.shape for node in graph.nodes for name, param in node.params.items()
        }
        having = [node for node in graph.nodes if node.params]
        self._modules: dict[str, str] = {}
        self._windows: dict[str, int] = {}
        self._scales: set[str] = set()
        if counterpart is not None:
            self._modules = dict(zip((node.name for node in having), counterpart.modules, strict=True))
            self._windows = {
                ours: n for ours, theirs in self._modules.items() if (n := counterpart.windows.get(theirs))
            }
            self._scales = {node.name for node in having if node.layer.name_in_config == "scale"}
        self._orders = feature_orders(graph)

    def name(self, name: str) -> str:
        """PyTorch's name."""
        node, _, own = name.rpartition(".")
        module = self._modules.get(node, node)
        return module if node in self._scales else f"{module}.{_CALLED.get(own, own)}"

    def theirs(self, name: str, array: Array) -> Array:
        """Our array in PyTorch's layout."""
        for axis, order in enumerate(self._orders.get(name, ())):
            if order is not None and len(order) == array.shape[axis]:
                array = array.take(order, axis)
        array = np.moveaxis(array, (-1, -2), (0, 1)) if array.ndim > 1 else array
        side = self._windows.get(name.rpartition(".")[0])
        return array if side is None or array.ndim != 2 else array.reshape(len(array), -1, side, side)

    def ours(self, name: str, array: Array) -> Array:
        """PyTorch's array in our layout; where the shape differs, in whatever comes nearest."""
        if name.rpartition(".")[0] in self._windows and array.ndim == 4:
            array = array.reshape(len(array), -1)
        array = np.moveaxis(array, (0, 1), (-1, -2)) if array.ndim > 1 else array
        for axis, order in enumerate(self._orders.get(name, ())[: array.ndim]):
            if order is not None and len(order) == array.shape[axis]:
                array = array.take(np.argsort(order), axis)
        return np.ascontiguousarray(array)
