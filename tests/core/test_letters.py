"""Columns of letters against a table made by hand; names from right to left keep to themselves."""

from __future__ import annotations

import pytest

from cnntrain.core.letters import columns, cut, isolated, plain, wrapped

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
