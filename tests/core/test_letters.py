"""Columns of letters against a table made by hand; names from right to left keep to themselves."""

from __future__ import annotations

import pytest

from cnntrain.core.letters import columns, cut, isolated, plain, shortened, wrapped

WIDTHS = {
    "": 0, "abc": 3, "停车": 4, "ｆ": 2, "한": 2, "\u1112\u1161\u11ab": 2, "e\u0301": 1, "🚗": 2, "❤": 1, "❤\ufe0f": 2,
    "שלום": 4, "مرحبا": 5, "\u200f": 0, "🇩🇪": 2,
}  # fmt: skip


@pytest.mark.parametrize(("text", "wide"), WIDTHS.items())
def test_columns(text, wide):
    assert columns(text) == wide
    assert columns(f"a{text}b") == wide + 2


def test_a_text_is_cut_and_wrapped_between_letters():
    assert cut("停车ab", 5) == "停车a"
    assert cut("停车", 3) == "停"
    assert cut("e\u0301e\u0301", 1) == "e\u0301"
    assert wrapped("one two 停车停车", 7) == ["one two", "停车停", "车"]
    assert wrapped("", 5) == [""]


def test_only_names_from_right_to_left_are_isolated():
    assert [isolated(name) for name in ("cat", "停车")] == ["cat", "停车"]
    assert isolated("שלום") == "\u2068שלום\u2069"
    assert plain(f"is {isolated('שלום')} · 3 %") == "is שלום · 3 %"


def test_a_long_name_is_shortened_to_its_beginning_and_its_end():
    assert shortened("short", 5) == "short"
    names = ["Tomato___Tomato_Yellow_Leaf_Curl_Virus", "Tomato___Tomato_mosaic", "Tomato___Tomato_healthy"]
    short = [shortened(name, 16) for name in names]
    assert short[0] == "Tomato___T…Virus"
    assert len({*short}) == 3
    assert [columns(name) for name in short] == [16] * 3
    assert columns(shortened("漢字" * 20, 11)) <= 11
    assert shortened("a" * 9 + "e\u0301", 5) == "aaa…e\u0301"
