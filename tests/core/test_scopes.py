"""How rules name layers: by a pattern for the layer, or by the name of a structure around it."""

from __future__ import annotations

import pytest

from cnntrain.core.scopes import among, covers


@pytest.mark.parametrize(
    ("match", "name", "expected"),
    [
        ("head", "head", True),
        ("head", "header", False),
        ("stage1", "stage1.conv2d_1", True),
        ("stage1", "stage10.conv2d_1", False),
        ("stage1.1", "stage1.1.conv2d_1", True),
        ("*_1", "residual_1.conv2d_2", False),  # a pattern is for layers alone
        ("residual_?", "residual_1.conv2d_2", False),
        ("residual_*", "residual_1.conv2d_2", True),
        ("Stem", "stem", False),
    ],
)
def test_a_rule_covers_what_it_names(match, name, expected):
    assert covers(match, name) == expected


def test_a_hint_names_the_nearest_scope_or_some_layers():
    assert among("stag1", ["stage1.conv2d_1", "head"]) == "; did you mean 'stage1'?"
    assert among("zzz", [f"layer{n:02}" for n in range(14)]).endswith(", layer11 and 2 more")
    assert among("zzz", []) == ""
