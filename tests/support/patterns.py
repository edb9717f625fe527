"""A pattern is a piece of Python with gaps: it looks at a syntax tree and says what fills them.

In it

- `_` stands for any expression, and a single capital for one that is used again: `np.add(A, B, out=A)`;
- `...` among a call's arguments stands for all further ones, keywords included; among the operands of `and` and `or`
  and among statements, for any number of them: `if ... or A or ...: ...`.

`filled` is the way back: the same gaps in another piece of Python, filled with what stood in them.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

# A capital -> what it stands for; a number -> what the first, second and further `...` stand for, in the order of the
# source; that of a call stands for two lists, its arguments and, after all else of the call, its keywords.
Bound = Mapping[str, Any]

_IGNORED = ("ctx", "kind", "type_comment")
_OPEN = {ast.Call: "args", ast.BoolOp: "values"}  # lists of expressions in which `...` stands for any number


def parsed(text: str, expression: bool) -> list[ast.AST]:
    """A piece of Python as statements, or as the one expression it is."""
    body = ast.parse(text).body
    if expression:
        [statement] = body
        assert isinstance(statement, ast.Expr)
        return [statement.value]
    return list(body)


def is_expression(text: str) -> bool:
    """Whether a piece of Python is one expression."""
    return [type(statement) for statement in ast.parse(text).body] == [ast.Expr]


def in_order(node: ast.AST) -> Iterator[ast.AST]:
    """Everything below a node, as it stands in the source."""
    for child in ast.iter_child_nodes(node):
        yield child
        yield from in_order(child)


def _is_rest(node: Any) -> bool:
    if isinstance(node, ast.Expr):
        node = node.value
    return isinstance(node, ast.Constant) and node.value is Ellipsis


def _is_capital(name: str) -> bool:
    return len(name) == 1 and name.isupper()


def matched(pattern: Any, node: Any, bound: Bound) -> Bound | None:
    """What capitals and `...` stand for where the node looks like the pattern; None where it does not."""
    if isinstance(pattern, ast.Name) and isinstance(node, ast.expr):
        if pattern.id == "_":
            return bound
        if _is_capital(pattern.id):
            return _held(pattern.id, node, bound)
    if not isinstance(pattern, ast.AST):
        return bound if type(pattern) is type(node) and pattern == node else None
    if type(pattern) is not type(node):
        return None
    rest = isinstance(pattern, ast.Call) and any(map(_is_rest, pattern.args))
    for field in pattern._fields:
        if field in _IGNORED:
            continue
        ours, theirs = getattr(pattern, field), getattr(node, field)
        if rest and field == "keywords":
            found = _keywords(ours, theirs, bound)
        elif isinstance(ours, list):
            found = _listed(ours, theirs, bound, _has_gaps(pattern, field))
        else:
            found = matched(ours, theirs, bound)
        if found is None:
            return None
        bound = found
    return bound


def _has_gaps(node: ast.AST, field: str) -> bool:
    return _OPEN.get(type(node)) == field or field in ("body", "orelse", "finalbody")


def _held(name: str, node: ast.expr, bound: Bound) -> Bound | None:
    if name in bound:
        return bound if ast.unparse(bound[name]) == ast.unparse(node) else None
    return {**bound, name: node}


def _listed(patterns: Sequence[Any], nodes: Sequence[Any], bound: Bound, gaps: bool) -> Bound | None:
    if not patterns:
        return None if nodes else bound
    if not (gaps and _is_rest(patterns[0])):
        found = matched(patterns[0], nodes[0], bound) if nodes else None
        return None if found is None else _listed(patterns[1:], nodes[1:], found, gaps)
    for taken in range(len(nodes) + 1):
        found = _listed(patterns[1:], nodes[taken:], {**bound, _next(bound): list(nodes[:taken])}, gaps)
        if found is not None:
            return found
    return None


def _next(bound: Bound) -> str:
    """The number of the next `...`."""
    return str(sum(name.isdecimal() for name in bound))


def _keywords(patterns: Sequence[ast.keyword], nodes: Sequence[ast.keyword], bound: Bound) -> Bound | None:
    """What the keywords of a call with `...` are; those the pattern does not name are the rest."""
    there = {node.arg: node for node in nodes}
    for pattern in patterns:
        if pattern.arg not in there:
            return None
        found = matched(pattern.value, there.pop(pattern.arg).value, bound)
        if found is None:
            return None
        bound = found
    return {**bound, _next(bound): list(there.values())}


def filled(template: Sequence[ast.AST], bound: Bound) -> list[ast.AST]:
    """A parsed piece of Python with what capitals and `...` stand for put in; `template` is used up."""
    filler, nodes = _Filler(bound), []
    for node in template:
        new = filler.visit(node)
        nodes += new if isinstance(new, list) else [new]
    return nodes


class _Filler(ast.NodeTransformer):
    """Puts in what capitals and `...` stand for."""

    def __init__(self, bound: Bound) -> None:
        self.bound, self.rests = bound, 0

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if not _is_capital(node.id):
            return node
        new = copy.deepcopy(self.bound[node.id])
        new.ctx = node.ctx
        return new

    def visit_Call(self, node: ast.Call) -> ast.AST:
        rest = any(map(_is_rest, node.args))
        node.func = self.visit(node.func)
        node.args = self._spliced(node.args)
        node.keywords = [self.visit(keyword) for keyword in node.keywords]
        if rest:
            node.keywords += self._rest()
        return node

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        node.values = self._spliced(node.values)
        return node

    def visit_Expr(self, node: ast.Expr) -> Any:
        return self._spliced([node.value]) if _is_rest(node) else self.generic_visit(node)

    def _spliced(self, parts: Sequence[ast.expr]) -> list[Any]:
        new: list[Any] = []
        for part in parts:
            if _is_rest(part):
                new += self._rest()
            else:
                new.append(self.visit(part))
        return new

    def _rest(self) -> list[Any]:
        self.rests += 1
        return copy.deepcopy(self.bound[str(self.rests - 1)])
