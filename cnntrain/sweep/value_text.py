"""The text of a value is one line of YAML that reads as the same value."""

from __future__ import annotations

import json
import re

from cnntrain.config import scalars
from cnntrain.config.problems import Problems
from cnntrain.config.tree import List, Map, Node, Scalar, Source, parse

_PLAIN = re.compile(r"[A-Za-z0-9_.+/-]+", re.ASCII)  # what needs no quotes, in braces either


def read_value(key: Scalar, text: str) -> Node:
    """A value as a node again, which stands where its key stands."""
    problems = Problems()
    node = parse(Source(key.where.file, text), problems)
    problems.check()
    return Scalar(key.where, "null") if node is None else node


def to_text(node: Node) -> str:
    """A value as one line of YAML that reads as the same value."""
    if isinstance(node, List):
        return f"[{', '.join(map(to_text, node.items))}]"
    if isinstance(node, Map):
        return f"{{{', '.join(f'{to_text(entry.key)}: {to_text(entry.value)}' for entry in node.entries.values())}}}"
    assert isinstance(node, Scalar)
    if scalars.is_null(node):
        return "null"
    if node.plain and _PLAIN.fullmatch(node.text) and node.text != "-":
        return node.text
    return json.dumps(node.text, ensure_ascii=False)
