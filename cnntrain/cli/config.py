"""`cnntrain config` shows a config with every default filled in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cnntrain.cli.options import PATH, Command, as_json, debug, print_json, sets
from cnntrain.cli.text import show, table
from cnntrain.core import terminal


@click.command(
    cls=Command,
    examples=[
        "cnntrain config configs/quickstart.yaml",
        "cnntrain config configs/quickstart.yaml -s train.epochs=3 --origin",
        "cnntrain config configs/cifar10-small.yaml --diff configs/quickstart.yaml",
    ],
)
@click.argument("configs", nargs=-1, required=True, type=PATH, metavar="CONFIG...")
@sets
@click.option("--origin", is_flag=True, help="Show where the value of every key comes from.")
@click.option("--diff", "other", type=PATH, help="Show only what differs from this config: there -> here.")
@as_json
@debug
def command(configs: tuple[Path, ...], sets: tuple[str, ...], origin: bool, other: Path | None, as_json: bool) -> None:
    """Show CONFIG as it would be run: merged, overridden, every default filled in."""
    from cnntrain.config.dump import plain, to_yaml
    from cnntrain.config.load import leaves, load
    from cnntrain.core.errors import UsageError

    if origin and other is not None:
        raise UsageError("--origin and --diff are two answers. Choose one")
    loaded = load(configs, sets)
    document = plain(loaded.experiment)
    if other is not None:
        _difference(dict(leaves(plain(load([other]).experiment))), dict(leaves(document)), as_json)
    elif origin:
        _origins(dict(leaves(document)), loaded.origins(), as_json)
    elif as_json:
        print_json(document)
    else:
        terminal.out(to_yaml(document), end="")


def _difference(theirs: dict[str, Any], mine: dict[str, Any], as_json: bool) -> None:
    """Print the keys that differ; a key that only one of the two has is null in the other."""
    from cnntrain.config.dump import value_text

    changed = {key: [theirs.get(key), mine.get(key)] for key in theirs | mine if theirs.get(key) != mine.get(key)}
    if as_json:
        print_json(changed)
        return
    for key, (there, here) in changed.items():
        show(f"{key}: {value_text(there)} -> {value_text(here)}")


def _origins(values: dict[str, Any], origins: dict[str, str], as_json: bool) -> None:
    if as_json:
        print_json({key: {"value": value, "from": origins[key]} for key, value in values.items()})
        return
    from cnntrain.config.dump import value_text

    rows = [[key, value_text(value), origins[key]] for key, value in values.items()]
    show(table([["key", "value", "from"], *rows], fold=1))
