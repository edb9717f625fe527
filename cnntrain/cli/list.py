"""`cnntrain list` shows the parts a config can name, with their keys."""

from __future__ import annotations

import json
from typing import Any

import click

from cnntrain.cli.options import Command, as_json, debug, print_json
from cnntrain.cli.text import paragraphs, sentence, show, table
from cnntrain.registry import KINDS


def _complete_kind(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    return [kind for kind in KINDS if kind.startswith(incomplete)]


@click.command(cls=Command, examples=["cnntrain list", "cnntrain list layers", "cnntrain list optimizers adam"])
@click.argument("kind", required=False, metavar="[KIND]", shell_complete=_complete_kind)
@click.argument("name", required=False, metavar="[NAME]")
@as_json
@debug
def command(kind: str | None, name: str | None, as_json: bool) -> None:
    """List the kinds of parts; the parts of a KIND; or explain the part NAME with its keys and defaults."""
    from cnntrain.config.catalogue import entry
    from cnntrain.errors import UsageError
    from cnntrain.registry import did_you_mean, lookup, parts

    if kind is None:
        _list_kinds({kind: list(parts(kind)) for kind in KINDS}, as_json)
        return
    if kind not in KINDS:
        raise UsageError(f"{sentence(f'no kind {kind!r}{did_you_mean(kind, KINDS)}')} See 'cnntrain list'")
    try:
        chosen = [lookup(kind, name)] if name else list(parts(kind).values())
    except KeyError as error:
        raise UsageError(f"{sentence(error.args[0])} See 'cnntrain list {kind}'") from error
    described = [entry(part) for part in chosen]
    if as_json:
        print_json(described)
    elif name:
        _explain(described[0])
    else:
        show(table([["name", "what it is"], *([part["name"], part["meaning"]] for part in described)], fold=1))
        show(f"\nFor the keys of one: cnntrain list {kind} NAME")


def _list_kinds(kinds: dict[str, list[str]], as_json: bool) -> None:
    if as_json:
        print_json(kinds)
        return
    show(table([["kind", "parts"], *([kind, ", ".join(names)] for kind, names in kinds.items())], fold=1))
    show("\nWhat they are: cnntrain list KIND")


def _explain(entry: dict[str, Any]) -> None:
    show(f"{entry['name']} ({entry['file']})\n")
    show(paragraphs(entry["text"]))
    if entry["fields"]:
        rows = [[field["name"], _default(field), field["type"]] for field in entry["fields"]]
        show()
        show(table([["key", "default", "takes"], *rows], fold=2))


def _default(field: dict[str, Any]) -> str:
    """A default as YAML has it on one line."""
    if field["required"]:
        return "required"
    return field["default"] if isinstance(field["default"], str) else json.dumps(field["default"])
