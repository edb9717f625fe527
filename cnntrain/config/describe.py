"""A description says in words what a field accepts: "an integer, 'same' or a list of 4 integers"."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from cnntrain.config.fields import Declared, Duration, Kind, Pattern, Range, key_of
from cnntrain.config.tree import Map
from cnntrain.core.registry import KINDS, Part

_WORDS: dict[Any, tuple[str, str]] = {
    bool: ("true or false", "true or false"),
    int: ("an integer", "integers"),
    float: ("a number", "numbers"),
    str: ("text", "texts"),
    types.NoneType: ("null", "null"),
    Duration: ("a duration such as 10ep, 2000st or 10%", "durations"),
    Map: ("a mapping of config keys", "mappings of config keys"),
}


def bare(annotation: Any) -> tuple[Any, tuple[Any, ...]]:
    """An annotation without its metadata, and the metadata."""
    if typing.get_origin(annotation) is Annotated:
        base, *marks = typing.get_args(annotation)
        return base, tuple(marks)
    return annotation, ()


def options(annotation: Any) -> tuple[Any, ...]:
    """The members of a union, each with its metadata; of anything else, itself."""
    base, marks = bare(annotation)
    if typing.get_origin(base) in (typing.Union, types.UnionType):
        return tuple(Annotated[member, *marks] if marks else member for member in typing.get_args(base))
    return (annotation,)


def describe(annotation: Any) -> str:
    """What a field accepts, in words: "an integer, 'same' or 'valid'"."""
    return listed(word for member in options(annotation) for word in _words(member, plural=False))


def describe_bounded(annotation: Any) -> str:
    """What a field accepts, with bounds where there is only one option: "an integer, at least 1"."""
    _, marks = bare(annotation)
    return describe(annotation) + next((_bounds(mark) for mark in marks if isinstance(mark, (Range, Pattern))), "")


def required(field: dataclasses.Field[Any]) -> bool:
    """Whether a dataclass cannot be made without this field."""
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def listed(words: Iterable[str]) -> str:
    """`a, b or c`, each once."""
    *first, last = dict.fromkeys(words)
    return f"{', '.join(first)} or {last}" if first else last


def part_words(kind: Kind) -> tuple[str, str]:
    """What the parts of a kind are called: ("a layer", "layers")."""
    name = KINDS[kind.names[0]]
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}", f"{name}s" if name[-1] != "s" else f"{name}es"


def _bounds(mark: Range | Pattern) -> str:
    if isinstance(mark, Pattern):
        return f": {mark.words}"
    return "" if str(mark) == "finite" else f", {mark}" if str(mark)[0] != "i" else f" {mark}"


def _words(annotation: Any, plural: bool) -> list[str]:
    """The ways to say what one member of a union accepts."""
    base, marks = bare(annotation)
    kind = next((mark for mark in marks if isinstance(mark, Kind)), None)
    if kind and base in (Part, Declared):
        return [part_words(kind)[plural]]
    if base in _WORDS:
        return [_WORDS[base][plural]]
    if typing.get_origin(base) is Literal:
        return [repr(value) if isinstance(value, str) else str(value) for value in typing.get_args(base)]
    if typing.get_origin(base) is tuple:
        return ["lists" if plural else _list_words(typing.get_args(base))]
    if dataclasses.is_dataclass(base):
        keys = [key_of(field) for field in dataclasses.fields(base) if required(field)]
        noun = "mappings" if plural else "a mapping"
        return [f"{noun} with the key{'s' * (len(keys) > 1)} {', '.join(keys)}" if keys else noun]
    raise TypeError(f"{base!r} is no annotation for a key of a config")


def _list_words(items: tuple[Any, ...]) -> str:
    if items[1:] == (Ellipsis,):
        return f"a list of {_plural(items[0])}"
    if len(set(items)) == 1:
        return f"a list of {len(items)} {_plural(items[0])}"
    return f"a list of {len(items)}: {', '.join(describe(item) for item in items)}"


def _plural(annotation: Any) -> str:
    return listed(word for member in options(annotation) for word in _words(member, plural=True))
