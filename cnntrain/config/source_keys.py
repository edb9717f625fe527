"""The keys of a part, read from the source of its class without importing it, for a shell that waits for a completion.

Importing any part imports NumPy, which alone takes most of the 0.2 s that a key press may wait, so the registry cannot
be asked. The source is parsed instead; a test compares the result with the class itself for every part.
"""

from __future__ import annotations

import ast
import functools
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path

from cnntrain.config.fields import keys_of
from cnntrain.config.schema import NodeOptions, TrainedOptions
from cnntrain.core.installed import declared

PARTS = Path(__file__).parent.parent / "parts"


def part_keys(kind: str, name: str, placed: bool = False) -> list[str]:
    """The keys of a part; with those of its place in a list of layers, if it is `placed` there. Empty for no part."""
    folder = PARTS / kind
    for path in itertools.chain(sorted(folder.glob("*.py")), _installed(kind, name)):
        if f'@register("{name}")' in path.read_text(encoding="utf-8"):
            classes = _classes(path, kind)
            return list(dict.fromkeys(_fields(_registered(classes, name), classes, placed)))
    return []


def _installed(kind: str, name: str) -> Iterator[Path]:
    """The file of a part that an installed package declares, as far as it is found without importing anything."""
    for origin in declared():
        if (origin.kind, origin.name) == (kind, name):
            module = Path(*origin.value.partition(":")[0].split("."))
            for place in sys.path:
                yield from filter(Path.is_file, (place / module.with_suffix(".py"), place / module / "__init__.py"))


@functools.cache
def _classes(path: Path, kind: str) -> dict[str, ast.ClassDef]:
    """The classes of a file, and those of the files of its kind that it imports."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    found: dict[str, ast.ClassDef] = {}
    for node in body:
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith(f"cnntrain.parts.{kind}."):
            found |= _classes(PARTS / kind / f"{str(node.module).rpartition('.')[2]}.py", kind)
    return found | {node.name: node for node in body if isinstance(node, ast.ClassDef)}


def _registered(classes: dict[str, ast.ClassDef], name: str) -> ast.ClassDef:
    return next(
        node
        for node in classes.values()
        for decorator in node.decorator_list
        if isinstance(decorator, ast.Call) and ast.unparse(decorator) == f"register({name!r})"
    )


def _fields(node: ast.ClassDef, known: dict[str, ast.ClassDef], placed: bool) -> Iterator[str]:
    """The keys of a class, those of its bases first."""
    for base in map(ast.unparse, node.bases):
        if base in known:
            yield from _fields(known[base], known, False)
    declared = [statement for statement in node.body if isinstance(statement, ast.AnnAssign)]
    for statement in declared:
        if not ast.unparse(statement.annotation).startswith("ClassVar") and "init=False" not in ast.unparse(statement):
            yield ast.unparse(statement.target).removesuffix("_")
    if placed:
        yield from keys_of(TrainedOptions if _has_params(node, known) else NodeOptions)


def _has_params(node: ast.ClassDef, known: dict[str, ast.ClassDef]) -> bool:
    """Whether a layer's class, or one of its bases below `Layer`, has parameters."""
    if node.name == "Layer":
        return False
    own = any(isinstance(statement, ast.FunctionDef) and statement.name == "params" for statement in node.body)
    return own or any(_has_params(known[base], known) for base in map(ast.unparse, node.bases) if base in known)
