"""The files of an export: which there are for a format, and whether they may be written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cnntrain.config.dump import plain
from cnntrain.core import files
from cnntrain.core.errors import StorageError, UsageError
from cnntrain.data.loader import Samples
from cnntrain.network import counterparts, torch_layout
from cnntrain.parts.datasets.images import Images
from cnntrain.parts.models.base import Counterpart
from cnntrain.results.export import numpy_file, onnx_file
from cnntrain.results.export.network import duties_of, split, traced
from cnntrain.trained.inference import Trained


def export(
    trained: Trained,
    kind: str,
    output: Path,
    fold: bool = False,
    overwrite: bool = False,
    names: counterparts.Names | None = None,
) -> dict[str, Any]:
    """Write a trained network in a format, and return what `export --json` prints.

    `names` says whose names tensors of safetensors have; by default those that `model.init_from.names` says. Raises
    UsageError for a layer that cannot be exported, StorageError where a file is there already and `overwrite`
    is off, MissingExtraError without the format's package.
    """
    error = None
    if kind == "safetensors":
        graph = trained.network.graph
        params = graph.layout.views(trained.engine.params)
        called = _counterpart(trained, names)
        facts = {"checkpoint": str(trained.path), "step": trained.step, "classes": list(trained.network.classes)}
        duties = {"pixels": trained.pixels, **duties_of(trained).facts()}
        before, normalizations = split(trained.transforms)
        owed = [*before, *(plain(transform) for transform in normalizations)]  # nothing is in the file but weights
        written = {output: torch_layout.write(graph, params, facts | duties | {"before": owed}, called)}
        document = {"parameters": sum(array.size for array in params.values()), "before": owed, **duties}
    else:
        exported = traced(trained, fold)
        document = exported.facts()
        if kind == "onnx":
            written = {output: onnx_file.model(exported)}
            error = _difference(trained, written[output])
        else:
            written = {
                output: numpy_file.source(exported, output).encode(),
                output.with_suffix(".npz"): numpy_file.weights(exported),
            }
    taken = [path for path in written if path.exists()]
    if taken and not overwrite:
        raise StorageError(f"{taken[0]} exists. Say --overwrite to replace it, or choose another --output")
    for path, data in reversed(written.items()):  # the weights before the text that reads them
        files.write_atomic(path, data)
    return {
        "format": kind,
        "weights": trained.weights,
        "files": [str(path) for path in written],
        **document,
        "error": error,
    }


def _counterpart(trained: Trained, names: counterparts.Names | None) -> Counterpart | None:
    """The network of another library under whose names tensors are written; None for our own names."""
    start, known = trained.loaded.experiment.model.init_from, counterparts.of(trained.loaded)
    wanted = names or (None if start is None else start.names)
    if wanted is None or wanted == "cnntrain":
        return None
    if wanted not in known:
        raise UsageError(
            f"--names {wanted}: {wanted} has no network that is the same as this one: "
            f"{' and '.join(known) or 'neither library'} has. Leave it out"
        )
    return known[wanted]


def _difference(trained: Trained, model: bytes) -> float | None:
    """The largest difference between an ONNX model's outputs and ours, by our largest; None without its runtime."""
    pixels = np.random.default_rng(0).random((4, *trained.network.graph.input_shape), np.float32)
    theirs = onnx_file.run(model, pixels)
    if theirs is None:
        return None
    theirs = np.moveaxis(theirs, 1, -1) if theirs.ndim == 4 else theirs
    data = replace(trained.description, shape=trained.network.graph.input_shape)
    targets = trained.network.task.blank(len(pixels), data)
    images = Images(pixels, targets, trained.network.classes, target=data.target)
    _, normalizations = split(trained.transforms)
    ours = trained.engine.outputs(Samples(images, np.arange(len(pixels)), normalizations))
    return float(np.abs(ours - theirs).max() / np.abs(ours).max())
