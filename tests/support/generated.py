"""Made-up experiments: any config that the schema's dataclasses allow, and the ways to break one key of it."""

from __future__ import annotations

import copy
import math
import random
import typing
from typing import Any, Literal

from cnntrain.config.binder import Binder, Place
from cnntrain.config.describe import bare, options, required
from cnntrain.config.fields import Declared, Duration, Kind, Pattern, Range, keys_of
from cnntrain.config.problems import Problems
from cnntrain.config.schema import Experiment
from cnntrain.config.tree import Map, of_plain
from cnntrain.core import registry
from cnntrain.core.errors import ConfigError, Mark
from cnntrain.core.registry import Part

TEXTS = (
    *("a", "first", "val/loss", "train/loss", "two words", "ü", "on", "no", "1e-3", "010", "null", "~", "", "- x"),
    *("# x", "a: b", "'", '"', "{", "*a", "&a", "!x", "x\ny", "2001-01-01", "12:30", "\x1b", "\u2028", "|", "=", "<<"),
)
NAMES = ("a", "run-1", "x_2.0", "010", "no", "1e3")
INTEGERS = (0, 1, 2, 3, 4, 5, 7, 8, 10, 16, 100)
NUMBERS = (0.0, 1e-20, 1e-7, 1e-3, 0.1, 0.25, 0.5, 0.9, 0.999, 1.0, 1.5, 2.0, 10.0, 1e5, 1e20, -1.0)
DURATIONS = ("1", "2ep", "1.5ep", "3st", "10%", "0.5%")
EXTREMES = (math.nan, math.inf, -math.inf, -1, 0, -(10**30), 10**30, 1e308, -1e308, 2**31, 2**63)
OTHERS = (
    "x",
    "",
    True,
    None,
    [],
    {},
    [[]],
    {"a": 1},
    {"type": "relu"},
    [1, 2, 3, 4, 5, 6, 7],
    "${vars.x}",
    "2001-01-01",
)
DEEPEST = 3  # levels of layers within layers

_SCALARS: dict[Any, typing.Sequence[Any]] = {
    bool: (True, False),
    int: INTEGERS,
    float: NUMBERS,
    str: TEXTS,
    type(None): (None,),
    Duration: DURATIONS,
}
_TAME: dict[Any, typing.Sequence[Any]] = {int: (1, 2, 3, 4), float: (0.001, 0.01, 0.1, 0.5, 1.0)}


class Generator:
    """Draws configs as `dump.plain` would give them, from one source of random numbers."""

    def __init__(self, rng: random.Random, tame: bool = False) -> None:
        """`tame` leaves out numbers with which hardly anything can be trained."""
        self.rng = rng
        self._scalars = _SCALARS | (_TAME if tame else {})
        self._depth = 0

    def experiment(self) -> dict[str, Any]:
        """A config that the reader takes; whether its layers fit together is another question."""
        config = self._mapping(Experiment)
        config["data"]["source"] = self._synthetic()
        if config["model"].get("layers") and self.rng.random() < 0.8:  # or hardly any would make a network
            config["model"]["layers"] += ["flatten", {"type": "dense", "units": "auto"}]
            config["loss"] = "cross_entropy"
        return config

    def part(self, *kinds: str, name: str | None = None) -> Any:
        """Any part of some kinds, or the one of a name; a layer or structure as it stands in a list of layers."""
        return self._part(Kind(*kinds), "layers" in kinds, name)

    def _synthetic(self) -> dict[str, Any]:
        size, channels, classes = self.rng.choice([5, 8, 12]), self.rng.choice([1, 3]), self.rng.choice([2, 3])
        return {"type": "synthetic", "size": size, "channels": channels, "classes": classes, "samples": 30}

    def value(self, annotation: Any) -> Any:
        """Any value of a type that a config can have, as `dump.plain` would give it."""
        base, marks = bare(self.rng.choice(options(annotation)))
        kind = next((mark for mark in marks if isinstance(mark, Kind)), None)
        if kind and base in (Part, Declared):
            return self._part(kind, base is Declared)
        if typing.get_origin(base) is Literal:
            return self.rng.choice(typing.get_args(base))
        if typing.get_origin(base) is tuple:
            return self._list(typing.get_args(base))
        if base is Map:
            return {}
        if base in _SCALARS:
            return self.rng.choice(_allowed(self._scalars[base], base, marks))
        return self._mapping(base)

    def _list(self, wanted: tuple[Any, ...]) -> list[Any]:
        if wanted[1:] == (Ellipsis,):
            self._depth += 1
            count = self.rng.randrange(1, 5) if self._depth <= DEEPEST else 1
            found = [self.value(wanted[0]) for _ in range(count)]
            self._depth -= 1
            return found
        return [self.value(item) for item in wanted]

    def _part(self, kind: Kind, declared: bool, wanted: str | None = None) -> Any:
        nested = self._depth <= DEEPEST
        names = [
            (name, cls)
            for folder in kind.names
            for name, cls in registry.parts(folder).items()
            if (nested or not _nests(cls)) and wanted in (None, name)
        ]
        while True:
            name, cls = self.rng.choice(names)
            given = self._keys(cls)
            if declared and cls.options and self.rng.random() < 0.1:
                given |= self._keys(cls.options)
            whole = {"type": name} | given
            annotation = typing.Annotated[Declared if declared else Part, kind]
            if _reads(whole, annotation):
                return name if not given and self.rng.random() < 0.5 else whole

    def _mapping(self, cls: Any) -> dict[str, Any]:
        while True:
            given = self._keys(cls)
            if _reads(given, cls):
                return given

    def _keys(self, cls: Any) -> dict[str, Any]:
        chance = self.rng.choice([0.0, 0.2, 0.5])
        return {
            key: self.value(annotation)
            for key, (field, annotation) in keys_of(cls).items()
            if required(field) or self.rng.random() < chance
        }


def _allowed(values: typing.Sequence[Any], base: Any, marks: tuple[Any, ...]) -> list[Any]:
    """Those of some values of a scalar type that are within its bounds, and some on the bounds and beside them."""
    found = list(values)
    for mark in marks:
        if isinstance(mark, Range) and base in (int, float):
            bounds = [end + by for end in (mark.low, mark.high) if abs(end) < 1e6 for by in (-1, -0.5, 0, 0.5, 1)]
            found = [base(value) for value in (*found, *bounds) if base(value) in mark]
        elif isinstance(mark, Pattern) and base is str:
            found = [value for value in (*NAMES, *found) if not mark.problem(value)]
    return found


def _nests(cls: type[Part]) -> bool:
    """Whether a part holds parts."""
    return any("Part" in str(annotation) or "Declared" in str(annotation) for _, annotation in keys_of(cls).values())


def _reads(plain: Any, annotation: Any) -> bool:
    """Whether the reader takes a value, which a check of several keys together may prevent."""
    problems = Problems()
    try:
        Binder(problems).read(of_plain(plain, Mark("generated", 1, 1)), annotation, Place("key", "key"))
        problems.check()
    except ConfigError:
        return False
    return True


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place of a plain config that a key names."""
    found: list[tuple[Any, ...]] = []
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        if isinstance(value, dict):
            found.append((*path, key))
        found += paths(item, (*path, key))
    return found


def broken(config: dict[str, Any], rng: random.Random) -> tuple[str, str, dict[str, Any]]:
    """What was done to one key of a copy, that key, and the copy: deleted, renamed, retyped or set to an extreme."""
    config = copy.deepcopy(config)
    path = rng.choice(paths(config))
    holder: Any = config
    for part in path[:-1]:
        holder = holder[part]
    key, how = path[-1], rng.choice(["deleted", "renamed", "retyped", "extreme"])
    if how == "deleted":
        del holder[key]
    elif how == "renamed":
        new = rng.choice([key + "s", key[:-1] + "_", key.upper(), "x" + key, key[::-1]])
        holder[new] = holder.pop(key)
        key = new
    else:
        holder[key] = rng.choice(OTHERS if how == "retyped" else EXTREMES)
    return how, key, config
