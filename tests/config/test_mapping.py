"""Mappings: whatever Python's values are subclasses of, a config holds what they stand for."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from cnntrain.config.mapping import text_of, yaml_of
from cnntrain.config.tree import MAX_DEPTH
from cnntrain.core.errors import UsageError


class Kind(enum.StrEnum):
    ADAM = "adam"


class Old(str, enum.Enum):  # noqa: UP042  # as it was written before Python 3.11
    ADAM = "adam"


class Count(enum.IntEnum):
    TWO = 2


class Rate(enum.Enum):
    LOW = 0.25


class Text(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "something else"


class Number(float):
    __slots__ = ()


class Whole(int):
    __slots__ = ()


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (Kind.ADAM, "adam"),
        (Old.ADAM, "adam"),
        (Count.TWO, 2),
        (Rate.LOW, 0.25),
        (Text("abc"), "abc"),
        (Number(0.5), 0.5),
        (Whole(7), 7),
        (True, True),
        (np.bool_(True), True),
        (np.str_("abc"), "abc"),
        (np.arange(2), [0, 1]),
        (Path("a/b"), "a/b"),
        ((Old.ADAM, {Old.ADAM: Count.TWO, None: 1}), ["adam", {"adam": 2, "None": 1}]),
    ],
)
@pytest.mark.parametrize("flow", [False, True])
def test_a_value_is_written_as_what_it_stands_for(value: Any, plain: Any, flow: bool) -> None:
    assert yaml.safe_load(yaml_of(value, "key", flow)) == plain


def test_what_contains_itself_is_refused() -> None:
    loop: dict[str, Any] = {"name": "a"}
    loop["data"] = [loop]
    with pytest.raises(UsageError, match=rf"^data\.0\.data.*nested too deeply, at most {MAX_DEPTH} levels: does it"):
        text_of(loop)
