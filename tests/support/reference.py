"""The generated blocks of the pages, made from the program.

A block lies between `<!-- generated: NAME -->` and `<!-- generated: end -->`; the rest of a page is left alone. Run
`python -m tests.regenerate` to regenerate them.
"""

from __future__ import annotations

import functools
import os
import re
import typing
from collections.abc import Callable, Iterable, Iterator
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

from cnntrain.cli import COMMANDS
from cnntrain.cli.documents import DOCUMENTS
from cnntrain.config.catalogue import entry, fields_of, keys, shown
from cnntrain.config.describe import bare, options
from cnntrain.config.fields import Declared, Duration, Kind, keys_of
from cnntrain.config.json_schema import json_schema
from cnntrain.config.schema import Experiment, TrainedOptions
from cnntrain.core import registry
from cnntrain.core.registry import Part
from cnntrain.training.advice import LATER, RULES
from tests.support.pages import PAGES, PARTS, ROOT, Page

TITLES = {"models": "Ready models", "datasets": "Data sources"}
GALLERY = ROOT / "data/transforms.png"  # painted by tests.support.gallery


def commands() -> Iterator[str]:
    """The table of commands."""
    yield from ("| command | what it does |", "|---|---|")
    yield from (f"| `cnntrain {name}` | {meaning} |" for name, meaning in COMMANDS.items())


def documents() -> Iterator[str]:
    """The table of what commands print with --json."""
    yield from ("| command | schema | keys |", "|---|---|---|")
    for of, about in DOCUMENTS.items():
        schema = "none" if about.bare else f"`{about.title(of)}`"
        told = "; ".join(f"`{key}` {_escaped(meaning)}" for key, meaning in about.keys.items())
        yield f"| `cnntrain {of}` | {schema} | {told} |"


def keys_of_configs() -> Iterator[str]:
    """Every key of a config that is not a part's own, a table for each mapping."""
    for path, cls in mappings():
        yield f"### {f'`{path}`' if path else 'Top level'}"
        yield ""
        for line in _about(cls):
            yield from (line, "")
        yield from ("| key | meaning | takes | default |", "|---|---|---|---|")
        for key in fields_of(cls):
            default = "required" if key["required"] else _default(key["default"])
            yield f"| `{key['name']}` | {_escaped(key['meaning'])} | {_escaped(key['type'])} | {default} |"
        for key, meaning, takes in _resolved_before(path):
            yield f"| `{key}` | {_escaped(meaning)} | {takes} | |"
        yield ""


def _about(cls: type) -> Iterator[str]:
    """What has to be said of a mapping before its table."""
    if issubclass(cls, Part):
        yield f"Every {registry.KINDS[cls.kind]} takes these besides its own keys, unless it has another default."
    if cls is TrainedOptions:
        yield "Every entry of the list takes `name` and `from`; entries with parameters take the others too."
    alternatives = [f"`{key}`" for key in getattr(cls, "exactly_one", ())]
    if alternatives:
        yield f"Give exactly one of {', '.join(alternatives[:-1])} and {alternatives[-1]}."


def _default(value: Any) -> str:
    """A default in a table: the name of a part, nothing for a mapping, whose own table follows."""
    if isinstance(value, dict):
        value = value.get("type", "")
    return "" if value == "" else f"`{shown(value)}`"


def mappings() -> Iterator[tuple[str, type]]:
    """Every mapping of a config by the path of its key: the experiment's own, and what all parts of a kind take."""
    seen: set[type] = set()

    def visit(path: str, cls: type) -> Iterator[tuple[str, type]]:
        if cls in seen:
            return
        seen.add(cls)
        if list(fields_of(cls)):
            yield path, cls
        for key, (_, annotation) in keys_of(cls).items():
            for inner in _mappings_in(annotation):
                yield from visit(f"{path}.{key}".lstrip("."), inner)

    return visit("", Experiment)


def _mappings_in(annotation: Any) -> Iterator[type]:
    """The dataclasses a key may hold: mappings, bases of the kinds of parts, and what any entry of `layers` may say."""
    for member in options(annotation):
        base, marks = bare(member)
        kind = next((mark for mark in marks if isinstance(mark, Kind)), None)
        if base is Declared:
            yield TrainedOptions
        elif kind:
            yield base_of(kind.names[0])
        elif typing.get_origin(base) is tuple:
            for item in typing.get_args(base):
                if item is not Ellipsis:
                    yield from _mappings_in(item)
        elif is_dataclass(base) and base is not Duration:
            yield typing.cast(type, base)


def base_of(kind: str) -> type[Part]:
    """The class that all parts of a kind derive from."""
    part = next(iter(registry.parts(kind).values()))
    return next(cls for cls in part.__mro__ if "kind" in cls.__dict__)


@functools.cache
def _definitions() -> dict[str, Any]:
    """Those of the schema, which takes a while to be made."""
    return typing.cast(dict[str, Any], json_schema()["$defs"])


def _resolved_before(path: str) -> Iterator[tuple[str, str, str]]:
    """The keys that are resolved before there is an experiment, what the schema says of them, and what they take."""
    schema = _definitions()
    if path == "":
        top = schema["Experiment"]["properties"]
        yield "vars", top["vars"]["description"], "a mapping"
        yield "extends", top["extends"]["description"], "text or a list of texts"
    if path == "model":
        yield "blocks", schema["ModelConfig"]["properties"]["blocks"]["description"], "a mapping"


def parts() -> Iterator[str]:
    """Every part there is, a table for each kind, and the warnings; links to them first."""
    titles = [*map(_title, registry.KINDS), "Warnings"]
    yield from (f"- [{title}](#{title.lower().replace(' ', '-')})" for title in titles)
    yield ""
    for kind in registry.KINDS:
        yield from _table(kind)
    yield "## Warnings"
    yield ""
    yield "`warnings: {ignore: [CODE]}` silences one."
    yield ""
    yield from ("| code | given when |", "|---|---|")
    about = {code: rule.about for code, rule in RULES.items()} | LATER
    yield from (f"| `{code}` | {sentence} |" for code, sentence in about.items())


def _table(kind: str) -> Iterator[str]:
    entries = [entry(part) for part in registry.own(kind).values()]
    yield f"## {_title(kind)}"
    yield ""
    if kind == "transforms":
        yield "What each does to a picture, painted by `python -m tests.regenerate`:"
        yield ""
        yield f"![Every transform, applied to a painted house]({_from(PARTS.path, GALLERY)})"
        yield ""
    for word, of in (
        (f"Every {registry.KINDS[kind]} also takes", "kind"),
        ("An entry of `model.layers` also takes", "place"),
    ):
        shared = dict.fromkeys(key for one in entries for key in keys(one, of))
        if shared:
            yield f"{word}: {', '.join(f'`{key}`' for key in shared)}."
            yield ""
    yield from ("| name | keys | what it is |", "|---|---|---|")
    for one in entries:
        own = ", ".join(f"`{key}`" for key in keys(one))
        link = _from(PARTS.path, ROOT / one["file"])
        yield f"| [`{one['name']}`]({link}) | {own} | {_escaped(one['meaning'])} |"
    yield ""


def _title(kind: str) -> str:
    """What the tables of a kind are headed by."""
    return TITLES.get(kind, kind.capitalize())


def _from(page: Path, target: Path) -> str:
    """A link from a page to a file."""
    return os.path.relpath(target, page.parent)


def _escaped(text: str) -> str:
    """A docstring's sentence within a table: nothing in it is Markdown but the backquotes."""
    for letter in "|*<_[]":
        text = text.replace(letter, "\\" + letter)
    parts = text.split("`")  # within backquotes only the bar needs its backslash
    parts[1::2] = [part.replace("\\", "").replace("|", "\\|") for part in parts[1::2]]
    return "`".join(parts)


GENERATORS: dict[str, Callable[[], Iterable[str]]] = {
    "commands": commands,
    "documents": documents,
    "keys": keys_of_configs,
    "parts": parts,
}
END = "<!-- generated: end -->"
BLOCK = re.compile(rf"<!-- generated: ([a-z]+) -->\n.*?{END}", re.DOTALL)


def refreshed(text: str) -> str:
    """A page with every generated block regenerated; the rest stays as it is."""
    return BLOCK.sub(lambda found: block(found[1]), text)


def block(name: str) -> str:
    """A generated block, markers included."""
    return "\n".join([f"<!-- generated: {name} -->", "", *GENERATORS[name](), "", END]).replace("\n\n\n", "\n\n")


def generated() -> list[Page]:
    """The pages that have such a block."""
    return [page for page in PAGES if BLOCK.search(page.text)]


def content(page: Page) -> bytes:
    """A page as it should be."""
    return refreshed(page.text).encode()
