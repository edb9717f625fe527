"""An error in a part that is not ours names the part, file and line; one of our own names nobody."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from cnntrain.core import registry
from cnntrain.core.culprits import culprit, noting, packed, suspects, unpacked
from cnntrain.core.errors import UsageError

ODD = """\
from dataclasses import dataclass
from cnntrain.core.registry import register
from cnntrain.parts.losses.base import Loss
from odds import helper

@register("odd")
@dataclass(frozen=True)
class Odd(Loss):
    def raises(self):
        raise KeyError("two\\nlines")
    def asks(self):
        return helper.fail(self)
    def calls(self):
        return sum(7)
    def sets(self):
        self.x = 1
    def leaves(self):
        raise SystemExit(3)
    def takes(self):
        pass
    def scor(self):
        pass
"""
HELPER = "def fail(odd):\n    return 1 / 0\n"


@pytest.fixture
def odd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A loss of a package."""
    (tmp_path / "odds").mkdir()
    for name, text in (("__init__", ""), ("odd", ODD), ("helper", HELPER)):
        (tmp_path / f"odds/{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    registry.own("losses")
    monkeypatch.setattr(registry, "_parts", {kind: dict(parts) for kind, parts in registry._parts.items()})
    from odds.odd import Odd

    monkeypatch.setitem(registry._packages, Odd, "odds 1")
    yield Odd()
    for name in [name for name in sys.modules if name.partition(".")[0] == "odds"]:
        del sys.modules[name]


@pytest.fixture
def ours() -> Callable[..., Any]:
    """A function of ours that calls what it is given."""
    module = ModuleType("cnntrain.caller")
    exec(compile("def call(what, *given):\n    return what(*given)\n", "caller.py", "exec"), vars(module))
    function: Callable[..., Any] = vars(module)["call"]
    return function


def caught(ours: Callable[..., Any], *given: Any) -> BaseException:
    try:
        ours(*given)
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


@pytest.mark.parametrize(
    ("method", "said"),
    [
        ("raises", "failed at {folder}/odd.py:10 in raises: KeyError: 'two\\nlines'"),
        ("asks", "failed at {folder}/helper.py:2 in fail: ZeroDivisionError: division by zero"),
        ("calls", "failed at {folder}/odd.py:14 in calls: TypeError: 'int' object is not iterable"),
        ("sets", "failed at {folder}/odd.py:16 in sets: FrozenInstanceError: cannot assign to field 'x'"),
        ("leaves", "failed at {folder}/odd.py:18 in leaves: SystemExit: 3"),
        ("score", "({folder}/odd.py) has no method 'score', but one called 'scor'"),
    ],
)
def test_what_fails_in_a_part_names_it_with_file_and_line(odd, ours, tmp_path, method, said):
    text = culprit(caught(ours, getattr(odd, method), *([None] * 5 if method == "score" else [])))
    assert text is not None
    assert text.startswith(f"the loss 'odd' of odds 1 {said.format(folder=tmp_path / 'odds')}")


def test_so_does_what_cannot_be_called_as_we_do(odd, ours, tmp_path):
    assert culprit(caught(ours, odd.takes, 1)) == (
        f"the loss 'odd' of odds 1 cannot be called as all of its kind are, at {tmp_path / 'odds/odd.py'}:19: "
        "TypeError: Odd.takes() takes 1 positional argument but 2 were given"
    )


def test_what_fails_in_us_names_nobody_whoever_called(odd, ours):
    def fail() -> None:
        raise ValueError("ours")

    assert culprit(caught(ours, fail)) is None
    vars(sys.modules["odds.helper"])["ours"] = ours
    exec("def outer(): ours(int, 'x')", vars(sys.modules["odds.helper"]))
    assert culprit(caught(vars(sys.modules["odds.helper"])["outer"])) is None
    assert suspects() == ["odds 1"]


def test_an_error_of_another_process_keeps_its_words_its_traceback_and_its_culprit(odd, ours, tmp_path):
    error = caught(ours, odd.asks)
    for limit in (8192, 400):
        said = packed(error, limit)
        assert len(said) <= limit
        told = unpacked(said, "worker process 1")
        assert str(told) == "worker process 1 met ZeroDivisionError: division by zero"
        assert culprit(told) == culprit(error)
        assert str(told.__cause__).endswith("ZeroDivisionError: division by zero\n")
    assert "in worker process 1:\nTraceback" in str(unpacked(packed(error, 8192), "worker process 1").__cause__)
    assert culprit(unpacked(packed(ValueError("ours"), 8192), "worker process 1")) is None


def test_from_python_the_error_stays_and_has_a_note(odd, ours, tmp_path):
    error = caught(noting(noting(ours)), odd.asks)
    assert type(error) is ZeroDivisionError
    (note,) = error.__notes__
    assert note == f"{culprit(error)}. Mend it"


def test_a_refusal_says_itself_what_to_do_although_a_part_gave_the_reason(odd, ours):
    def refuses() -> None:
        try:
            ours(odd.asks)
        except ZeroDivisionError as error:
            raise UsageError("units must be at least 1") from error

    error = caught(noting(ours), refuses)
    assert type(error) is UsageError
    assert culprit(error)
    assert not hasattr(error, "__notes__")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def (\n", ":1 cannot be imported: SyntaxError: invalid syntax"),
        ("\nimport nowhere\n", ":2 cannot be imported: ModuleNotFoundError: No module named 'nowhere'"),
        ("from cnntrain.registry import x", "No module named 'cnntrain.registry' (it is cnntrain.core.registry now)"),
        ("from cnntrain.layers.base import x", "No module named 'cnntrain.layers' (it is cnntrain.parts.layers now)"),
        ("from cnntrain.engine.tally import x", "'cnntrain.engine.tally' (it is cnntrain.network.tally now)"),
        ("import cnntrain.nowhere", ":1 cannot be imported: ModuleNotFoundError: No module named 'cnntrain.nowhere'"),
        (ODD[: ODD.index("    def")].replace('"odd"', '"hinge"') + "    pass\n", " is registered twice"),
    ],
)
def test_a_file_just_added_to_ours_is_named_with_its_line(tmp_path, monkeypatch, text, said):
    monkeypatch.setattr("cnntrain.core.culprits._PARTS", tmp_path)
    monkeypatch.setattr(registry, "_parts", {kind: dict(parts) for kind, parts in registry._parts.items()})
    registry.own("losses")
    monkeypatch.setattr(registry, "_discovered", registry._discovered - {"losses"})
    package = sys.modules["cnntrain.parts.losses"]
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    (tmp_path / "own_odd.py").write_text(text.replace("from odds import helper\n", ""))
    text = str(culprit(caught(registry.own, "losses")))
    assert text.startswith(str(tmp_path / "own_odd.py"))
    assert said in text
