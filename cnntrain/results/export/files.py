"""The files of an export: which there are for a format, and whether they may be written."""

from __future__ import annotations

import keyword
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cnntrain.config.dump import plain
from cnntrain.core import shell
from cnntrain.core.arrays import Shape
from cnntrain.core.errors import StorageError, UsageError
from cnntrain.core.output import Output
from cnntrain.data.loader import Samples
from cnntrain.network import counterparts, torch_layout
from cnntrain.parts.datasets.images import Images
from cnntrain.parts.models.base import Counterpart
from cnntrain.results.export import SUFFIXES, numpy_file, onnx_file, page_file
from cnntrain.results.export.network import duties_of, port, split, traced
from cnntrain.trained.inference import Trained


def export(
    trained: Trained,
    kind: str,
    output: Path | None = None,
    fold: bool = False,
    overwrite: bool = False,
    names: counterparts.Names | None = None,
) -> dict[str, Any]:
    """Write a trained network in a format, and return what `export --json` prints.

    `output` is by default the experiment's name, in the working directory; `names` says whose names the tensors of a
    safetensors file have, by default those of `model.init_from.names`. Raises UsageError for a file name that the
    format does not allow and for a layer that cannot be exported, StorageError where a checkpoint would be replaced, or
    another file and `overwrite` is off, MissingExtraError without the format's package.
    """
    output = _checked(kind, output, trained.loaded.experiment.name, fold, names)
    document, written = _WRITERS[kind](trained, output, fold, names)
    places = [(Output(path, reads=[trained.path]), data) for path, data in written.items()]
    taken = [place.path for place, _ in places if place.is_there]
    if taken and not overwrite:
        raise StorageError(f"{taken[0]} exists. Say --overwrite to replace it, or choose another --output")
    for place, data in reversed(places):  # the weights before the text that reads them
        place.write(data)
    return {
        "format": kind,
        "weights": trained.weights,
        "files": [str(path) for path in written],
        "bytes": sum(map(len, written.values())),
        **document,
    }


def _counterpart(trained: Trained, names: counterparts.Names | None) -> Counterpart | None:
    """The network of another library under whose names tensors are written; None for our own names."""
    start, known = trained.loaded.experiment.model.init_from, counterparts.of(trained.loaded)
    wanted = names or (None if start is None else start.names)
    if wanted is None or wanted == "cnntrain":
        return None
    if wanted not in known:
        raise UsageError(
            f"--names {wanted}: {wanted} has no counterpart of this network; "
            f"{' and '.join(known) or 'neither library'} has one. Leave --names out"
        )
    return known[wanted]


def _checked(kind: str, output: Path | None, name: str, fold: bool, names: counterparts.Names | None) -> Path:
    """The file to write. Raises UsageError where the format does not allow its name or an option."""
    if kind not in SUFFIXES:
        raise UsageError(f"--format {kind!r}: expected one of {', '.join(SUFFIXES)}")
    if fold and kind == "safetensors":
        raise UsageError("--fold is for page, numpy and onnx: in PyTorch the model keeps its batch norms. Leave it out")
    if names and kind != "safetensors":
        raise UsageError(f"--names is for safetensors, not for {kind}. Leave it out")
    suffix = SUFFIXES[kind]
    target = output or Path(name + suffix)
    if target.suffix != suffix:
        raise UsageError(f"--output {target}: {kind} files end with {suffix}. Call it {target.stem}{suffix}")
    if suffix == ".py":
        _check_module(target)
    return target


def _check_module(target: Path) -> None:
    """Raise UsageError for a file that Python could not import, or would in place of a module that others need."""
    stem = target.stem
    if not stem.isidentifier():
        why = "could not be imported: it is not a valid module name"
        better = "".join(letter if f"_{letter}".isidentifier() else "_" for letter in stem)
        better = better if better[:1].isidentifier() else f"_{better}"
    elif keyword.iskeyword(stem):
        why, better = "could not be imported: its name is a keyword of Python", f"{stem}_net"
    elif stem in sys.stdlib_module_names or stem in _NEEDED:
        why, better = f"would be imported in place of the module {stem}, which others need", f"{stem}_net"
    else:
        return
    raise UsageError(f"{target.name} {why}. Add --output {shell.word(target.with_name(f'{better}.py'))}")


_NEEDED = ("cnntrain", "numpy", "PIL", "yaml", "click", "tqdm")  # modules of cnntrain's and of what it stands on
Written = tuple[dict[str, Any], dict[Path, bytes]]  # what the document says, and the files


def _numpy(trained: Trained, output: Path, fold: bool, _names: counterparts.Names | None) -> Written:
    exported = traced(trained, fold)
    written = {
        output: numpy_file.source(exported, output).encode(errors="backslashreplace"),
        output.with_suffix(".npz"): numpy_file.weights(exported),
    }
    return exported.facts() | {"error": None}, written


def _page(trained: Trained, output: Path, fold: bool, _names: counterparts.Names | None) -> Written:
    asked = page_file.asked(trained)
    exported = traced(trained, fold, whole=True)
    text = page_file.html(trained, exported, asked).encode(errors="backslashreplace")
    return exported.facts() | {"error": None}, {output: text}


def _onnx(trained: Trained, output: Path, fold: bool, _names: counterparts.Names | None) -> Written:
    exported = traced(trained, fold)
    model = onnx_file.model(exported)
    error = _difference(trained, exported.input.shape, model)
    return exported.facts(channels_first=True) | {"error": error}, {output: model}


def _safetensors(trained: Trained, output: Path, _fold: bool, names: counterparts.Names | None) -> Written:
    graph = trained.network.graph
    params = graph.layout.views(trained.engine.params)
    duties = {"pixels": trained.pixels, **duties_of(trained).facts()}
    named = {"names": list(trained.description.columns)} if trained.description.columns else {}
    owed = [plain(transform) for transform in trained.transforms]  # the file holds nothing but weights
    facts = {
        "checkpoint": str(trained.path),
        "step": trained.step,
        "input": port("images", graph.input_shape, channels_first=True),
        "classes": list(trained.network.classes),
        **named,
        **duties,
        "before": owed,
    }
    document = {
        "parameters": sum(array.size for array in params.values()),
        "input": facts["input"],
        "before": owed,
        **named,
        **duties,
        "error": None,
    }
    return document, {output: torch_layout.write(graph, params, facts, _counterpart(trained, names))}


_WRITERS: dict[str, Callable[[Trained, Path, bool, counterparts.Names | None], Written]] = {
    "page": _page,
    "numpy": _numpy,
    "onnx": _onnx,
    "safetensors": _safetensors,
}


def _difference(trained: Trained, shape: Shape, model: bytes) -> float | None:
    """The largest difference between an ONNX model's outputs and ours over our largest; None without ONNX Runtime.

    The model takes samples of this shape. Where all of our outputs are 0, it is their largest itself.
    """
    pixels = np.random.default_rng(0).random((4, *shape), np.float32)
    theirs = onnx_file.run(model, pixels)
    if theirs is None:
        return None
    theirs = np.moveaxis(theirs, 1, -1) if theirs.ndim == 4 else theirs
    data = replace(trained.description, shape=shape)
    targets = trained.network.task.blank(len(pixels), data)
    images = Images(pixels, targets, trained.network.classes, target=data.target)
    _, within = split(trained.transforms)
    ours = trained.engine.outputs(Samples(images, np.arange(len(pixels)), within))
    return float(np.abs(ours - theirs).max() / (np.abs(ours).max() or 1.0))
