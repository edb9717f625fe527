"""A key's sentence is the comment beside its field, so that the class, `cnntrain list` and an editor say the same.

The comment stands after the field, or right above it where the line is full. A class that overrides a field without a
comment keeps the sentence of the class it derives from.
"""

from __future__ import annotations

import ast
import functools
import inspect
import re
import sys
from collections.abc import Iterator, Sequence

_FOR_TOOLS = re.compile(r"#\s*(?:noqa|type:)")  # from here on, a comment is addressed to a linter


def sentence(cls: type, field: str) -> str:
    """What a field of a dataclass is for, as a sentence; "" where there is no comment."""
    for owner in cls.__mro__:
        text = _of_module(owner.__module__).get(f"{owner.__qualname__}.{field}")
        if text:
            return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")
    return ""


@functools.cache
def _of_module(name: str) -> dict[str, str]:
    """Class.field -> comment for a module; empty where its source is not available."""
    try:
        text = inspect.getsource(sys.modules[name])
    except (KeyError, OSError, TypeError):
        return {}
    return dict(_comments(ast.parse(text).body, text.splitlines()))


def _comments(body: Sequence[ast.stmt], lines: Sequence[str], outer: str = "") -> Iterator[tuple[str, str]]:
    """Every annotated field of every class that has a comment, as Class.field, with it."""
    for node in body:
        if not isinstance(node, ast.ClassDef):
            continue
        before = node.lineno
        for statement in node.body:
            last = statement.end_lineno or statement.lineno
            if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                comment = _behind(statement, lines[last - 1]) or _above(lines[before : statement.lineno - 1])
                if comment:
                    yield f"{outer}{node.name}.{statement.target.id}", comment
            before = last
        yield from _comments(node.body, lines, f"{outer}{node.name}.")


def _behind(statement: ast.stmt, line: str) -> str:
    """The comment after a statement, on its last line."""
    rest = line.encode()[statement.end_col_offset or 0 :].decode()  # offsets count bytes
    return _words(rest)


def _above(between: Sequence[str]) -> str:
    """The comment that ends right above a statement, among the lines since the statement before."""
    comment: list[str] = []
    for line in reversed(between):
        if not line.lstrip().startswith("#"):
            break
        comment.insert(0, _words(line))
    return " ".join(filter(None, comment))


def _words(text: str) -> str:
    """The part of a comment that is meant for people."""
    return _FOR_TOOLS.split(text)[0].strip("# ")
