"""The registry finds a part by kind and name: `lookup("layers", "conv2d")` gives the class.

A kind is a folder of the package; a part is a class in one of its files, registered by decorator.
The folder is imported when the kind is first asked for, so adding a part means adding a file and
nothing else, and a command that needs no part imports none.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, TypeVar

KINDS: dict[str, str] = {  # folder -> what one of its parts is called in a message
    "layers": "layer",
    "structures": "structure",
    "models": "ready model",
    "initializers": "initializer",
    "losses": "loss",
    "optimizers": "optimizer",
    "schedules": "schedule",
    "regularizers": "regularizer",
    "averages": "average",
    "transforms": "transform",
    "orders": "order",
    "datasets": "dataset",
    "metrics": "metric",
    "tasks": "task",
}


class Part:
    """Base of everything a config can name with `type:`; subclasses are frozen dataclasses."""

    kind: ClassVar[str]  # set by each kind's base class
    name_in_config: ClassVar[str]  # set by @register
    options: ClassVar[type | None] = None  # a dataclass of further keys the part's place in the config takes


_parts: dict[str, dict[str, type[Part]]] = {kind: {} for kind in KINDS}
_discovered: set[str] = set()

P = TypeVar("P", bound=type[Part])


def register(name: str) -> Callable[[P], P]:
    """Class decorator: make the part available to configs as `type: name`."""

    def add(cls: P) -> P:
        known = _parts[cls.kind]
        if name in known and known[name].__module__ != cls.__module__:
            raise ValueError(f"{cls.kind} {name!r} is registered twice: {known[name].__module__}, {cls.__module__}")
        cls.name_in_config = name
        known[name] = cls
        return cls

    return add


def parts(kind: str) -> dict[str, type[Part]]:
    """All parts of a kind by name, in alphabetical order. Imports the kind's folder the first time."""
    if kind not in _discovered:
        package = importlib.import_module(f"cnntrain.{kind}")
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"cnntrain.{kind}.{module.name}")
        _discovered.add(kind)
    return dict(sorted(_parts[kind].items()))


def lookup(kind: str, name: str) -> type[Part]:
    """The class of a part. Raises KeyError with a did-you-mean where there is none of that name."""
    known = parts(kind)
    if name not in known:
        raise KeyError(f"unknown {KINDS[kind]} {name!r}{did_you_mean(name, known)}")
    return known[name]


def make(kind: str, name: str, **fields: Any) -> Any:
    """A part by name, for parts that are composed of others without importing them."""
    return lookup(kind, name)(**fields)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The tail of an error message: the nearest known name, or all of them where none is near."""
    names = sorted(known)
    near = nearest(word, names)
    if near:
        return f"; did you mean {near!r}?"
    return f"; known: {', '.join(names)}" if names else ""


def nearest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known name that a word is most likely a misspelling of, or None; a higher cutoff wants more alike."""
    folded = {name.replace("_", "").lower(): name for name in known}
    near = difflib.get_close_matches(word.replace("_", "").replace("-", "").lower(), folded, n=1, cutoff=cutoff)
    return folded[near[0]] if near else None
