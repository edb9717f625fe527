"""Seeded bugs find what they describe, whatever it is called and however it is laid out, and say what they miss."""

from __future__ import annotations

import ast
import functools
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.support.seeded import Bug, PlaceError, definition, holding, plain, seeded, survives


def changed(body: str, bug: Bug) -> str:
    """The body of a function, one statement a line, after a bug."""
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    module = ast.parse(f"def f(self, x, y, z):\n{lines}")
    bug.seed(module, "f")
    return "\n".join(ast.unparse(statement) for statement in definition(module, "f").body)


@pytest.mark.parametrize(
    ("body", "bug", "expected"),
    [
        ("g(x, y)", Bug("g(...)", "h(...)"), "h(x, y)"),
        ("g(\n    x, out=y\n)", Bug("g(...)", "h(...)"), "h(x, out=y)"),
        ("g(x, where=z, out=y)", Bug("g(A, ..., out=B)", "h(B, ...)"), "h(y, where=z)"),
        ("return g(x)", Bug("g(...)", "g(..., 1)"), "return g(x, 1)"),
        ("g(x, h(y, out=z), to=z)", Bug("g(..., h(...))", "k(..., l(...))"), "k(x, l(y, out=z), to=z)"),
        ("g(h(y, out=z), x, to=z)", Bug("g(h(...), ...)", "k(l(...), ...)"), "k(l(y, out=z), x, to=z)"),
        ("g(x)(y)", Bug("g(...)(...)", "h(...)(...)"), "h(x)(y)"),
        ("g(x, out=y)\ng(x, out=x)", Bug("g(A, out=A)", "g(A)"), "g(x, out=y)\ng(x)"),
        ("g(x, 1)\ng(x, 2)", Bug("g(_, 2)", "pass"), "g(x, 1)\npass"),
        ("g(x)\ng(y)\ng(z)", Bug("g(_)", "pass", nth=2, of=3), "g(x)\npass\ng(z)"),
        ("return x - 1 < y", Bug("A - 1 < B", "A < B"), "return x < y"),
        ("return x < y", Bug("A < B", "A <= B"), "return x <= y"),
        ("return self.low, self.high", Bug("S.low, S.high", "S.high, S.low"), "return (self.high, self.low)"),
        ("return x[..., 0]", Bug("A[..., 0]", "A[..., 1]"), "return x[..., 1]"),
        ("x += y", Bug("A += B", "A = B"), "x = y"),
        ("return x or y or z", Bug("... or A or ...", "... or ...", given="A = 1"), None),
        ("y = 1\nreturn x or y or z", Bug("... or A or ...", "... or ...", given="A = 1"), "y = 1\nreturn x or z"),
        ("with g(x) as y:\n    h(y)\n    h(z)", Bug("with g(A) as B: ...", "B = A\n..."), "y = x\nh(y)\nh(z)"),
        ("if not x:\n    g(y)", Bug("if not A: ...", "if A: ..."), "if x:\n    g(y)"),
        ("for x in y:\n    g(x)", Bug("g(A)", "g(A)\nh(A)"), "for x in y:\n    g(x)\n    h(x)"),
        ("return g(x)", Bug("g(_)", "pass"), None),
        ("g(x)", Bug("h(_)", "pass"), None),
        ("g(x)\ng(y)", Bug("g(_)", "pass"), None),
        ("g(x)", Bug("g(_)", "pass", nth=1, of=2), None),
        ("g(x, y)", Bug("g(_)", "pass"), None),
        ("g(x, out=y)", Bug("g(_)", "pass"), None),
        ("g(x)", Bug("g(..., out=A)", "pass"), None),
        ("g('A')", Bug("g('B')", "pass"), None),
        ("if x:\n    g(y)\nelse:\n    g(z)", Bug("if A: ...", "pass"), None),
    ],
)
def test_what_a_bug_makes_of_a_function(body: str, bug: Bug, expected: str | None) -> None:
    """None: it does not find its place, or not just one."""
    if expected is not None:
        assert changed(body, bug) == expected
        return
    with pytest.raises(PlaceError):
        changed(body, bug)


def test_a_lost_place_is_explained() -> None:
    with pytest.raises(PlaceError) as raised:
        changed("g(x)\ng(y)", Bug("g(_)", "pass"))
    message = str(raised.value)
    assert message.startswith("in f(), a seeded bug looks for `g(_)` once and finds it 2 times (lines 2, 3). ")
    assert "`nth` and `of`" in message
    assert message.endswith("def f(self, x, y, z):\n    g(x)\n    g(y)")
    with pytest.raises(PlaceError, match=r"in f\(\), a seeded bug looks for `h\(_\)` once and finds it 0 times\. If"):
        changed("g(x)", Bug("h(_)", "pass"))
    with pytest.raises(PlaceError, match=r"looks for `A = 1` once and finds it 0 times"):
        changed("g(x)", Bug("g(_)", "pass", given="A = 1"))
    with pytest.raises(PlaceError, match=r"looks for one function g and finds 0"):
        Bug("x", "y").seed(ast.parse("def f(): ..."), "g")


SOURCE = '''
import functools

def cut(x, low):
    """At least low."""
    return x if x > low else low

class Base:
    def twice(self, x): return 2 * x

class Sub(Base):
    def twice(self, x):
        return super().twice(x) + 0

@functools.lru_cache
def cached(x):
    return x + 1
'''


@pytest.fixture
def module(tmp_path: Path) -> ModuleType:
    """A module, wherever it may lie."""
    path = tmp_path / "anywhere.py"
    path.write_text(SOURCE)
    spec = importlib.util.spec_from_file_location("anywhere", path)
    assert spec
    assert spec.loader
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def test_a_function_has_its_bug_by_whatever_name_it_is_called_and_is_whole_again(module: ModuleType) -> None:
    held, bound = functools.partial(module.cut, low=3), module.Sub().twice
    with seeded(module.cut, Bug("A > B", "A < B")):
        assert (held(5), module.cut(5, 3)) == (3, 3)
    assert held(5) == 5
    with seeded(module.Sub.twice, Bug("A + 0", "A + 1")):
        assert bound(4) == 9
    assert bound(4) == 8


def test_a_function_is_found_by_what_it_does(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "anywhere", module)
    assert holding(module, "A > B") is module.cut
    assert holding(module, "super().twice(_)") is module.Sub.twice
    assert holding(module, "A + 1") is plain(module.cached)
    with pytest.raises(PlaceError, match=r"one function of anywhere with `A < B` and finds none\. Describe"):
        holding(module, "A < B")
    with pytest.raises(PlaceError, match=r"and finds anywhere\.cached, anywhere\.Sub\.twice\."):
        holding(module, "A + _")


def test_a_function_is_whole_again_after_an_error(module: ModuleType) -> None:
    with pytest.raises(ZeroDivisionError), seeded(module.cut, Bug("A > B", "A / 0")):
        module.cut(1, 2)
    assert module.cut(1, 2) == 2


def test_a_decorated_function_has_its_bug(module: ModuleType) -> None:
    with seeded(module.cached, Bug("A + 1", "A + 2")):
        assert plain(module.cached)(1) == 3


@pytest.mark.parametrize(
    ("bug", "expected"),
    [
        (Bug("A > B", "A >= B"), True),
        (Bug("_ > _", "x > low"), False),  # it names the local variables that are there now
    ],
)
def test_a_bug_that_knows_local_names_does_not_survive(module: ModuleType, bug: Any, expected: bool) -> None:
    assert survives(module.cut, bug) is expected
