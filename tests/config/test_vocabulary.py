"""What a config can hold is what a part may have for keys: any other annotation or default is refused, and named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import numpy as np
import pytest

from cnntrain.config.fields import Duration, Kind, Layers, Positive
from cnntrain.config.vocabulary import require_keys
from cnntrain.core.registry import KINDS, Part, own


@dataclass(frozen=True)
class Inner:
    table: dict[str, float]


@dataclass(frozen=True)
class Sound:
    a: Positive | tuple[Positive, ...] | None = None
    b: Literal["x", 3] = "x"
    c: Annotated[Part, Kind("losses")] | None = None
    d: Layers = ()
    e: Duration = Duration(1)


WRONG = {
    "dict[str, float]": dict[str, float],
    "list": list,
    "numpy.ndarray": np.ndarray,
    "Any": Any,
    "collections.abc.Callable": Callable,
    "cnntrain.core.registry.Part": Part,
    "tuple[tuple[list[int], ...], int]": tuple[tuple[list[int], ...], int],
    "int | complex": int | complex,
    "tuple[tests.config.test_vocabulary.Inner, ...]": tuple[Inner, ...],
}


@pytest.mark.parametrize("written", WRONG)
def test_a_type_that_no_config_holds_is_named(written: str) -> None:
    cls = dataclass(type("Odd", (), {"__annotations__": {"k_": WRONG[written]}, "k_": None}))
    with pytest.raises(TypeError) as caught:
        require_keys(cls)
    assert str(caught.value).startswith(f"key k: {written} is no type that a config can hold. Use bool, int, float")


def test_so_is_a_default() -> None:
    @dataclass(frozen=True)
    class Odd:
        k: float = field(default_factory=lambda: np.ones(2))  # type: ignore[assignment,return-value]

    with pytest.raises(TypeError, match="key k: its default is of the type ndarray, which no config can hold"):
        require_keys(Odd)


def test_what_configs_hold_is_taken() -> None:
    require_keys(Sound)


@pytest.mark.parametrize("kind", KINDS)
def test_our_own_parts_keep_to_it(kind: str) -> None:
    for cls in own(kind).values():
        require_keys(cls)
        if cls.options:
            require_keys(cls.options)
