from __future__ import annotations

import pytest

from cnntrain.config.problems import LIMIT, Problems
from cnntrain.core.errors import ConfigError, Mark, Problem
from tests.support.configs import messages


def test_problems_come_sorted_by_place_overrides_last_and_each_once() -> None:
    problems = Problems()
    for where in (Mark("--set", 1, 1), Mark("b", 1, 1), Mark("a", 10, 1), Mark("a", 9, 5), Mark("a", 9, 4)):
        problems.add(where, str(where))
        problems.add(where, str(where))
    assert problems.reported == 10
    with pytest.raises(ConfigError) as raised:
        problems.check()
    assert messages(raised) == ["a:9:4", "a:9:5", "a:10:1", "b:1:1", "--set:1:1"]


def test_enough_is_enough() -> None:
    problems = Problems()
    problems.check()
    for line in range(1, LIMIT):
        problems.add(Mark("a", line, 1), "wrong")
    with pytest.raises(ConfigError):
        problems.add(Mark("a", LIMIT, 1), "wrong")


@pytest.mark.parametrize(("line", "column"), [("x" * 50, 30), ("x" * 5000, 2500), ("x" * 5000, 1), ("x" * 5000, 5000)])
def test_the_caret_stands_under_its_letter_also_in_a_long_line(line: str, column: int) -> None:
    text = line[: column - 1] + "!" + line[column:]
    _, shown, caret = str(Problem(Mark("a", 1, column, text), "wrong")).splitlines()
    assert len(shown) <= 170
    assert shown[caret.index("^")] == "!"


def test_a_tab_before_the_place_is_kept_before_the_caret() -> None:
    assert str(Problem(Mark("a", 1, 3, "\tab"), "wrong", ("note",))).splitlines()[1:] == [
        "    \tab",
        "    \t ^",
        "    note",
    ]
