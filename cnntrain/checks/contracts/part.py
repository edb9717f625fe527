"""The contract of all parts: each says what it is, and what each of its numbers may be."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from cnntrain.checks.contracts.base import hold
from cnntrain.config.fields import annotations_of, keys_of, unbounded
from cnntrain.config.vocabulary import require_keys
from cnntrain.core.registry import KINDS, Part, is_declared


def says_what_it_is(cls: type[Part]) -> None:
    """It has a docstring of its own, which is not the signature that @dataclass makes up."""
    text = cls.__dict__.get("__doc__") or ""
    hold(text, f"{cls.__name__} has no docstring: say what it computes")
    hold(not text.startswith(f"{cls.__name__}("), f"the docstring of {cls.__name__} is the dataclass's signature")
    hold(text != cls.__mro__[1].__doc__, f"the docstring of {cls.__name__} is its base class's")


def is_a_dataclass_itself(cls: type[Part]) -> None:
    """Its annotations are its keys, and it cannot be written to."""
    advice = "put @dataclass(frozen=True) between @register and the class"
    hold(is_declared(cls), f"{cls.__name__} is no dataclass itself, so that it has only the keys of its base: {advice}")


def has_keys_of_its_own(cls: type[Part]) -> None:
    """None of its keys is what a base class says of the class, a method, or a key that its place in configs takes."""
    for base in cls.__mro__[1:]:
        keys = _keys(base)
        taken = [key for key in _keys(cls) if key in vars(base) and key not in keys]
        names = ", ".join(taken)
        hold(
            not taken,
            f"{cls.__name__}.{names} would be a key of configs: annotate it as ClassVar, or rename it",
        )
    of_its_place = {"type", *(_in_configs(cls.options) if cls.options else ())}
    names = ", ".join(key for key in _in_configs(cls) if key in of_its_place)
    hold(not names, f"{cls.__name__}.{names} is what every {KINDS[cls.kind]} in a config may have beside it: rename it")


def _in_configs(cls: type) -> list[str]:
    return list(keys_of(cls))


def has_keys_that_configs_can_hold(cls: type[Part]) -> None:
    """The type and the default of each can be written into a config."""
    try:
        require_keys(cls)
    except TypeError as error:
        raise AssertionError(f"{cls.__name__}: {error}") from error


def _keys(cls: type) -> list[str]:
    return [field.name for field in dataclasses.fields(cls)] if dataclasses.is_dataclass(cls) else []


def bounds_its_numbers(cls: type[Part]) -> None:
    """Every number among its keys has bounds, or is declared to be any finite one."""
    classes = (cls, cls.options) if cls.options else (cls,)
    bare = [name for one in classes for name, annotation in annotations_of(one).items() if unbounded(annotation)]
    hold(
        not bare,
        f"{cls.__name__}.{', '.join(bare)} does not say what it may be: write Annotated[float, Range(low, high)], or "
        "a name of cnntrain/config/fields.py: Positive, Rate, ..., or Finite where every number means something",
    )


def examples_of(cls: Any) -> tuple[Any, ...]:
    """The settings its checks run. Raises AssertionError where it has none."""
    examples: tuple[Any, ...] = cls.examples
    hold(examples, f"{cls.__name__} has no examples: give it settings to be checked with")
    hold(all(a != b for i, a in enumerate(examples) for b in examples[:i]), f"{cls.__name__} has an example twice")
    return examples


def subjects(cls: Any) -> Iterator[tuple[Any, ...]]:
    """What the checks of most kinds are given: each example's part."""
    for fields in cls.examples:
        yield (cls(**fields),)
