"""`cnntrain list` shows the parts a config can name, with their keys."""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Iterator
from typing import Any

import click

from cnntrain.cli.options import Command, as_json, debug, print_json
from cnntrain.cli.text import paragraphs, sentence, show, table, width
from cnntrain.core.registry import KINDS

_PIPED = 80  # columns where there is no terminal


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
    from cnntrain.core.errors import UsageError
    from cnntrain.core.installed import unknown_kinds
    from cnntrain.core.registry import did_you_mean, lookup, nearest, parts, unusable

    for one in [kind] if kind in KINDS else KINDS if kind is None else ():
        for unused, why in unusable(one).items():
            warnings.warn(f"the {KINDS[one]} {unused!r} {why}", stacklevel=1)
    if kind is None:
        for line in unknown_kinds(KINDS):
            warnings.warn(line, stacklevel=1)
        _list_kinds({kind: list(parts(kind)) for kind in KINDS}, as_json)
        return
    found = [own for own in KINDS if kind in parts(own)] if kind not in KINDS and name is None else []
    if found and kind is not None:  # the name of a part, without its kind
        _show_parts([entry(parts(own)[kind]) for own in found], as_json)
        return
    if kind not in KINDS:
        every = {part for own in KINDS for part in parts(own)}
        part = nearest(kind, every) if name is None and nearest(kind, KINDS) is None else None
        hint = f"; did you mean {part!r}?" if part else did_you_mean(kind, KINDS)
        raise UsageError(f"{sentence(f'no kind {kind!r}{hint}')} See 'cnntrain list'")
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
        show("\n".join(_listed(kind, described, width() or _PIPED)))


def _show_parts(described: list[dict[str, Any]], as_json: bool) -> None:
    """Explain one part, or several of one name and different kinds."""
    if as_json:
        print_json(described)
        return
    for number, one in enumerate(described):
        if number:
            show()
        _explain(one)


def _list_kinds(kinds: dict[str, list[str]], as_json: bool) -> None:
    if as_json:
        print_json(kinds)
        return
    show(table([["kind", "parts"], *([kind, ", ".join(names)] for kind, names in kinds.items())], fold=1))
    show("\nWhat they are: cnntrain list KIND")


def _listed(kind: str, entries: list[dict[str, Any]], columns: int) -> Iterator[str]:
    """Every part in two or three lines: name and meaning, keys, where it is from."""
    from cnntrain.config.catalogue import keys

    indent = max(len(entry["name"]) for entry in entries) + 2
    for entry in entries:
        yield from _wrapped(entry["meaning"], columns, f"{entry['name']:<{indent}}", indent)
        if own := ", ".join(keys(entry)):
            yield from _wrapped(f"keys: {own}", columns, " " * indent, indent + 2)
        yield from _wrapped(f"from: {'; '.join([*_unsaid(entry), _file(entry)])}", columns, " " * indent, indent + 2)
    yield ""
    shared = dict.fromkeys(key for entry in entries for key in keys(entry, "kind"))
    if shared:
        yield from _wrapped(f"Every {KINDS[kind]} also takes: {', '.join(shared)}", columns, "", 2)
    yield f"What each key takes: cnntrain list {kind} NAME"


def _unsaid(entry: dict[str, Any]) -> list[str]:
    """The sources of a part that its meaning does not name."""
    meaning = entry["meaning"].replace("(", "")  # "Zhang et al. (2017)" is the source "Zhang et al. 2017"
    return [source for source in entry["source"] if source not in meaning]


def _file(entry: dict[str, Any]) -> str:
    """Where a part is; of an installed package, with its name and version."""
    return f"{entry['file']} of {entry['package']}" if entry["package"] else str(entry["file"])


def _wrapped(text: str, columns: int, first: str = "", indent: int = 0) -> list[str]:
    options: dict[str, Any] = {"break_long_words": False, "break_on_hyphens": False}
    return textwrap.wrap(text, max(columns, 40), initial_indent=first, subsequent_indent=" " * indent, **options)


def _explain(entry: dict[str, Any]) -> None:
    from cnntrain.config.catalogue import shown

    show(f"{entry['name']} ({_file(entry)})\n")
    show(paragraphs(entry["text"]))
    if entry["fields"]:
        rows = [
            [
                field["name"],
                "required" if field["required"] else shown(field["default"]),
                f"{sentence(field['meaning'])} Takes {field['type']}.".lstrip(". "),
            ]
            for field in entry["fields"]
        ]
        show()
        show(table([["key", "default", "meaning"], *rows], fold=2))
