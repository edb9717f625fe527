"""Name patterns: what they find, the names they show when they find it not, and no pattern that could take long."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnntrain.reading.name_patterns import NamePattern


@pytest.mark.parametrize(
    ("text", "name", "found"),
    [
        (r"^(\d)_", "0_george_1.wav", ["0"]),
        (r"_(.*)_", "0_george_1.wav", ["george"]),
        (r"_(\w+?)_[0-4]\.(?:wav|flac)$", "0_george_1.wav", ["george"]),
        (r"^(\d)_", "george.wav", []),
        (r"(\d)", "3_3.wav", ["3"]),
        (r"(\d)", "3_4.wav", ["3", "4"]),
        (r"(?i)(GEORGE)", "0_george.wav", ["george"]),
        (r"\((a)\)*", "(a))", ["a"]),
        (r"([*+?]+)", "a*+b", ["*+"]),
    ],
)
def test_what_the_group_stands_for(text: str, name: str, found: list[str]) -> None:
    assert NamePattern("label", text).find(name) == found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("(", "is no regular expression"),
        ("x", "has 0 groups, expected one group"),
        ("(a)(b)", "has 2 groups, expected one group"),
        ("(a+)+b", "repeats a group"),
        ("(?:a|a)*(b)", "repeats a group"),
        ("(?:a|a)*?(b)", "repeats a group"),
        ("(a{,3}){2}", "repeats a group"),
        ("(?x)(a+) +", "has the flag x"),
        ("(?x:(a+) +)", "has the flag x"),
        (r"(a)\1", "refers back"),
        ("(?P<n>a)(?P=n)", "refers back"),
        ("(?=a)(b)", "looks around"),
        ("(?<!x)(b)", "looks around"),
        ("(a)?(?(1)b|c)", "repeats a group"),
        ("a?a?a?a?(b)", "has 4 repetitions"),
        ("(a|a)" + "(?:a|a)" * 9, "has 1,024 combinations of alternatives"),
        ("(" + "a" * 300 + ")", "has 302 characters, expected at most 200"),
    ],
)
def test_what_is_refused_and_why(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        NamePattern("label", text)


def test_three_of_the_names_in_which_a_pattern_finds_not_one_thing() -> None:
    names = [f"{index}_x.wav" for index in range(3)] + ["a.wav", "b.wav", "c.wav", "d.wav"]
    with pytest.raises(ValueError, match=r"finds nothing in 4 of 7 names, such as 'a.wav', 'b.wav', 'c.wav'\. Mend"):
        NamePattern("label", r"^(\d)_").read(names)
    with pytest.raises(ValueError, match=r"finds two different things in 1 of 2 names, such as '1_2.wav'\."):
        NamePattern("label", r"(\d)").read(["1.wav", "1_2.wav"])
    with pytest.raises(ValueError, match="finds nothing in 1 of 1 names"):
        NamePattern("label", r"^(\d*)").read(["x.wav"])


PIECES = st.sampled_from(["a", ".", "[ab]", r"\w", "(?:a|ab)", "(?:", ")", "(", "|", "*", "+", "?", "{1,}", "??", "*+"])


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=12).map("".join), st.integers(1, 255))
def test_no_pattern_that_is_taken_takes_long(text: str, length: int) -> None:
    try:
        pattern = NamePattern("label", text, re.compile(text).groups)
    except (re.error, ValueError):
        return
    began = time.process_time()
    try:
        pattern.find("a" * (length - 1) + "!")
    except ValueError as error:
        assert "too many repetitions or alternatives" in str(error)  # noqa: PT017  (either is right)
    assert time.process_time() - began < 5
