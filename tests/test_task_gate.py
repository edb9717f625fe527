"""Nothing but a task, and the losses and metrics of its targets, asks what the task is: by the syntax tree."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import cnntrain

ROOT = Path(cnntrain.__file__).parent
OWNERS = {"tasks", "losses", "metrics"}  # folders that may ask
NAMES = {"yes_or_no", "is_classification", "is_regression", "regression"}  # questions, wherever they are
NAMES_OF_CLASSES = {"classes", "class_names", "names_of_classes"}
TASK = re.compile(r"'tasks'|\b(?:Classify|Tag|Regress|Detect|Segment)\b")
KINDS = {"CLASSES", "BOXES", "MASKS"}  # of targets, by the name of the constant
TARGETS = {"target", "targets", "label", "labels", "truth"}  # arrays whose rank would tell

_READS = "a source says what its own files hold, before there is a task"
ALLOWED = {  # file -> how many places, and why
    "core/description.py": (1, "a name of classes stands for labels where a source says nothing else"),
    "parts/datasets/images.py": (2, f"{_READS}; `subset` and `k_fold` draw alike from samples with one label each"),
    "parts/datasets/concat.py": (2, f"{_READS}: two sources are compared"),
    "parts/datasets/labelled_rows.py": (1, _READS),
    "parts/datasets/idx.py": (1, _READS),
    "reading/array_files.py": (4, _READS),
}


def complaints(source: str) -> Iterator[str]:
    """Where a source text asks whether there are classes, of which kind targets are, or which task it is."""
    for node in ast.walk(ast.parse(source)):
        for what in (*_named(node), *_ranked(node), *_chosen(node)):
            yield f"line {getattr(node, 'lineno', 0)}: asks {what}"


def _named(node: ast.AST) -> Iterator[str]:
    """Questions about classes."""
    if _last(node) in NAMES:
        yield f"{_last(node)}?"
    yield from (f"whether there are {_last(held)}" for held in map(_held, _conditions(node)) if held)
    if isinstance(node, ast.Compare) and any(ast.unparse(side).endswith("description.values") for side in _sides(node)):
        yield "how many values there are"


def _ranked(node: ast.AST) -> Iterator[str]:
    """Questions about the form of targets."""
    if isinstance(node, ast.Attribute) and node.attr == "ndim" and _last(node.value) in TARGETS:
        yield f"for the rank of {_last(node.value)}"
    shape = node.value if isinstance(node, ast.Subscript) else None
    if isinstance(shape, ast.Attribute) and shape.attr == "shape" and _last(shape.value) in TARGETS:
        yield f"for the shape of {_last(shape.value)}"
    sides = _sides(node) if isinstance(node, ast.Compare) else []
    fixed = any(isinstance(side, ast.Constant | ast.Name) for side in sides)
    kinds = any(isinstance(side, ast.Name) and side.id in KINDS for side in sides)
    if kinds or (fixed and any(isinstance(side, ast.Attribute) and side.attr == "target" for side in sides)):
        yield "what targets are"


def _chosen(node: ast.AST) -> Iterator[str]:
    """Questions about the task itself."""
    words = ast.unparse(node) if isinstance(node, ast.Call) else ""
    if words.split("(")[0].split(".")[-1] in ("isinstance", "lookup", "make", "parts") and TASK.search(words):
        yield "which task it is"
    sides = _sides(node) if isinstance(node, ast.Compare) else []
    if any(ast.unparse(side).endswith(("task.name_in_config", "asked.name_in_config")) for side in sides):
        yield "which task it is"


def _last(node: ast.AST) -> str:
    """The name of a variable, or the last one of a.b.c."""
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _conditions(node: ast.AST) -> list[ast.expr]:
    """The expressions whose truth a node asks for."""
    if isinstance(node, ast.If | ast.IfExp | ast.While | ast.Assert):
        return [node.test]
    if isinstance(node, ast.comprehension):
        return list(node.ifs)
    if isinstance(node, ast.Compare) and any(isinstance(side, ast.Constant) for side in _sides(node)):
        return _sides(node)
    if isinstance(node, ast.BoolOp):
        return node.values
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return [node.operand]
    if isinstance(node, ast.Call) and _last(node.func) == "bool":
        return node.args
    return []


def _held(condition: ast.expr) -> ast.expr | None:
    """The classes whose being there a condition asks for: themselves, or their number."""
    if isinstance(condition, ast.Call) and _last(condition.func) == "len" and condition.args:
        return _held(condition.args[0])
    return condition if _last(condition) in NAMES_OF_CLASSES else None


def _sides(node: ast.Compare) -> list[ast.expr]:
    return [node.left, *node.comparators]


SOURCES = [path for path in sorted(ROOT.rglob("*.py")) if OWNERS.isdisjoint(path.relative_to(ROOT).parts)]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nobody_else_asks_what_the_task_is(path: Path) -> None:
    places, why = ALLOWED.get(path.relative_to(ROOT).as_posix(), (0, "nothing"))
    found = list(complaints(path.read_text(encoding="utf-8")))
    assert len(found) == places, (
        f"{found}: give the task a method for it (cnntrain/parts/tasks/base.py). Allowed: {why}"
    )


@pytest.mark.parametrize(
    "source",
    [
        "if not judged.classes:\n    pass",
        "x = bool(train.classes)",
        "few = 0 < len(document.classes) <= 5",
        "what = 'a' if network.classes and not done else 'b'",
        "names = [n for n in x if classes]",
        "loss = 'bce' if loss.yes_or_no else 'mse'",
        "mixing and targets.ndim == 1",
        "k = data.train.targets.ndim",
        "if data.description.values < 2:\n    pass",
        "k = images.targets.shape[1]",
        "if data.target == 'boxes':\n    pass",
        "if data.target != CLASSES:\n    pass",
        "isinstance(task, Classify)",
        "isinstance(network.task, Segment | Detect)",
        "joins = MASKS in metric.scores",
        "registry.make('tasks', 'tag')",
        "if network.task.name_in_config == 'tag':\n    pass",
    ],
)
def test_the_gate_sees_branches(source: str) -> None:
    assert len(list(complaints(source))) == 1


@pytest.mark.parametrize(
    "source",
    [
        "same = images.classes == known.classes",
        "document = {'classes': list(network.classes)}",
        "same = (mine.target, mine.values) == (other.target, other.values)",
        "x = network.task.labels(targets, data)",
        "rows = targets[start:stop]",
        "size = (2, *labels.shape)",
        "document = {'task': network.task.name_in_config}",
    ],
)
def test_the_gate_lets_plain_uses_pass(source: str) -> None:
    assert list(complaints(source)) == []
