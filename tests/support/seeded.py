"""A bug seeded in a function, to see whether the tests notice: an operator on the syntax tree, not a place in a text.

A bug is two pieces of Python with gaps, which `patterns` explains: what it looks for, and what takes its place.

    Bug("np.add(A, B, out=A)", "np.copyto(A, B)")      the sum is forgotten
    Bug("os.fsync(_)", "pass")                         the statement is left out
    Bug("np.subtract(...)", "np.add(...)")             the same call of another function
    Bug("A < B", "A <= B")                             a comparison is off by one

So it knows neither line nor layout nor the names of local variables, and its function is found as an object, wherever
the module lies.
"""

from __future__ import annotations

import ast
import contextlib
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from tests.support.patterns import Bound, filled, in_order, is_expression, matched, parsed

PACKAGE = "cnntrain"

Function = ast.FunctionDef | ast.AsyncFunctionDef


class PlaceError(LookupError):
    """A bug that does not find its place, or not just one. No AssertionError, which would look like a bug caught."""


@dataclass(frozen=True)
class Bug:
    """In a function, `wrong` takes the place of `right`, which must be there once, or is the `nth` of so many.

    `given` is found once in the same function, too, and only says what its capitals stand for.
    """

    right: str
    wrong: str
    given: str = ""
    nth: int = 1
    of: int = 1

    def seed(self, module: ast.Module, name: str) -> None:
        """Change the function of a qualified name in a module's tree. Raises PlaceError."""
        function = definition(module, name)
        try:
            self._seed(function)
        except PlaceError as error:
            raise PlaceError(f"in {name}(), {error}") from None
        ast.fix_missing_locations(module)

    def _seed(self, function: Function) -> None:
        bound: Bound = {}
        if self.given:
            [(_, bound)] = self._places(self.given, function, bound, 1)
        node, bound = self._places(self.right, function, bound, self.of)[self.nth - 1]
        expression = isinstance(node, ast.expr)
        new = filled(parsed(self.wrong, expression), bound)
        for child in (child for part in new for child in ast.walk(part)):
            ast.copy_location(child, node)
        _Exchange(node, new).visit(function)

    def _places(self, what: str, function: Function, bound: Bound, count: int) -> list[tuple[ast.AST, Bound]]:
        """Where something is, in the order of the source, and what its capitals stand for there."""
        [pattern] = parsed(what, what == self.right and self._is_expression())
        found = [
            (node, names)
            for node in in_order(function)
            if isinstance(node, ast.stmt | ast.expr) and (names := matched(pattern, node, bound)) is not None
        ]
        if len(found) != count:
            raise PlaceError(self._lost(what, function, [node for node, _ in found], count))
        return found

    def _is_expression(self) -> bool:
        return is_expression(self.right) and is_expression(self.wrong)

    def _lost(self, what: str, function: Function, found: Sequence[Any], count: int) -> str:
        times = "once" if count == 1 else f"{count} times"
        lines = f" (lines {', '.join(str(node.lineno) for node in found)})" if found else ""
        return (
            f"a seeded bug looks for `{what}` {times} and finds it {len(found)} times{lines}. "
            "If that code has moved to another function, name that one; if it is written otherwise now, describe it "
            "as it is now, with more detail or with `nth` and `of` where it is there several times "
            f"(see tests/support/{Path(__file__).name}). The function now:\n{ast.unparse(function)}"
        )


class _Exchange(ast.NodeTransformer):
    """Puts other nodes in the place of one."""

    def __init__(self, old: ast.AST, new: Sequence[ast.AST]) -> None:
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> Any:
        if node is self.old:
            return list(self.new) if isinstance(node, ast.stmt) else self.new[0]
        return self.generic_visit(node)


def plain(function: Callable[..., Any]) -> FunctionType:
    """The function under its decorators."""
    bare = inspect.unwrap(getattr(function, "__func__", function))
    assert isinstance(bare, FunctionType), f"{function} is not written in Python"
    return bare


def source(function: Callable[..., Any]) -> Path:
    """The file a function is written in."""
    return Path(plain(function).__code__.co_filename)


def definition(tree: ast.Module, name: str) -> Function:
    """The function of a qualified name in a module's tree. Raises PlaceError unless there is just one."""
    found: list[ast.AST] = [tree]
    for part in name.split("."):
        found = [
            child
            for node in found
            for child in ast.iter_child_nodes(node)
            if isinstance(child, Function | ast.ClassDef) and child.name == part
        ]
    if len(found) != 1 or not isinstance(found[0], Function):
        raise PlaceError(f"a seeded bug looks for one function {name} and finds {len(found)}. Name one that is there")
    return found[0]


def holding(package: ModuleType, what: str) -> Callable[..., Any]:
    """The one function, in whichever imported module of a package, in which something is. Raises PlaceError."""
    [pattern] = parsed(what, is_expression(what))
    found = []
    for name, module in list(sys.modules.items()):
        if f"{name}.".startswith(f"{package.__name__}."):
            tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
            found += [
                function
                for function in _functions(module)
                if any(matched(pattern, node, {}) is not None for node in in_order(definition(tree, _name(function))))
            ]
    if len(found) != 1:
        names = ", ".join(f"{function.__module__}.{_name(function)}" for function in found) or "none"
        raise PlaceError(
            f"a seeded bug looks for one function of {package.__name__} with `{what}` and finds {names}. "
            f"Describe what it changes as it is written now (see tests/support/{Path(__file__).name})"
        )
    return found[0]


def _functions(module: ModuleType) -> Iterator[FunctionType]:
    """The functions of a module, and the methods of its classes, but properties."""
    own = [value for value in vars(module).values() if getattr(value, "__module__", "") == module.__name__]
    for value in [*own, *(member for cls in own if isinstance(cls, type) for member in vars(cls).values())]:
        function = inspect.unwrap(getattr(value, "__func__", value))
        if isinstance(function, FunctionType) and function.__code__.co_filename == module.__file__:
            yield function


def _name(function: Callable[..., Any]) -> str:
    return plain(function).__qualname__


def spoilt(function: Callable[..., Any], bug: Bug) -> ast.Module:
    """The tree of a function's module, with a bug in the function. Raises PlaceError."""
    tree = ast.parse(source(function).read_text(encoding="utf-8"))
    bug.seed(tree, _name(function))
    return tree


@contextlib.contextmanager
def seeded(function: Callable[..., Any], bug: Bug) -> Iterator[None]:
    """While inside, a function has a bug, whoever calls it and by whatever name. Raises PlaceError."""
    bare = plain(function)
    whole = compile(spoilt(function, bug), bare.__code__.co_filename, "exec", dont_inherit=True)
    [code] = [code for code in _codes(whole) if code.co_qualname == bare.__qualname__]
    right = bare.__code__
    bare.__code__ = code
    _forget()
    try:
        yield
    finally:
        bare.__code__ = right
        _forget()


def _codes(code: CodeType) -> Iterator[CodeType]:
    """All code within a piece of code."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _codes(constant)


def _forget() -> None:
    """Clear the package's caches: what a function returned with a bug must not be seen without, nor the reverse."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == PACKAGE:
            for value in list(vars(module).values()):
                if hasattr(value, "cache_clear"):
                    value.cache_clear()


def survives(function: Callable[..., Any], bug: Bug) -> bool:
    """Whether a bug makes the same of a function whose local variables have other names, and which is laid out anew."""
    name = _name(function)
    text = source(function).read_text(encoding="utf-8")
    other = ast.parse(text)
    names = _locals(definition(other, name))
    _Renamed(names).visit(definition(other, name))
    other = ast.parse(ast.unparse(other))
    bug.seed(other, name)
    expected = definition(spoilt(function, bug), name)
    _Renamed(names).visit(expected)
    return ast.unparse(definition(other, name)) == ast.unparse(expected)


def _locals(function: Function) -> dict[str, str]:
    """The names a function binds, with other names for them; `self` and `cls` are everybody's."""
    bound = {node.arg for node in ast.walk(function) if isinstance(node, ast.arg)}
    bound |= {node.id for node in ast.walk(function) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    bound |= {node.name for node in ast.walk(function) if isinstance(node, ast.ExceptHandler) and node.name}
    return {name: f"other_{name}" for name in bound - {"self", "cls"}}


class _Renamed(ast.NodeTransformer):
    """Gives local variables other names."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self.names = names

    def visit_Name(self, node: ast.Name) -> ast.AST:
        node.id = self.names.get(node.id, node.id)
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.arg = self.names.get(node.arg, node.arg)
        return node

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.AST:
        node.name = self.names.get(node.name or "", node.name)
        return self.generic_visit(node)
