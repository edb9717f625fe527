"""Scalars: which text means which value. The rules are YAML 1.2's core, read strictly.

A number is decimal, true and false are the only booleans, nothing is `null`, `~` or left out. What YAML 1.1 or a C
programmer might read into `010`, `1_000`, `yes` or `12:30` is refused, with the likely meaning as a hint.
"""

from __future__ import annotations

import math
import re

from cnntrain.config.tree import List, Node, Scalar

NULLS = frozenset(["", "~", "null", "Null", "NULL"])
TRUE = frozenset(["true", "True", "TRUE"])
FALSE = frozenset(["false", "False", "FALSE"])

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_NUMBER = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9]")
_WORD = re.compile(r"[A-Za-z_][\w./-]*", re.ASCII)
_YES, _NO = frozenset(["yes", "y", "on", "1"]), frozenset(["no", "n", "off", "0"])


def is_null(node: Node) -> bool:
    """Whether nothing is written."""
    return isinstance(node, Scalar) and node.plain and node.text in NULLS


def is_boolean(node: Scalar) -> bool:
    """Whether it is true or false."""
    return node.plain and (node.text in TRUE or node.text in FALSE)


def is_integer(node: Scalar) -> bool:
    """Whether it is a whole number in decimal digits."""
    return node.plain and _INTEGER.fullmatch(node.text) is not None


def is_number(node: Scalar) -> bool:
    """Whether it is a decimal number: `1`, `.5`, `1e-3`, also in quotes; `010` is not one, and neither is `nan`."""
    return _NUMBER.fullmatch(node.text) is not None and _LEADING_ZERO.match(node.text) is None


def is_ordinary_text(text: str) -> bool:
    """Whether every reader takes a text for a text without quotes."""
    return _WORD.fullmatch(text) is not None and text.lower() not in _YES | _NO | {"true", "false", "null"}


def quoted(text: str) -> str:
    """A text in quotes, in a message of one line: no more than its beginning where it is long."""
    return repr(text if len(text) <= 40 else text[:37] + "...")


def found(node: Node) -> str:
    """What stands at a place, for the end of a message."""
    if isinstance(node, Scalar):
        if is_null(node):
            return "nothing"
        if is_boolean(node) or (node.plain and is_number(node) and len(node.text) <= 40):
            return node.text
        return quoted(node.text)
    return f"a list of {len(node.items)}" if isinstance(node, List) else "a mapping"


def hint_integer(node: Node) -> str:
    """What a text that is not an integer probably meant, or nothing."""
    if not isinstance(node, Scalar) or len(node.text) > 40:
        return ""
    text = node.text.replace("_", "")
    if not _NUMBER.fullmatch(text) or not math.isfinite(value := float(text)) or not value.is_integer():
        return ""
    if abs(value) >= 2**53:
        return "; write all its digits"
    return f"; write {int(value)}" + ("" if node.plain else " without quotes")


def hint_number(node: Node) -> str:
    """What a text that is not a number probably meant, or nothing."""
    if isinstance(node, Scalar) and len(node.text) <= 40 and _NUMBER.fullmatch(text := node.text.replace("_", "")):
        return f"; write {float(text):g}"
    return ""


def hint_boolean(node: Node) -> str:
    """What a text that is neither true nor false probably meant, or nothing."""
    text = node.text.lower() if isinstance(node, Scalar) else ""
    if text in _YES | _NO | {"true", "false"}:
        return f"; write {'true' if text in _YES | {'true'} else 'false'}"
    return ""
