"""Fields: the vocabulary in which a part declares the keys it takes.

A part is a frozen dataclass whose fields are its YAML keys. The annotation says everything: the type decides what
a scalar means, `Range` bounds a number, `Kind` marks a place where another part stands. The same annotations are
read by the config binder, by `cnntrain list` and by the parts themselves when made from Python.
"""

from __future__ import annotations

import dataclasses
import decimal
import functools
import math
import re
import types
import typing
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from cnntrain.core.errors import Mark
from cnntrain.core.registry import Part

_TECHNICAL = 2**31 - 1  # a bound from here on is the program's, not the field's: it is mentioned only when crossed


@dataclass(frozen=True)
class Range:
    """The values a number may take; `low` and `high` belong to it unless `open_low` or `open_high`. Always finite."""

    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False

    def __contains__(self, value: float) -> bool:
        above = value > self.low if self.open_low else value >= self.low
        below = value < self.high if self.open_high else value <= self.high
        return math.isfinite(value) and above and below

    def problem(self, value: float) -> str | None:
        """What is wrong with a number ("must be in [0, 1), got 1.5"), or None."""
        if value in self:
            return None
        if not math.isfinite(value):
            return f"must be finite, got {value}"
        if self.high >= _TECHNICAL and value > self.high:
            return f"must be at most {self.high}, got {value}"
        return f"must be {self}, got {value}"

    def __str__(self) -> str:
        if self.high >= _TECHNICAL:
            if self.low == -math.inf:
                return "finite"
            return f"greater than {self.low:g}" if self.open_low else f"at least {self.low:g}"
        return f"in {'(' if self.open_low else '['}{self.low:g}, {self.high:g}{')' if self.open_high else ']'}"


@dataclass(frozen=True)
class Pattern:
    """The texts a field may take: those the regular expression matches whole; `words` says so to the user."""

    expression: str
    words: str

    def problem(self, value: str) -> str | None:
        """What is wrong with a text, or None."""
        return None if re.fullmatch(self.expression, value) else f"must be {self.words}, got {value!r}"


PositiveInt = Annotated[int, Range(1, 2**31 - 1)]
NonNegativeInt = Annotated[int, Range(0, 2**31 - 1)]
Seed = Annotated[int, Range(0, 2**63 - 1)]
Finite = Annotated[float, Range()]
Positive = Annotated[float, Range(0, open_low=True)]
NonNegative = Annotated[float, Range(0)]
Probability = Annotated[float, Range(0, 1)]
Rate = Annotated[float, Range(0, 1, open_high=True)]  # a decay, a momentum, a probability of being dropped
Classes = PositiveInt | Literal["auto"]  # a width; "auto" is the number of classes, filled in by the builder
RunName = Annotated[str, Pattern(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", "up to 100 letters, digits, '.', '_' or '-'")]
Pair = PositiveInt | tuple[PositiveInt, PositiveInt]  # one number for both, or [height, width]
Triple = PositiveInt | tuple[PositiveInt, PositiveInt, PositiveInt]  # one number for all, or [time, height, width]


@dataclass(frozen=True)
class Kind:
    """Marks a field that holds a part of one of these kinds: `Annotated[Part, Kind("losses")]`."""

    names: tuple[str, ...]

    def __init__(self, *names: str) -> None:
        object.__setattr__(self, "names", names)


@dataclass(frozen=True)
class Declared:
    """A part in a list of layers: the part itself, the keys its place takes (name, from, ...), and where it stands."""

    part: Part
    options: Any
    where: Mark = field(compare=False)


Layers = tuple[Annotated[Declared, Kind("layers", "structures")], ...]


_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ep|st|%)?", re.ASCII)


@dataclass(frozen=True)
class Duration:
    """A length of training: `10` or `10ep` epochs, `2000st` steps, `10%` of the whole training."""

    value: float
    unit: Literal["ep", "st", "%"] = "ep"

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", float(self.value))  # Python 3.11's integers have no is_integer

    @staticmethod
    def parse(text: str) -> Duration:
        """Read `10`, `10ep`, `2000st` or `10%`. Raises ValueError."""
        match = _DURATION.fullmatch(text.strip())
        if not match:
            raise ValueError(f"expected a duration such as 10ep, 2000st or 10%, got {text!r}")
        value, unit = float(match[1]), match[2] or "ep"
        if value > _TECHNICAL:
            raise ValueError(f"a duration is at most {_TECHNICAL}, got {text!r}")
        if unit == "st" and not value.is_integer():
            raise ValueError(f"a number of steps is whole, got {text!r}")
        if unit == "%" and value > 100:
            raise ValueError(f"a share of the training is at most 100%, got {text!r}")
        return Duration(value, typing.cast(Any, unit))

    def steps(self, steps_per_epoch: int, total_steps: int) -> int:
        """The same length in steps, rounded to the nearest step."""
        unit = {"st": 1.0, "ep": steps_per_epoch, "%": total_steps / 100}[self.unit]
        return round(self.value * unit)

    def __str__(self) -> str:
        digits = format(decimal.Decimal(repr(self.value)), "f")  # every digit, and never an exponent
        return f"{digits.removesuffix('.0')}{self.unit}"


def place(text: str) -> Duration:
    """Read a place in a training: a duration from its beginning. Raises ValueError for none, and for its beginning."""
    found = Duration.parse(text)
    if not found.value:
        raise ValueError(f"expected a duration greater than zero, got {text!r}")
    return found


def key_of(field: dataclasses.Field[Any]) -> str:
    """The YAML key of a field: its name, less the underscore that keeps `from_` from being Python's keyword."""
    return field.name.removesuffix("_")


_annotations: dict[type, dict[str, Any]] = {}


def annotations_of(cls: type) -> dict[str, Any]:
    """Field name -> annotation with its metadata, for the fields a config can set."""
    if cls not in _annotations:
        hints = typing.get_type_hints(cls, include_extras=True)
        fields = dataclasses.fields(typing.cast(Any, cls))
        _annotations[cls] = {field.name: hints[field.name] for field in fields if field.init}
    return _annotations[cls]


def problem_with(value: Any, annotation: Any) -> str | None:
    """What is wrong with a value of the right type ("must be at least 1, got 0"), or None."""
    if typing.get_origin(annotation) is Annotated:
        base, *marks = typing.get_args(annotation)
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        for mark in marks:
            if isinstance(mark, Range) and number and (problem := mark.problem(value)):
                return problem
            if isinstance(mark, Pattern) and isinstance(value, str) and (problem := mark.problem(value)):
                return problem
        return problem_with(value, base)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        problems = [problem_with(value, option) for option in arguments if _could_be(value, option)]
        return None if not problems or None in problems else problems[0]
    if origin is tuple and isinstance(value, tuple):
        items = [arguments[0]] * len(value) if arguments[1:] == (Ellipsis,) else list(arguments)
        if len(items) != len(value):
            return f"must have {len(items)} entries, got {len(value)}"
        return next((p for v, a in zip(value, items, strict=True) if (p := problem_with(v, a))), None)
    return None


def _could_be(value: Any, annotation: Any) -> bool:
    """Whether a value is of the kind an option of a union describes, bounds aside."""
    while typing.get_origin(annotation) is Annotated:
        annotation = typing.get_args(annotation)[0]
    origin = typing.get_origin(annotation)
    if origin is Literal:
        return value in typing.get_args(annotation)
    if annotation is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if annotation is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, origin or annotation)


def unbounded(annotation: Any) -> bool:
    """Whether an annotation admits a number whose range nothing states: a bare `float` or `int`.

    `Finite` says that any number will do. Looks into lists, unions and the dataclasses that a config writes as maps.
    """
    marked = typing.get_origin(annotation) is Annotated
    base, *marks = typing.get_args(annotation) if marked else (annotation,)
    if any(isinstance(mark, (Range, Kind)) for mark in marks):
        return False
    if base in (Duration, Declared) or typing.get_origin(base) is Literal:  # which say themselves what they take
        return False
    if dataclasses.is_dataclass(base) and isinstance(base, type):
        return any(map(unbounded, annotations_of(base).values()))
    return base in (int, float) or any(map(unbounded, typing.get_args(base)))


def check_fields(instance: Any) -> None:
    """Raise ValueError("rate must be in [0, 1), got 1.5") for the first field outside its declared range.

    Parts call this from `__post_init__`, so that Python callers get the check the binder makes.
    """
    for name, annotation in annotations_of(type(instance)).items():
        problem = problem_with(getattr(instance, name), annotation)
        if problem:
            raise ValueError(f"{name.removesuffix('_')} {problem}")


def check_exactly_one(instance: Any, owner: str) -> None:
    """Raise ValueError unless exactly one of the fields that the class lists in `exactly_one` is given."""
    *first, last = map(repr, type(instance).exactly_one)
    if sum(getattr(instance, name) is not None for name in type(instance).exactly_one) != 1:
        raise ValueError(f"{owner} needs exactly one of {', '.join(first)} and {last}")


@functools.cache
def keys_of(cls: type) -> dict[str, tuple[dataclasses.Field[Any], Any]]:
    """The keys a dataclass takes: each with its field and annotation."""
    annotations = annotations_of(cls)
    fields = {field.name: field for field in dataclasses.fields(typing.cast(Any, cls))}
    return {key_of(fields[name]): (fields[name], annotation) for name, annotation in annotations.items()}
