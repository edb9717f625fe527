"""`cnntrain list` shows the parts a config can name, with their keys."""

from __future__ import annotations

from typing import Any

import click

from cnntrain.cli.options import as_json, debug, print_json, table
from cnntrain.registry import KINDS


@click.command(epilog="Example: cnntrain list layers  |  cnntrain list optimizers adam")
@click.argument("kind", type=click.Choice(list(KINDS)))
@click.argument("name", required=False)
@as_json
@debug
def command(kind: str, name: str | None, as_json: bool) -> None:
    """List the parts of a KIND with their keys and defaults; with a NAME, explain that one."""
    from cnntrain.config.catalogue import entry
    from cnntrain.errors import UsageError
    from cnntrain.registry import lookup, parts

    try:
        chosen = {name: lookup(kind, name)} if name else parts(kind)
    except KeyError as error:
        raise UsageError(f"{error.args[0]}. Try: cnntrain list {kind}") from error
    described = [entry(part) for part in chosen.values()]
    if as_json:
        print_json(described)
    elif name:
        _explain(described[0])
    else:
        click.echo(table([["name", "what it is"], *([part["name"], part["meaning"]] for part in described)]))
        click.echo(f"\nFor the keys of one: cnntrain list {kind} NAME")


def _explain(entry: dict[str, Any]) -> None:
    click.echo(f"{entry['name']} ({entry['file']})\n\n{entry['text']}\n")
    if entry["fields"]:
        rows = [[f["name"], f["type"], "required" if f["required"] else str(f["default"])] for f in entry["fields"]]
        click.echo(table([["key", "takes", "default"], *rows]))
