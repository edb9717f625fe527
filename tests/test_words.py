"""One word, one thing: a public class, or a public alias of a type, has a name of its own in the whole package.

And a word that the glossary explains names nothing else, where it once did.
"""

from __future__ import annotations

import ast
import functools
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


# A word that once named several things: where a module defines a name with it, the module's code has one of these.
EVIDENCE = {
    "draw": {"Draws", "draws", "rng", "stream", "random", "seed"},  # a random number
    "trace": {"Trace"},  # a network as elementary operations
}
_FORMS = {"drawn": "draw", "draws": "draw", "drawing": "draw", "traced": "trace", "traces": "trace", "tracing": "trace"}
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def is_part(node: ast.ClassDef) -> bool:
    """Whether configs name it, within its kind: `scale` is a layer, and a transform, and neither is ever the other."""
    return any(isinstance(d, ast.Call) and ast.unparse(d.func) == "register" for d in node.decorator_list)


def names_of(tree: ast.Module) -> Iterator[str]:
    """The public classes of a module that are not parts, nested ones included, and its public aliases of types."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and not is_part(node) and not node.name.startswith("_"):
            yield node.name
    for statement in tree.body:
        targets = statement.targets if isinstance(statement, ast.Assign) else []
        targets = [statement.target] if isinstance(statement, ast.AnnAssign) else targets
        yield from (target.id for target in targets if isinstance(target, ast.Name) and _TYPE.fullmatch(target.id))


def parts_of(tree: ast.Module) -> Iterator[str]:
    return (node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and is_part(node))


@functools.cache
def places() -> tuple[dict[str, list[str]], dict[str, list[tuple[str, str]]]]:
    """Where each name is defined: modules for what is not a part, (kind, module) for parts."""
    others, parts = defaultdict(list), defaultdict(list)
    for path in sorted(ROOT.rglob("*.py")):
        module, tree = str(path.relative_to(ROOT)), ast.parse(path.read_text(encoding="utf-8"))
        for name in names_of(tree):
            others[name].append(module)
        for name in parts_of(tree):
            parts[name].append((path.parent.name, module))
    return others, parts


def test_a_public_name_means_one_thing() -> None:
    others, _ = places()
    twice = {name: found for name, found in others.items() if len(found) > 1 and name not in ALLOWED}
    assert twice == {}, "give the less natural one another word of the field (glossary: cnntrain/README.md)"


def test_a_part_is_called_as_nothing_else_is() -> None:
    """Parts of two kinds may share a name; two of one kind may not, nor a part and anything else."""
    others, parts = places()
    shared = {name: [*others[name], *found] for name, found in parts.items() if name in others and name not in ALLOWED}
    kinds = {name: [kind for kind, _ in found] for name, found in parts.items()}
    assert shared == {}
    assert {name: found for name, found in kinds.items() if len(set(found)) < len(found)} == {}


def words_defined(tree: ast.Module) -> Iterator[str]:
    """The words, in their plain form, of all names a module defines: classes, functions, arguments, variables."""
    for node in ast.walk(tree):
        names = [node.name] if isinstance(node, ast.ClassDef | ast.FunctionDef) else []
        names += [node.arg] if isinstance(node, ast.arg) else []
        names += [node.id] if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) else []
        names += [node.attr] if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) else []
        for word in (found.lower() for name in names for found in _WORD.findall(name)):
            yield _FORMS.get(word, word)


def mentioned(tree: ast.Module) -> set[str]:
    """All names in a module's code, which say what it is about."""
    nodes = list(ast.walk(tree))
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    names |= {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    names |= {node.name for node in nodes if isinstance(node, ast.ClassDef)}
    return names | {node.arg for node in nodes if isinstance(node, ast.arg)}


def misused(tree: ast.Module) -> list[str]:
    """The words a module uses in another sense than the glossary does."""
    return sorted(word for word in set(words_defined(tree)) & set(EVIDENCE) if not mentioned(tree) & EVIDENCE[word])


def test_a_word_of_the_glossary_names_nothing_else() -> None:
    found = {str(path.relative_to(ROOT)): misused(ast.parse(path.read_text("utf-8"))) for path in ROOT.rglob("*.py")}
    found = {module: words for module, words in found.items() if words}
    assert found == {}, "use another word: the glossary of cnntrain/README.md says what these mean"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("class Chart:\n    draw: Any", ["draw"]),
        ("def _drawn(chart): ...", ["draw"]),
        ("def draw(self, d, p, *xs): ...", ["draw"]),
        ("self._drawn = time.monotonic()", ["draw"]),
        ("drawn = ImageDraw.Draw(sheet)", ["draw"]),
        ("pen = ImageDraw.Draw(sheet)", []),
        ("draw = rng.normal()", []),
        ("withdraw = 1", []),
        ("def __exit__(self, kind, error, trace): ...", ["trace"]),
        ("def trace(self, t: Trace, p, *xs): ...", []),
    ],
)
def test_another_meaning_is_found(text: str, words: list[str]) -> None:
    assert misused(ast.parse(text)) == words


@pytest.mark.parametrize("name", ALLOWED)
def test_what_is_allowed_is_needed(name: str) -> None:
    assert len(places()[0][name]) > 1
