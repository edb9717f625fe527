"""`cnntrain init` writes a first config for the user's data."""

from __future__ import annotations

from pathlib import Path

import click

from cnntrain.cli.options import PATH, Command, Number, WholeNumber, as_json, debug, print_json
from cnntrain.cli.text import duration, show
from cnntrain.core import bounds, shell
from cnntrain.core.counts import counted, foremost


@click.command(
    cls=Command,
    examples=[
        "cnntrain init --data my-pictures",
        "cnntrain init --data arrays.npz -o arrays.yaml",
        "cnntrain init --data list.csv --target species",
        "cnntrain init --data my-pictures --minutes 10",
    ],
)
@click.option("--data", required=True, type=PATH, metavar="DIR|FILE", help="The data: a folder, or a file.")
@click.option(
    "-o",
    "--output",
    type=PATH,
    default=Path("config.yaml"),
    show_default=True,
    metavar="FILE",
    help="The config to write.",
)
@click.option(
    "--target", "targets", multiple=True, metavar="COLUMN", help="The column of a table to predict. Repeatable."
)
@click.option("--size", type=WholeNumber(bounds.SIZE), metavar="PIXELS", help="The shorter side of pictures.")
@click.option(
    "--minutes",
    type=Number(bounds.MINUTES),
    metavar="N",
    help="How long training may take here; by default 30. A few steps are taken to measure it.",
)
@click.option(
    "--pretrained/--from-scratch",
    default=None,
    help="Start from the network that comes with cnntrain, or not; by default only if there are few pictures.",
)
@click.option(
    "--weights", type=PATH, metavar="FILE", help="Start from a .safetensors of torchvision or timm, with its network."
)
@click.option("--overwrite", is_flag=True, help="Replace the config if there is one.")
@as_json
@debug
def command(
    data: Path,
    output: Path,
    targets: tuple[str, ...],
    size: int | None,
    minutes: float | None,
    pretrained: bool | None,
    weights: Path | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Look at the data and write a config that trains on it at once, with a comment on every choice.

    The data may be a folder of pictures, sounds or clips (videos, animated files, folders of frames) for each class,
    alone or within train/, val/ and test/; pictures with boxes (Pascal VOC, COCO, YOLO, CSV) or masks; files in the
    format of MNIST; CIFAR-10 and CIFAR-100 (binary version); .npz and .csv files, also of sounds.
    """
    from cnntrain.api.beforehand import init
    from cnntrain.core.description import size_text

    document = init(
        data,
        output,
        targets=targets,
        size=size,
        minutes=minutes,
        pretrained=pretrained,
        weights=weights,
        overwrite=overwrite,
        warn=None,
    )
    if as_json:
        print_json(document)
        return
    samples = f"{counted(document['samples'], 'training sample')} of {size_text(tuple(document['shape']))}"
    columns, left = document["columns"], document["left_columns"]
    chosen = f" (column{'s' * (len(columns) > 1)} {foremost(columns)})" if columns else ""
    show(f"{document['source']}: {samples}, {document['amount']}{chosen}")
    if left:
        show(f"left out: column{'s' * (len(left) > 1)} {foremost(left)}. Name others to predict with --target")
    start = ", pretrained" if document["pretrained"] else ""
    show(f"wrote {output}: a network of {counted(document['parameters'], 'parameter')}{start}")
    show(f"training takes about {duration(max(document['seconds'], 1))} on this machine")
    show(f"next: cnntrain fit {shell.word(output)}")
