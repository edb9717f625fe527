"""What is written is valid JSON and comes back exactly; what is doubtful is refused."""

from __future__ import annotations

import json
import math
import os
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnntrain.core import strict_json

text = st.text(st.characters(exclude_categories=["Cs"]))
number = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
plain = st.recursive(
    st.none() | st.booleans() | number | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=200, deadline=None)
@given(plain)
def test_round_trip(value: Any) -> None:
    for indent in (None, 2):
        encoded = strict_json.encode(value, indent)
        assert encoded.isascii()
        found = strict_json.decode(encoded)
        assert repr(found) == repr(value)  # -0.0 and key order included


def test_numbers_that_are_not_finite_are_null() -> None:
    text = strict_json.encode({"a": [math.nan, -math.inf], "b": (np.float32("inf"), np.float64(1), np.bool_(True))})
    assert text == '{"a":[null,null],"b":[null,1.0,true]}'
    json.loads(text, parse_constant=pytest.fail)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "not JSON at character 0"),
        ("{} {}", "not JSON at character 3"),
        ('{"a":1,"b":{"c":1,"c":2}}', "a key stands twice"),
        ("[NaN]", "NaN is not JSON"),
        ("[-Infinity]", "-Infinity is not JSON"),
        ("1e400", "a number is too large"),
        ("-" + "9" * 30, "an integer is too large"),
        ("9" * 10_000, "an integer is too large"),
        ("[" * 100 + "]" * 100, "nested too deeply"),
        ("[" * 10**6, "nested too deeply"),
        ('["\\ud83d"]', "half a character"),
    ],
)
def test_doubtful_texts_are_refused(text: str, expected: str) -> None:
    with pytest.raises(ValueError, match=expected) as caught:
        strict_json.decode(text)
    assert str(caught.value).isprintable()


def test_names_of_files_come_back_whatever_their_bytes() -> None:
    name = os.fsdecode(b"p\xff")
    text = strict_json.encode(name)
    assert strict_json.decode(text, names=True) == name
    with pytest.raises(ValueError, match="half a character"):
        strict_json.decode(text)
    with pytest.raises(ValueError, match="half a character"):
        strict_json.decode('"\\ud83d"', names=True)
    assert strict_json.decode(strict_json.encode(strict_json.escaped(name))) == r"p\udcff"


def test_the_depth_of_ours_is_allowed() -> None:
    assert strict_json.decode("[" * 99 + "]" * 99)
    assert strict_json.decode('"\\ud83d\\ude00"') == "😀"
