"""A block is a list of layers with a name and parameters, which `model.layers` then uses like a layer.

    model:
      blocks:
        basic:
          parameters: {filters: null, stride: 1}   # null: must be given at every use
          layers:
            - {type: conv2d, filters: "${filters}", kernel_size: 3, stride: "${stride}", padding: same}
            - batch_norm
      layers:
        - {type: basic, filters: 32, name: stem}

A use becomes a `sequential` with the block's layers, every `${parameter}` replaced by the value the use gives; so
whatever is wrong inside is reported at the block's line, or at the use's line if the value comes from there. Blocks may
use others; nothing else is computed. This happens before variables are substituted: both may hold `${vars.NAME}`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from cnntrain.config import scalars
from cnntrain.config.problems import Problems
from cnntrain.config.tree import MAX_DEPTH, MAX_NODES, Broken, Entry, List, Map, Node, Scalar, levels
from cnntrain.core import registry
from cnntrain.core.errors import Mark

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}", re.ASCII)
_PLACE = ("name", "from")  # keys that belong to the use's place in the list, not to the block


def expand(tree: Map, problems: Problems) -> Map:
    """The tree with every use of a block replaced, and without `model.blocks`.

    A block or parameter that nothing uses is a problem, as is a block with a layer's name; a block set to null is not.
    """
    model = tree.get("model")
    blocks = model.get("blocks") if isinstance(model, Map) else None
    if not isinstance(model, Map) or blocks is None:
        return tree
    if not isinstance(blocks, Map):
        problems.add(blocks.where, "blocks: expected a mapping of names to blocks")
        blocks = Map(blocks.where)
    expansion = _Expansion(blocks, problems)
    rest = {key: entry for key, entry in model.entries.items() if key != "blocks"}
    if "layers" in rest:
        rest["layers"] = Entry(rest["layers"].key, expansion.node(rest["layers"].value, {}, 1))
    expansion.report_unused()
    entries = dict(tree.entries)
    entries["model"] = Entry(entries["model"].key, Map(model.where, rest))
    return Map(tree.where, entries)


@dataclass(frozen=True)
class _Block:
    """One definition: its parameters with their defaults, and its layers."""

    name: str
    parameters: Map
    layers: Node


class _Expansion:
    def __init__(self, blocks: Map, problems: Problems) -> None:
        self.problems = problems
        self.blocks: dict[str, _Block] = {}
        self.names = {name: entry.key.where for name, entry in blocks.entries.items()}
        self.used: set[str] = set()
        self.open: list[str] = []
        self.count = 0
        for name, entry in blocks.entries.items():
            self.define(name, entry)

    def define(self, name: str, entry: Entry) -> None:
        """Read one definition."""
        where, body = entry.key.where, entry.value
        if isinstance(body, Scalar) and scalars.is_null(body):
            del self.names[name]
            return
        taken = next((kind for kind in ("layers", "structures") if registry.find(name, kind)), None)
        if not _NAME.fullmatch(name):
            self.problems.add(where, f"a block's name is made of letters, digits and _, got {name[:40]!r}")
        elif taken:
            self.problems.add(where, f"a block cannot be called {name!r}: a {registry.KINDS[taken]} has that name")
        if not isinstance(body, Map) or "layers" not in body.entries:
            self.problems.add(body.where, f"{name[:40]}: expected a mapping with 'layers' and, if any, 'parameters'")
            body = Map(where, {"layers": Entry(entry.key, Broken(where))})
        for key, extra in body.entries.items():
            if key not in ("parameters", "layers"):
                message = f"unknown key {key[:40]!r} of block {name!r}; known: parameters, layers"
                self.problems.add(extra.key.where, message)
        parameters = body.get("parameters") or Map(body.where)
        if not isinstance(parameters, Map):
            self.problems.add(parameters.where, "parameters: expected a mapping of names to defaults")
            parameters = Map(body.where)
        layers = body.entries["layers"].value
        self.blocks[name] = _Block(name, parameters, layers)
        self.check_parameters(self.blocks[name])

    def check_parameters(self, block: _Block) -> None:
        """Report parameters with impossible names, and those that the layers do not mention."""
        mentioned = _mentioned(block.layers)
        for name, entry in block.parameters.entries.items():
            if not _NAME.fullmatch(name) or name in ("type", *_PLACE):
                self.problems.add(entry.key.where, f"a parameter cannot be called {name[:40]!r}")
            elif name not in mentioned:
                self.problems.add(entry.key.where, f"nothing in block {block.name!r} uses ${{{name}}}; remove it")

    def report_unused(self) -> None:
        """Report the blocks that no layer uses, directly or through another block."""
        for name, where in self.names.items():
            if name not in self.used:
                self.problems.add(where, f"nothing uses the block {name[:40]!r}; remove it, or set it to null")

    def node(self, node: Node, given: Mapping[str, Node], depth: int) -> Node:
        """A copy of a node with parameters and blocks replaced."""
        self.take(1, depth, node.where)
        if isinstance(node, Scalar):
            return self.scalar(node, given, depth)
        if isinstance(node, List):
            return List(node.where, tuple(self.item(item, given, depth + 1) for item in node.items))
        if isinstance(node, Map):
            items = node.entries.items()
            return Map(node.where, {k: Entry(e.key, self.node(e.value, given, depth + 1)) for k, e in items})
        return node

    def take(self, nodes: int, depth: int, where: Mark) -> None:
        """Count what is put in, and stop a config that would grow without bound."""
        self.count += nodes
        if self.count > MAX_NODES:
            self.problems.fail(where, f"the blocks expand to more than {MAX_NODES} values; use 'repeat'")
        if depth > MAX_DEPTH:
            self.problems.fail(where, f"nested too deeply: at most {MAX_DEPTH} levels")

    def scalar(self, node: Scalar, given: Mapping[str, Node], depth: int) -> Node:
        """The value a parameter stands for; any other value as it is."""
        match = _REFERENCE.fullmatch(node.text) if self.open else None
        if match is None or match[1] == "config_dir":
            return node
        if match[1] not in given:
            hint = registry.did_you_mean(match[1], given)
            self.problems.add(node.where, f"block {self.open[-1]!r} has no parameter {match[1][:40]!r}{hint}")
            return Broken(node.where)
        value = given[match[1]]
        for below in levels(value):
            self.take(1, depth + below, node.where)
        return value

    def item(self, node: Node, given: Mapping[str, Node], depth: int) -> Node:
        """An item of a list, which may be the use of a block."""
        kind = node.get("type") if isinstance(node, Map) else node
        if not isinstance(kind, Scalar) or kind.text not in self.blocks:
            return self.node(node, given, depth)
        entries = dict(node.entries) if isinstance(node, Map) else {}
        arguments = {k: Entry(e.key, self.node(e.value, given, depth + 1)) for k, e in entries.items() if k != "type"}
        return self.use(self.blocks[kind.text], kind.where, node.where, arguments, depth)

    def use(self, block: _Block, named: Mark, where: Mark, arguments: dict[str, Entry], depth: int) -> Node:
        """The sequential that a use of a block stands for."""
        self.used.add(block.name)
        if block.name in self.open:
            circle = " -> ".join([*self.open, block.name])
            self.problems.add(where, f"blocks use each other in a circle: {circle}")
            return Broken(where)
        parameters = block.parameters.entries
        for name, entry in arguments.items():
            if name not in parameters and name not in _PLACE:
                hint = registry.did_you_mean(name[:40], [*parameters, *_PLACE])
                self.problems.add(entry.key.where, f"unknown key {name[:40]!r} of block {block.name!r}{hint}")
        given = {name: arguments.get(name, entry).value for name, entry in parameters.items()}
        missing = [name for name, value in given.items() if name not in arguments and scalars.is_null(value)]
        for name in missing:
            self.problems.add(where, f"missing key {name!r} of block {block.name!r}")
            given[name] = Broken(where)
        self.open.append(block.name)
        body = self.node(block.layers, given, depth + 1)
        self.open.pop()
        place = {key: arguments[key] for key in _PLACE if key in arguments}
        kind = Entry(Scalar(named, "type"), Scalar(named, "sequential"))
        return Map(where, {"type": kind, **place, "body": Entry(Scalar(named, "body"), body)})


def _mentioned(node: Node) -> set[str]:
    """The names in every `${NAME}` of a tree."""
    if isinstance(node, Scalar):
        match = _REFERENCE.fullmatch(node.text)
        return {match[1]} if match else set()
    children: list[Node] = []
    if isinstance(node, List):
        children = list(node.items)
    elif isinstance(node, Map):
        children = [entry.value for entry in node.entries.values()]
    return set().union(*map(_mentioned, children))
