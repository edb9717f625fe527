"""A key's sentence is the comment beside its field, so that the class, `cnntrain list` and an editor say the same.

The comment stands behind the field, or right above it where the line is full. A class that overrides a field without a
comment keeps the sentence of the class it derives from.
"""

from __future__ import annotations

import ast
import functools
import inspect
import io
import re
import sys
import tokenize
from collections.abc import Iterator


def sentence(cls: type, field: str) -> str:
    """What a field of a dataclass is for, as a sentence; "" where no comment says so."""
    for owner in cls.__mro__:
        text = _of_module(owner.__module__).get(f"{owner.__qualname__}.{field}")
        if text:
            return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")
    return ""


@functools.cache
def _of_module(name: str) -> dict[str, str]:
    """Class.field -> comment for a module; empty where its source is not to be had."""
    try:
        text = inspect.getsource(sys.modules[name])
    except (KeyError, OSError, TypeError):
        return {}
    behind, alone = _comments(text)
    found = {}
    for field, first, last in _fields(ast.parse(text).body):
        comment = behind.get(last) or " ".join(_right_above(alone, first))
        if comment:
            found[field] = comment
    return found


def _comments(text: str) -> tuple[dict[int, str], dict[int, str]]:
    """Line -> comment: those behind code, and those that have the line to themselves."""
    behind: dict[int, str] = {}
    alone: dict[int, str] = {}
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        words = re.split(r"#\s*(?:noqa|type:)", token.string)[0].strip("# ")
        if token.type == tokenize.COMMENT and words:
            (alone if token.line.lstrip().startswith("#") else behind)[token.start[0]] = words
    return behind, alone


def _right_above(alone: dict[int, str], line: int) -> Iterator[str]:
    """The lines of the comment that ends right above a line."""
    first = line
    while first - 1 in alone:
        first -= 1
    yield from (alone[number] for number in range(first, line))


def _fields(body: list[ast.stmt], outer: str = "") -> Iterator[tuple[str, int, int]]:
    """Every annotated field of every class, as Class.field, with its first and last lines."""
    for node in body:
        if isinstance(node, ast.ClassDef):
            for statement in node.body:
                if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                    last = statement.end_lineno or statement.lineno
                    yield f"{outer}{node.name}.{statement.target.id}", statement.lineno, last
            yield from _fields(node.body, f"{outer}{node.name}.")
