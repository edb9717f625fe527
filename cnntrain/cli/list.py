"""`cnntrain list` shows the parts a config can name, with their keys."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Iterator
from typing import Any

import click

from cnntrain.cli.options import as_json, debug, print_json
from cnntrain.registry import KINDS

_PIPED = 80  # columns where nobody looks on


@click.command(epilog="Example: cnntrain list layers  |  cnntrain list optimizers adam")
@click.argument("kind", type=click.Choice(list(KINDS)))
@click.argument("name", required=False)
@as_json
@debug
def command(kind: str, name: str | None, as_json: bool) -> None:
    """List the parts of a KIND with their keys, source and file; with a NAME, explain that one."""
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
        return
    lines = explained(described[0], _columns()) if name else listed(kind, described, _columns())
    click.echo("\n".join(lines))


def listed(kind: str, entries: list[dict[str, Any]], columns: int) -> Iterator[str]:
    """Every part in two or three lines: name and meaning, keys, where it is from."""
    from cnntrain.config.catalogue import keys

    width = max(len(entry["name"]) for entry in entries)
    for entry in entries:
        yield from _wrapped(entry["meaning"], columns, f"{entry['name']:<{width}}  ", width + 2)
        if own := ", ".join(keys(entry)):
            yield from _wrapped(f"keys: {own}", columns, " " * (width + 2), width + 4)
        source = f"{', '.join(entry['source'])}; " if entry["source"] else ""
        yield from _wrapped(f"from: {source}{entry['file']}", columns, " " * (width + 2), width + 4)
    yield ""
    shared = dict.fromkeys(key for entry in entries for key in keys(entry, "kind"))
    if shared:
        yield from _wrapped(f"Every {KINDS[kind]} also takes: {', '.join(shared)}", columns, "", 2)
    yield from _wrapped(f"What each key takes: cnntrain list {kind} NAME", columns)


def explained(entry: dict[str, Any], columns: int) -> Iterator[str]:
    """One part: its whole text, and what every key takes."""
    from cnntrain.config.catalogue import shown

    yield f"{entry['name']} ({entry['file']})"
    for paragraph in entry["text"].split("\n\n"):
        yield ""
        lines = paragraph.split("\n")
        if any(line.startswith("  ") for line in lines):  # formulas and tables keep their lines
            yield from lines
        else:
            yield from _wrapped(" ".join(lines), columns)
    if not entry["fields"]:
        return
    yield ""
    width = max(len(field["name"]) for field in entry["fields"])
    for field in entry["fields"]:
        default = "required" if field["required"] else f"default {shown(field['default'])}"
        yield from _wrapped(f"{field['type']}; {default}", columns, f"{field['name']:<{width}}  ", width + 2)


def _wrapped(text: str, columns: int, first: str = "", indent: int = 0) -> list[str]:
    options: dict[str, Any] = {"break_long_words": False, "break_on_hyphens": False}
    return textwrap.wrap(text, columns, initial_indent=first, subsequent_indent=" " * indent, **options) or [first]


def _columns() -> int:
    """The width of the terminal; 80 where the output goes elsewhere."""
    try:
        return max(os.get_terminal_size(sys.stdout.fileno()).columns, 40)
    except (OSError, ValueError, AttributeError):
        return _PIPED
