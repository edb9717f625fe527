"""`cnntrain check` looks at a config, its shapes and its data, and trains nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cnntrain.cli.options import PATH, Command, as_json, debug, print_json, sets, threads
from cnntrain.cli.text import pairs, show, table
from cnntrain.core.counts import counted

MOST_NAMED = 10  # files named for each kind of problem
MOST_CLASSES = 20  # with more, only the smallest and largest counts are shown


@click.command(
    cls=Command,
    examples=[
        "cnntrain check configs/quickstart.yaml --show-batch batch.png",
        "cnntrain check configs/cifar10-resnet20.yaml --no-data",
    ],
)
@click.argument("configs", nargs=-1, required=True, type=PATH, metavar="CONFIG...")
@sets
@threads
@click.option("--no-data", is_flag=True, help="Do not read the data: shapes and classes come from the config.")
@click.option(
    "--show-batch",
    type=PATH,
    metavar="FILE.png",
    help="Save a picture of what the network will see: augmented, with labels.",
)
@as_json
@debug
def command(
    configs: tuple[Path, ...],
    sets: tuple[str, ...],
    threads: int | None,
    no_data: bool,
    show_batch: Path | None,
    as_json: bool,
) -> None:
    """Check CONFIG: every key, every shape and, unless told otherwise, every file of its data, each read once.

    Reports counts, sizes and classes, mean and deviation of the training pixels, and by name the files that cannot be
    read, occur twice, are in training and in another split, or are in two classes. What it learns about the files is
    kept below runs/, so that fit notices at once when they have changed. Several configs are merged, later ones over
    earlier ones.
    """
    from cnntrain.api.check import check
    from cnntrain.core.errors import UsageError

    if no_data and show_batch:
        raise UsageError("--show-batch shows data and --no-data reads none. Choose one")
    announce = print_json if as_json else show_refused
    document = check(
        configs, set=sets, data=not no_data, picture=show_batch, threads=threads, announce=announce, warn=None
    )
    if as_json:
        print_json(document)
    else:
        show_survey(document)
        show_rehearsal(document)


def show_survey(document: dict[str, Any]) -> None:
    """Print for people which files are bad, and why."""
    from cnntrain.reading.input_files import told_of

    found = document.get("survey")
    if not found or not found["files"]:
        return
    listed = {kind: [told_of(one["file"], one["reason"]) for one in found[kind]] for kind in ("unreadable", "skipped")}
    listed |= {kind: [" = ".join(group) for group in found[kind]] for kind in ("mislabelled", "leaked", "duplicates")}
    listed["alike"] = [" ~ ".join(pair) for pair in found["alike"]]
    for kind, lines in listed.items():
        if lines:
            show(f"{kind} ({len(lines):,}):")
            show("\n".join(f"  {line}" for line in lines[:MOST_NAMED]))
            if len(lines) > MOST_NAMED:
                show(f"  and {len(lines) - MOST_NAMED:,} more, all of them with --json")
            show()


def show_refused(document: dict[str, Any]) -> None:
    """Print for people what was found where some files cannot be read: which are bad, and what was left out."""
    show_survey(document)
    if rows := _left_out(document["survey"]):
        show(pairs(rows))
        show()


def _left_out(found: dict[str, Any]) -> list[tuple[str, str]]:
    """A row about what lies there and is not read: for its name, or since it is no regular file."""
    from cnntrain.reading.folders import listed

    others = found["left_out"]
    return [("left out", f"{counted(sum(others.values()), 'file')}: {listed(others)}")] if others else []


def _figures(found: dict[str, Any]) -> list[tuple[str, str]]:
    """Rows about the files, and the normalization that they call for."""
    from cnntrain.checks.survey import of_sounds

    sounds = of_sounds(found)
    rows = [("files", f"{found['files']:,}, {found['bytes'] / 1e6:,.1f} MB in all, every one read")]
    rows += _left_out(found)
    if found["extents"]:
        low, middle, high = (
            f"{figures[0]:.2f} s" if sounds else "x".join(f"{side:.0f}" for side in figures)
            for figures in map(found["extents"].__getitem__, ("min", "median", "max"))
        )
        rows.append(("lengths" if sounds else "sizes", low if low == high else f"{low} to {high}, median {middle}"))
    if found["mean"]:
        figures = {key: ", ".join(f"{value:.4f}" for value in found[key]) for key in ("mean", "std")}
        normalize = f"{{type: normalize, mean: [{figures['mean']}], std: [{figures['std']}]}}"
        rows.append(("sounds" if sounds else "pixels", normalize))
    return rows


def _answers(document: dict[str, Any]) -> tuple[str, str]:
    """What the network answers with, and how many there are."""
    if document["values"]:
        return "labels" if document["task"] == "tag" else "values", f"{document['values']:,}"
    return "classes", f"{len(document['classes']):,}"


def show_rehearsal(document: dict[str, Any]) -> None:
    """Print for people what a rehearsal found."""
    data = document.get("data", {})
    what, names = _counted(data)
    few = 0 < len(names) <= MOST_CLASSES
    rows = [
        ("input", document["input"]),
        ("task", document["task"]),
        _answers(document),
        ("layers", str(len(document["nodes"]))),
        ("parameters", f"{document['parameters']:,}"),
        *(_ahead(document) if "run_seconds" in document else [("memory", f"{document['memory']} besides the data")]),
        *((split, _amount(found, spread=not few)) for split, found in data.items()),
        *(_figures(document["survey"]) if document.get("survey", {}).get("files") else ()),
    ]
    show(pairs(rows))
    if few:
        show()
        show(
            table(
                [[what, *data], *([name, *_of_class(data, name)] for name in names)],
                right=range(1, len(data) + 1),
                fold=0,
            )
        )
    show()
    show(f"{document['name']}: {'ready to train' if data else 'sound, as far as can be told without its data'}")


def _ahead(document: dict[str, Any]) -> list[tuple[str, str]]:
    """What a run will take."""
    from cnntrain.core.console import clock
    from cnntrain.core.machine import human

    threads, epochs = document["threads"], document["epochs"]
    return [
        ("memory", f"{human(document['peak_bytes'])} at most, data included; {human(document['free_bytes'])} free"),
        (
            "disk",
            f"{human(document['disk_bytes'])} at most, for {counted(document['checkpoints'], 'checkpoint')} of "
            f"{human(document['checkpoint_bytes'])}"
            + (f" and {human(document['film_bytes'])} of film" if document["film_moments"] else "")
            + (f"; {human(document['disk_free_bytes'])} free" if document["disk_free_bytes"] is not None else ""),
        ),
        (
            "step",
            f"{1000 * document['step_seconds']:.1f} ms on {counted(threads, 'thread')}, "
            f"{document['step_flops'] / 1e9:.3g} GFLOP, {document['images_per_second']:.0f} images/s",
        ),
        ("epoch", f"{document['epoch_seconds']:.1f} s with validation, {counted(document['steps_per_epoch'], 'step')}"),
        ("run", f"{clock(document['run_seconds'])} for {counted(epochs, 'epoch')}"),
    ]


def _amount(found: dict[str, Any], spread: bool) -> str:
    counts = found.get("per_class", {}).values()
    tail = f", {min(counts):,} to {max(counts):,} a class" if spread and counts else ""
    others = [(key, count) for key, count in found.items() if key != "samples" and isinstance(count, int) and count]
    tail += "".join(f", {count:,} {key.replace('_', ' ')}" for key, count in others)
    return f"{counted(found['samples'], 'sample')}{tail}"


def _counted(data: dict[str, Any]) -> tuple[str, list[str]]:
    """What the task counts by name in the samples of all splits (`Task.census`), such as "class", and the names."""
    for found in data.values():
        for key, counts in found.items():
            if isinstance(counts, dict):
                return ("class" if key == "per_class" else key), list(counts)
    return "class", []


def _of_class(data: dict[str, Any], name: str) -> list[str]:
    tables = [counts for found in data.values() for counts in found.values() if isinstance(counts, dict)]
    return [f"{counts.get(name, 0):,}" for counts in tables]
