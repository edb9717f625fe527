"""One word, one thing: a public class, or a public alias of a type, has a name of its own in the whole package."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

import cnntrain

ROOT = Path(cnntrain.__file__).parent
ALLOWED = {
    "Node": "an entry of a YAML tree, and a layer at its place in a graph: the word of both fields",
}
_TYPE = re.compile(r"[A-Z][A-Za-z0-9]*[a-z][A-Za-z0-9]*")


def is_part(node: ast.ClassDef) -> bool:
    """Whether configs name it, within its kind: `scale` is a layer, and a transform, and neither is ever the other."""
    return any(isinstance(d, ast.Call) and ast.unparse(d.func) == "register" for d in node.decorator_list)


def names_of(tree: ast.Module) -> Iterator[str]:
    """The public classes of a module that are no parts, nested ones included, and its public aliases of types."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and not is_part(node) and not node.name.startswith("_"):
            yield node.name
    for statement in tree.body:
        targets = statement.targets if isinstance(statement, ast.Assign) else []
        targets = [statement.target] if isinstance(statement, ast.AnnAssign) else targets
        yield from (target.id for target in targets if isinstance(target, ast.Name) and _TYPE.fullmatch(target.id))


def parts_of(tree: ast.Module) -> Iterator[str]:
    return (node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and is_part(node))


def places() -> tuple[dict[str, list[str]], dict[str, list[tuple[str, str]]]]:
    """Where each name is defined: of what is no part, the modules; of parts, (kind, module)."""
    others, parts = defaultdict(list), defaultdict(list)
    for path in sorted(ROOT.rglob("*.py")):
        module, tree = str(path.relative_to(ROOT)), ast.parse(path.read_text(encoding="utf-8"))
        for name in names_of(tree):
            others[name].append(module)
        for name in parts_of(tree):
            parts[name].append((path.parent.name, module))
    return others, parts


OTHERS, PARTS = places()


def test_a_public_name_means_one_thing() -> None:
    twice = {name: found for name, found in OTHERS.items() if len(found) > 1 and name not in ALLOWED}
    assert twice == {}, "give the less natural one another word of the field (glossary: cnntrain/README.md)"


def test_a_part_is_called_as_nothing_else_is() -> None:
    """Parts of two kinds may share a name; within a kind, and with what is no part, none does."""
    shared = {name: [*OTHERS[name], *found] for name, found in PARTS.items() if name in OTHERS and name not in ALLOWED}
    kinds = {name: [kind for kind, _ in found] for name, found in PARTS.items()}
    assert shared == {}
    assert {name: found for name, found in kinds.items() if len(set(found)) < len(found)} == {}


@pytest.mark.parametrize("name", ALLOWED)
def test_what_is_allowed_is_needed(name: str) -> None:
    assert len(OTHERS[name]) > 1
