"""The registry finds a part by kind and name: `lookup("layers", "conv2d")` gives the class.

A kind is a folder of the package; a part is a class in one of its files, registered by decorator.
Its file is imported when it is first asked for by name, and the whole folder when the kind is, so adding a part means
adding a file and nothing else, and a command that needs no part imports none. With the folder come the parts of that
kind that installed packages declare (installed.py); one that cannot be loaded is left out, and asking for it says why.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import pkgutil
import re
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from cnntrain.core.counts import foremost

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
    options: ClassVar[type | None] = None  # a dataclass of further keys that the part's place in the config takes
    libraries: ClassVar[tuple[str, ...]] = ()  # what its bits depend on besides what all do, by module: "cv2"


_DECLARED = re.compile(r'^@register\("(\w+)"\)$', re.MULTILINE)
_ANNOTATED = re.compile(r"^    (\w+?)_?: ", re.MULTILINE)
_LISTED = 1000  # letters of names that are all told: each kind has fewer, and a deep network, or data, more
_OURS = "cnntrain."  # prefix of our own modules' names
_parts: dict[str, dict[str, type[Part]]] = {kind: {} for kind in KINDS}
_discovered: set[str] = set()  # kinds whose folder has been imported
_extended: set[str] = set()  # kinds whose installed parts have been looked for
_extending = threading.RLock()  # by one thread; what it loads may ask for parts meanwhile, other threads wait
_packages: dict[type[Part], str] = {}  # part -> the installed package it comes from, "waves 0.1"
_unusable: dict[str, dict[str, str]] = {kind: {} for kind in KINDS}  # installed parts, and why they cannot be used
_added: list[tuple[str, str]] = []  # kind and name, in the order they were registered

P = TypeVar("P", bound=type[Part])


def register(name: str) -> Callable[[P], P]:
    """Class decorator: make the part available to configs as `type: name`."""

    def add(cls: P) -> P:
        if not cls.__module__.startswith(_OURS):
            own(cls.kind)  # so that one of our names is never taken
        known = _parts[cls.kind]
        if name in known and known[name].__module__ != cls.__module__:
            raise ValueError(f"{cls.kind} {name!r} is registered twice: {known[name].__module__}, {cls.__module__}")
        cls.name_in_config = name
        known[name] = cls
        _added.append((cls.kind, name))
        return cls

    return add


def own(kind: str) -> dict[str, type[Part]]:
    """The package's own parts of a kind by name, in alphabetical order. Imports the kind's folder the first time."""
    if kind not in _discovered:
        package = importlib.import_module(f"cnntrain.parts.{kind}")
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"cnntrain.parts.{kind}.{module.name}")
        _discovered.add(kind)
    mine = {name: cls for name, cls in [*_parts[kind].items()] if cls.__module__.startswith(_OURS)}
    return dict(sorted(mine.items()))


def parts(kind: str) -> dict[str, type[Part]]:
    """All parts of a kind by name, in alphabetical order: the package's own, and those of installed packages."""
    with _extending:
        if kind not in _extended:
            _extended.add(kind)
            _extend(kind)
    return dict(sorted(_parts[kind].items()))


def find(name: str, *kinds: str) -> type[Part] | None:
    """The part of a name among these kinds, if there is one.

    A kind's folder is imported only where no file of ours declares the name: most configs need few of the files.
    """
    for kind in kinds:
        if name not in _parts[kind] and name in (files := _files(kind)):
            importlib.import_module(f"cnntrain.parts.{kind}.{files[name]}")
        if name in _parts[kind]:
            return _parts[kind][name]
    return next((found[name] for kind in kinds if name in (found := parts(kind))), None)


@functools.cache
def _files(kind: str) -> dict[str, str]:
    """Which module of ours declares a name, for those that are written out in the decorator."""
    return {name: module for module, text in _texts(kind).items() for name in _DECLARED.findall(text)}


@functools.cache
def written(kind: str) -> frozenset[str]:
    """What the files of a kind annotate in their classes: all keys of our parts, and a little more; imports nothing."""
    return frozenset(name for text in _texts(kind).values() for name in _ANNOTATED.findall(text))


@functools.cache
def _texts(kind: str) -> dict[str, str]:
    folder = Path(__file__).parent.parent / "parts" / kind
    return {path.stem: path.read_text("utf-8") for path in sorted(folder.glob("*.py"))}


def known(kind: str) -> dict[str, type[Part]]:
    """The parts of a kind that are registered so far, by whichever package; imports nothing."""
    return dict(_parts[kind])


def unusable(kind: str) -> dict[str, str]:
    """The parts of a kind that installed packages declare and that cannot be used, each with the reason in a line."""
    parts(kind)
    return dict(_unusable[kind])


def package_of(cls: type[Part]) -> str | None:
    """The installed package that a part comes from, with its version ("waves 0.1"); None for our own."""
    return _packages.get(cls)


def _extend(kind: str) -> None:
    """Load the parts of a kind that installed packages declare."""
    from cnntrain.core import installed

    usable, _unusable[kind] = installed.of_kind(kind, own(kind))
    for name, origin in usable.items():
        before, sound = len(_added), False  # the module, in which other parts may lie
        try:
            found = origin.load()
            _require_declared(_foreign(before), {(one.kind, one.name) for one in installed.declared()})
            sound = True
            cls = _parts[kind].get(name)
            if cls is None or not is_declared(cls) or (isinstance(found, type) and found is not cls):
                raise TypeError(f"it is, or has, no dataclass with @register({name!r}) that is of the kind {kind}")
            importlib.import_module("cnntrain.config.vocabulary").require_keys(cls)
            _packages[cls] = origin.package
        except (Exception, SystemExit) as error:  # anything a foreign module may raise
            for other, undone in [*([] if sound else _foreign(before)), (kind, name)]:
                _parts[other].pop(undone, None)
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            _unusable[kind][name] = (
                f"of {origin.package} ({origin.value}) cannot be loaded: {reason}. Mend or uninstall the package"
            )


def _foreign(before: int) -> list[tuple[str, str]]:
    """What has been registered since then by others than us: with a part of theirs, our own of its kind come in."""
    known = ((kind, name) for kind, name in _added[before:] if name in _parts[kind])
    return [(kind, name) for kind, name in known if not _parts[kind][name].__module__.startswith(_OURS)]


def is_declared(cls: type[Part]) -> bool:
    """Whether it is a dataclass itself: of one that only inherits from one, annotations are no keys."""
    return "__dataclass_fields__" in vars(cls)


def _require_declared(new: Iterable[tuple[str, str]], declared: set[tuple[str, str]]) -> None:
    """A module that registers more than the part asked for must declare the rest too, or none of it is registered."""
    for kind, name in new:
        if (kind, name) not in declared:
            raise TypeError(f"it registers the {KINDS[kind]} {name!r} too. Declare {kind}.{name} beside it")


def lookup(kind: str, name: str) -> type[Part]:
    """The class of a part. Raises KeyError with a did-you-mean where there is none of that name."""
    found = find(name, kind)
    if found is None and name in _unusable[kind]:
        raise KeyError(f"the {KINDS[kind]} {name!r} {_unusable[kind][name]}")
    if found is None:
        raise KeyError(f"unknown {KINDS[kind]} {name!r}{did_you_mean(name, parts(kind))}")
    return found


def make(kind: str, name: str, **fields: Any) -> Any:
    """A part by name, for parts that are composed of others without importing them."""
    return lookup(kind, name)(**fields)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The tail of an error message: the nearest known name or, where none is near, all, or of very many the first."""
    names = sorted(known)
    near = nearest(word, names)
    if near:
        return f"; did you mean {near!r}?"
    listed = ", ".join(names)
    return f"; known: {listed if len(listed) <= _LISTED else foremost(names)}" if names else ""


def nearest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known name that a word is most likely a misspelling of, or None; a higher cutoff demands a closer match."""
    folded = {name.replace("_", "").lower(): name for name in known}
    near = difflib.get_close_matches(word.replace("_", "").replace("-", "").lower(), folded, n=1, cutoff=cutoff)
    return folded[near[0]] if near else None
