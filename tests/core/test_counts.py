"""Counts are written as people write them."""

from __future__ import annotations

import pytest

from cnntrain.core.counts import counted, foremost


@pytest.mark.parametrize(
    ("number", "noun", "text"),
    [
        (0, "sample", "0 samples"),
        (1, "sample", "1 sample"),
        (2000, "training sample", "2,000 training samples"),
        (1, "class", "1 class"),
        (3, "class", "3 classes"),
        (2, "box", "2 boxes"),
        (2, "patch", "2 patches"),
        (2, "entry", "2 entries"),
        (2, "key", "2 keys"),
        (2, "epoch", "2 epochs"),
        (2, "mesh", "2 meshes"),
    ],
)
def test_a_count_with_its_noun(number: int, noun: str, text: str) -> None:
    assert counted(number, noun) == text


@pytest.mark.parametrize(
    ("texts", "joint", "said"),
    [
        ("a", ", ", "a"),
        ("abc", ", ", "a, b, c"),
        ("abcde", ", ", "a, b, c and 2 more"),
        ("abc", "; ", "a; b; c"),
        ("abcd", "; ", "a; b; c; and 1 more"),
    ],
)
def test_of_many_the_foremost_are_said(texts: str, joint: str, said: str) -> None:
    assert foremost([*texts], joint) == said
