"""`cnntrain export` writes a trained network for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cnntrain.cli.options import PATH, Command, as_json, debug, print_json
from cnntrain.cli.text import show

if TYPE_CHECKING:
    from cnntrain.trained.inference import Trained

SUFFIXES = {"numpy": ".py", "onnx": ".onnx", "safetensors": ".safetensors"}


@click.command(
    cls=Command,
    examples=[
        "cnntrain export runs/quickstart/latest --format numpy --output digits.py",
        "cnntrain export runs/quickstart/latest --format onnx --fold",
        "cnntrain export runs/quickstart/latest --format safetensors",
    ],
)
@click.argument("checkpoint", metavar="CHECKPOINT|RUN", type=PATH)
@click.option("--format", "kind", type=click.Choice([*SUFFIXES]), required=True, help="What to write.")
@click.option("-o", "--output", type=PATH, help="The file to write; by default the run's name, here.")
@click.option(
    "--fold", is_flag=True, help="Make batch norm part of the layer before it: faster, equal but for rounding."
)
@click.option(
    "--names",
    type=click.Choice(["cnntrain", "torchvision", "timm"]),
    help="Whose names safetensors have; by default those that model.init_from.names says.",
)
@click.option("--overwrite", is_flag=True, help="Replace the output if it exists.")
@as_json
@debug
def command(
    checkpoint: Path, kind: str, output: Path | None, fold: bool, names: Any, overwrite: bool, as_json: bool
) -> None:
    """Write a trained network for use without cnntrain.

    numpy: a Python file to read, and its weights beside it, that need NumPy alone. onnx: for ONNX Runtime and others
    (extra onnx). safetensors: the parameters for an equal PyTorch model (extra safetensors). Of a run directory it is
    the best checkpoint, or the last where there is no best.
    """
    from cnntrain.core.errors import UsageError
    from cnntrain.engine.pool import Pool
    from cnntrain.results.export.files import export
    from cnntrain.trained.inference import Trained

    if fold and kind == "safetensors":
        raise UsageError("--fold is for numpy and onnx: PyTorch's model has its batch norms. Leave it out")
    if names and kind != "safetensors":
        raise UsageError(f"--names is for safetensors: {kind} files have no such names. Leave it out")
    with Pool(1) as pool:
        trained = Trained(checkpoint, pool)
        target = output or Path(trained.loaded.experiment.name + SUFFIXES[kind])
        _check(target, SUFFIXES[kind])
        document = export(trained, kind, target, fold, overwrite, names)
    if as_json:
        print_json(document)
        return
    _say(document, trained)


def _check(target: Path, suffix: str) -> None:
    from cnntrain.core.errors import UsageError

    if target.suffix != suffix:
        raise UsageError(f"--output {target}: the format's files end with {suffix}. Call it {target.stem}{suffix}")
    if suffix == ".py" and not target.stem.isidentifier():
        name = "".join(letter if letter.isalnum() else "_" for letter in target.stem)
        raise UsageError(
            f"{target.name} could not be imported: a module's name has no such letters. Add --output {name}.py"
        )


def _say(document: dict[str, Any], trained: Trained) -> None:
    for path in document["files"]:
        show(path)
    averaged = ", averaged weights" * trained.averaged
    show(f"{document['parameters']:,} numbers of {trained.path}, step {trained.step}{averaged}")
    show(f"takes {document['pixels']}")
    if "resize" in document:
        show(f"pictures: {document['colours']}, resized {document['resize']}")
    for transform in document["before"]:
        show(f"before: {transform['type']}, as in evaluation, is yours to do")
    if document["answers"] != "nothing":
        show(f"after: the {document['answers']} of the outputs gives the probabilities that predict shows")
    if document["error"] is not None:
        show(f"largest difference from predict: {document['error']:.1e} of the largest output")
