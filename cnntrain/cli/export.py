"""`cnntrain export` writes a trained network for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cnntrain.cli.options import PATH, Command, as_json, debug, print_json
from cnntrain.cli.text import show
from cnntrain.results.export import SUFFIXES

if TYPE_CHECKING:
    from cnntrain.api.model import Model


@click.command(
    cls=Command,
    examples=[
        "cnntrain export runs/quickstart/latest --format page --output digits.html",
        "cnntrain export runs/quickstart/latest --format numpy --output digits.py",
        "cnntrain export runs/quickstart/latest --format onnx --fold",
        "cnntrain export runs/quickstart/latest --format safetensors",
    ],
)
@click.argument("checkpoint", metavar="CHECKPOINT|RUN", type=PATH)
@click.option("--format", "kind", type=click.Choice([*SUFFIXES]), required=True, help="What to write.")
@click.option("-o", "--output", type=PATH, help="The file to write; by default the experiment's name, here.")
@click.option(
    "--fold", is_flag=True, help="Fold batch norm into the layer before it: faster, and equal up to rounding."
)
@click.option(
    "--names",
    type=click.Choice(["cnntrain", "torchvision", "timm"]),
    help="Whose names safetensors gives its tensors; by default those of model.init_from.names.",
)
@click.option("--overwrite", is_flag=True, help="Replace the output if it exists.")
@as_json
@debug
def command(
    checkpoint: Path, kind: str, output: Path | None, fold: bool, names: Any, overwrite: bool, as_json: bool
) -> None:
    """Write a trained network for use without cnntrain.

    page: one HTML file to try the network in a browser, without a server: draw, drop or paste a picture, or use a
    camera, and look into every layer. numpy: a Python file to read, and its weights beside it, that need NumPy alone.
    onnx: for ONNX Runtime and others (extra onnx). safetensors: the parameters for an equal PyTorch model (extra
    safetensors). A run directory stands for its best checkpoint, or its last if there is no best.
    """
    from cnntrain.api.model import Model

    with Model(checkpoint, threads=1, warn=None) as model:
        document = model.export(kind, output, fold=fold, overwrite=overwrite, names=names)
    if as_json:
        print_json(document)
        return
    _say(document, model)


def _say(document: dict[str, Any], model: Model) -> None:
    for path in document["files"]:
        show(path)
    if document["format"] == "page":
        size = document["bytes"] / 1e6
        show(f"{size:.2f} MB: open it in a browser; it needs no network")
        return
    averaged = ", averaged weights" * (document["weights"] == "averaged")
    show(f"{document['parameters']:,} numbers of {model.path}, step {model.step}{averaged}")
    shape, layout, dtype = (document["input"][key] for key in ("shape", "layout", "dtype"))
    show(f"takes ({', '.join(map(str, shape))}) {dtype}{f', {layout}' if layout else ''}: {document['pixels']}")
    if "resize" in document:
        show(f"pictures: {document['colours']}, resized {document['resize']}")
    if "sounds" in document:
        show(f"sounds: {document['sounds']}")
    for transform in document["before"]:
        show(f"before: {transform['type']}, as in evaluation, is left to you")
    if document["answers"] != "nothing":
        shown = "" if "after" in document else " that predict shows"
        show(f"after: the {document['answers']} of the outputs gives the probabilities{shown}")
    if "after" in document:
        show(f"after: {document['after']}")
    if document["error"] is not None:
        show(f"largest difference from predict: {document['error']:.1e} of the largest output")
