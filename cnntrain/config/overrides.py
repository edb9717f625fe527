"""An override is one `--set KEY=VALUE`: a dotted path into the config, and a value in YAML that replaces what is there.

A step of the path is a key of a map or, in a list, the number of an item (from 0) or its `name`. Keys that are not
there yet are added, and the schema judges them as if they were in the file. A path into a part that the config leaves
out leads to the part that is there by default: `optimizer.lr=0.1` is of `sgd`, as an `optimizer: sgd` would have it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from cnntrain.config.problems import Problems
from cnntrain.config.tree import MAX_DEPTH, SET, Broken, Entry, List, Map, Node, Scalar, Source, parse
from cnntrain.core.counts import counted
from cnntrain.core.errors import Mark
from cnntrain.core.registry import did_you_mean

_COUNTED = re.compile(r"\w{1,100}(\[\d{1,9}\])+", re.ASCII)  # "layers[0]"
_NUMBERED = re.compile(r"(\w{1,100})_(\d{1,9})", re.ASCII)  # "conv2d_2", as the network calls its second
_WORD = re.compile(r"[a-z]\w*", re.ASCII)


def override(tree: Map, text: str, number: int, problems: Problems) -> Map:
    """The tree with one override applied; what is wrong with it goes to `problems`. `number` counts from 1."""
    source = Source(SET, text, number)
    path, equals, _ = text.partition("=")
    if not equals:
        problems.add(source.mark(0, len(path)), f"expected KEY=VALUE, got {text[:40]!r}; write '=VALUE' right after it")
        return tree
    steps, column = [], 0
    for step in path.split("."):
        steps.append(Scalar(source.mark_at(column), step))
        column += len(step) + 1
    value = parse(Source(SET, text, number, skip=len(path) + 1), problems)
    if value is None:
        value = Scalar(source.mark_at(len(path) + 1), "")
    return _applied(tree, steps, value, problems)


def require_values(texts: Sequence[str]) -> None:
    """Raise ConfigError for overrides without a value, such as `--set optimizer.lr 0.1`, whose value went elsewhere."""
    problems = Problems()
    for number, text in enumerate(texts, 1):
        if "=" not in text:
            override(Map(Mark(SET, number, 1)), text, number, problems)
    problems.check()


def change(tree: Map, key: Scalar, value: Node, problems: Problems) -> Map:
    """The tree with `value` at the dotted path `key`, both of them written in another file."""
    return _applied(tree, [Scalar(key.where, step) for step in key.text.split(".")], value, problems)


def _applied(tree: Map, steps: list[Scalar], value: Node, problems: Problems) -> Map:
    if len(steps) > MAX_DEPTH:
        problems.add(steps[0].where, f"a path has at most {MAX_DEPTH} steps")
        return tree
    empty = next((step for step in steps if not step.text.strip()), None)
    if empty:
        problems.add(empty.where, "a step of the path is empty; write it as in train.epochs=3")
        return tree
    counted = next((step for step in steps if _COUNTED.fullmatch(step.text)), None)
    if counted:
        written = counted.text.replace("[", ".").replace("]", "")
        problems.add(counted.where, f"write {written} for {counted.text}: the number of an item is a step of its own")
        return tree
    changed = _Override(problems).replaced(tree, steps, value, "the config")
    return changed if isinstance(changed, Map) else tree


class _Override:
    def __init__(self, problems: Problems) -> None:
        self.problems = problems

    def replaced(self, node: Node | None, steps: list[Scalar], value: Node, name: str) -> Node:
        """`node`, called `name` in messages, with `value` at the end of the path `steps`."""
        if not steps:
            return value
        step, rest = steps[0], steps[1:]
        if isinstance(node, Broken):
            return node
        if isinstance(node, List):
            return self.in_list(node, step, rest, value, name)
        if node is None or (isinstance(node, Scalar) and node.plain and node.text in ("", "~", "null")):
            node = Map(step.where, reached=True)
        elif isinstance(node, Scalar) and _WORD.fullmatch(node.text):
            node = Map(node.where, {"type": Entry(node, node)})  # a bare `relu` is {type: relu}
        if not isinstance(node, Map):
            self.problems.add(step.where, f"{name} is a single value and has no {step.text[:40]!r}")
            return Broken(step.where)
        entry = node.entries.get(step.text)
        below = self.replaced(entry.value if entry else None, rest, value, step.text)
        entries = {**node.entries, step.text: Entry(entry.key if entry else step, below)}
        return Map(node.where, entries, node.reached)

    def in_list(self, node: List, step: Scalar, rest: list[Scalar], value: Node, name: str) -> Node:
        index = self.position(node, step, name)
        if index is None:
            return node
        items = list(node.items)
        items[index] = self.replaced(items[index], rest, value, f"{name}[{index}]")
        return List(node.where, tuple(items))

    def position(self, node: List, step: Scalar, name: str) -> int | None:
        """The index of the item that a step means, or None after reporting that there is none."""
        count = len(node.items)
        if re.fullmatch("[0-9]{1,9}", step.text):
            if int(step.text) < count:
                return int(step.text)
            self.problems.add(
                step.where, f"{name} has {counted(count, 'item')}, numbered from 0; there is no {step.text}"
            )
            return None
        names = {}
        for index, item in enumerate(node.items):
            called = item.get("name") if isinstance(item, Map) else None
            if isinstance(called, Scalar):
                names[called.text] = index
        if step.text not in names:
            unnamed = _as_numbered(node, step.text)
            if unnamed is not None:
                hint = f": the network gives it that name, the config none; write {name}.{unnamed}"
            else:
                hint = did_you_mean(step.text, names) if names else "; give its number, from 0"
            self.problems.add(step.where, f"no item of {name} has the name {step.text[:40]!r}{hint}")
        return names.get(step.text)


def _as_numbered(node: List, name: str) -> int | None:
    """The index of the layer that a network calls by its type and its ordinal in the list; None where there is none."""
    found = _NUMBERED.fullmatch(name)
    alike = [index for index, item in enumerate(node.items) if found and _nameless_type(item) == found[1]]
    ordinal = int(found[2]) if found else 0
    return alike[ordinal - 1] if 1 <= ordinal <= len(alike) else None


def _nameless_type(item: Node) -> str | None:
    """The type of a layer that has no name."""
    if isinstance(item, Map) and "name" not in item.entries:
        item = item.get("type") or item
    return item.text if isinstance(item, Scalar) else None
