"""Variables are the two things a config may refer to: `${vars.NAME}`, and `${config_dir}`, the folder of its file.

A value that is exactly `${vars.NAME}` becomes what the variable holds: a number, a list or a map. Within a longer
text, the variable's own text is put in. There is nothing else: no environment, no expressions.
"""

from __future__ import annotations

import os
import re
from collections.abc import Set

from cnntrain.config.problems import Problems
from cnntrain.config.tree import (
    MAX_BYTES,
    MAX_DEPTH,
    MAX_NODES,
    SET,
    Broken,
    Entry,
    List,
    Map,
    Node,
    Scalar,
    levels,
    scalars,
)
from cnntrain.core.errors import Mark
from cnntrain.core.registry import did_you_mean

_REFERENCE = re.compile(r"\$\{([^{}]*)\}")
_ADVICE = "only ${vars.NAME} and ${config_dir} are known"


def mentions(tree: Node) -> set[str]:
    """The names of the variables that a tree refers to."""
    found = (word for scalar in scalars(tree) for word in _REFERENCE.findall(scalar.text))
    return {word.split(".")[1] for word in found if word.startswith("vars.")}


def substitute(tree: Map, mentioned: Set[str], problems: Problems) -> Map:
    """The tree with every reference replaced, and without `vars`.

    A variable that is not in `mentioned` is a problem: nothing written in a config is without effect.
    """
    variables = tree.get("vars")
    rest = Map(tree.where, {key: entry for key, entry in tree.entries.items() if key != "vars"})
    if variables is not None and not isinstance(variables, Map):
        problems.add(variables.where, "vars: expected a mapping of names to values")
    known = variables if isinstance(variables, Map) else Map(tree.where)
    for name, entry in known.entries.items():
        if name not in mentioned:
            problems.add(entry.key.where, f"nothing uses the variable {name!r}; remove it, or write ${{vars.{name}}}")
    return _Substitution(known, problems).map(rest, 1)


def refuse(tree: Map, problems: Problems) -> None:
    """Report every reference in a config that must have none left, such as a checkpoint's."""
    for scalar in scalars(tree):
        if "${" in scalar.text:
            problems.add(scalar.where, "a resolved config has no ${...} left in it")


class _Substitution:
    def __init__(self, variables: Map, problems: Problems) -> None:
        self.variables, self.problems = variables, problems
        self.done: dict[str, Node] = {}
        self.open: list[str] = []
        self.nodes = self.letters = 0  # substituted so far: variables of variables can multiply

    def node(self, node: Node, depth: int) -> Node:
        if isinstance(node, Scalar):
            return self.scalar(node, depth) if "${" in node.text else node
        if isinstance(node, List):
            return List(node.where, tuple(self.node(item, depth + 1) for item in node.items))
        return self.map(node, depth) if isinstance(node, Map) else node

    def map(self, node: Map, depth: int) -> Map:
        items = node.entries.items()
        entries = {key: Entry(entry.key, self.node(entry.value, depth + 1)) for key, entry in items}
        return Map(node.where, entries, node.reached)

    def scalar(self, node: Scalar, depth: int) -> Node:
        whole = _REFERENCE.fullmatch(node.text)
        if whole and whole[1].startswith("vars."):
            return self.variable(whole[1].removeprefix("vars."), node.where, depth)
        pieces, end = [], 0
        for match in _REFERENCE.finditer(node.text):
            inner = self.text(match[1], node, depth)
            if inner is None:
                return Broken(node.where)
            pieces += [node.text[end : match.start()], inner]
            end = match.end()
        pieces.append(node.text[end:])
        if any("${" in piece for piece in pieces[::2]):
            self.problems.add(node.where, f"'${{' without its end; {_ADVICE}")
            return Broken(node.where)
        text = "".join(pieces)
        self.take(node.where, letters=len(text))
        return Scalar(node.where, text, node.plain)

    def text(self, reference: str, node: Scalar, depth: int) -> str | None:
        """The text that replaces a reference within a text, or None after reporting why there is none."""
        if reference == "config_dir":
            if node.where.file != SET:
                return os.path.abspath(os.path.dirname(node.where.file))
            self.problems.add(node.where, "--set is in no folder, so ${config_dir} means nothing here; write the path")
        elif reference.startswith("vars."):
            value = self.variable(reference.removeprefix("vars."), node.where, depth)
            if isinstance(value, Scalar):
                return value.text
            if not isinstance(value, Broken):
                self.problems.add(node.where, f"${{{reference}}} is not a single value, so it must stand alone")
        else:
            self.problems.add(node.where, f"unknown reference '${{{reference[:40]}}}'; {_ADVICE}")
        return None

    def variable(self, name: str, where: Mark, depth: int) -> Node:
        """The value of a variable, with its own references replaced."""
        if name in self.open:
            self.problems.add(where, f"variables refer to each other in a circle: {' -> '.join([*self.open, name])}")
            return Broken(where)
        if name not in self.done:
            value = self.find(name, where)
            if isinstance(value, Broken):
                return value
            self.open.append(name)
            self.done[name] = self.node(value, depth + 1)
            self.open.pop()
        value = self.done[name]
        for below in levels(value):
            self.take(where, nodes=1, depth=depth + below)
        return value

    def find(self, name: str, where: Mark) -> Node:
        value: Node = self.variables
        for segment in name.split("."):
            entries = value.entries if isinstance(value, Map) else {}
            if segment not in entries:
                hint = did_you_mean(segment, entries) if entries else "; define it under 'vars'"
                self.problems.add(where, f"unknown variable {name[:40]!r}{hint}")
                return Broken(where)
            value = entries[segment].value
        return value

    def take(self, where: Mark, nodes: int = 0, letters: int = 0, depth: int = 0) -> None:
        """Count what is put in, and stop a config that would grow without bound."""
        self.nodes += nodes
        self.letters += letters
        if self.nodes > MAX_NODES or self.letters > MAX_BYTES:
            self.problems.fail(where, "the variables expand to more than a config may hold")
        if depth > MAX_DEPTH or len(self.open) > MAX_DEPTH:
            self.problems.fail(where, f"nested too deeply: at most {MAX_DEPTH} levels")
