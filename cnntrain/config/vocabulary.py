"""The vocabulary of keys: what a config can hold, and so what the annotations and defaults of a part may be.

Ours keep to it. A part of another package is held against it when it is loaded (core/registry.py): one with a key that
nobody could write, list or describe cannot be used, and disturbs nobody else.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import typing
from typing import Any

from cnntrain.config.describe import bare, describe, options
from cnntrain.config.dump import plain
from cnntrain.config.fields import Declared, Duration, Kind, annotations_of, keys_of
from cnntrain.config.tree import Map
from cnntrain.core.registry import KINDS

_INSTEAD = "bool, int, float, str, Literal, Duration, a tuple or union of these, or Annotated[Part, Kind(...)]"


def require_keys(cls: type) -> None:
    """Raise TypeError for a key of a dataclass that no config can hold, or whose default none can.

    Raises whatever evaluating an annotation raises, such as NameError for a name that its file does not import.
    """
    for key, (field, annotation) in keys_of(cls).items():
        if not _holds(annotation):
            written = inspect.formatannotation(annotation)
            raise TypeError(f"key {key}: {written} is no type that a config can hold. Use {_INSTEAD}")
        default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
        if default is not dataclasses.MISSING and not _is_plain(default):
            found = type(default).__name__
            raise TypeError(f"key {key}: its default is of the type {found}, which no config can hold. Use {_INSTEAD}")


def _holds(annotation: Any) -> bool:
    """Whether a config can hold what an annotation describes."""
    try:
        describe(annotation)
    except (TypeError, ValueError, KeyError):  # it finds no words: for no type, an empty tuple, no kind of part
        return False
    return all(_holds_member(*bare(member)) for member in options(annotation))


def _holds_member(base: Any, marks: tuple[Any, ...]) -> bool:
    for mark in marks:
        if isinstance(mark, Kind):
            return all(name in KINDS for name in mark.names)
    if typing.get_origin(base) is tuple:
        return all(_holds(item) for item in typing.get_args(base) if item is not Ellipsis)
    if base is Map:  # a part of the config itself, as blocks of layers are
        return False
    if dataclasses.is_dataclass(base) and base not in (Duration, Declared):
        return all(_holds(annotation) for annotation in annotations_of(typing.cast(type, base)).values())
    return True


def _is_plain(default: Any) -> bool:
    """Whether a default can be written into a config."""
    try:
        json.dumps(plain(default))
    except TypeError:
        return False
    return True
