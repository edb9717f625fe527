"""JSON as we write and read it: valid for every reader, and refused where two readers could disagree.

Numbers that are not finite are written as null, for JSON has no NaN; floats are written so that they come back as
they were. Reading refuses duplicate keys, NaN, numbers beyond their type and nesting deeper than any of ours.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, NoReturn

DEEPEST = 100
_LONGEST_INTEGER = 20  # characters: 64 bits and a sign


def encode(value: Any, indent: int | None = None) -> str:
    """ASCII, on one compact line or indented; keys stay in their order. NumPy scalars become the numbers they are."""
    separators = (",", ":") if indent is None else None
    return json.dumps(_finite(value), separators=separators, indent=indent, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def escaped(text: str) -> str:
    """A text with a file's name in it, in which bytes that are not UTF-8 are escaped: `decode` would refuse them."""
    return text.encode(errors="backslashreplace").decode()


def decode(text: str, names: bool = False) -> Any:
    """The value of a JSON text. Raises ValueError, in one line, for anything doubtful.

    With `names`, of files of this machine, their bytes that are not UTF-8 are allowed, as Python has them.
    """
    try:
        value = json.loads(
            text, object_pairs_hook=_unique, parse_float=_float, parse_int=_integer, parse_constant=_constant
        )
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON at character {error.pos}: {error.msg}") from error
    except RecursionError:
        raise ValueError("nested too deeply") from None
    _check_depth(value)
    if "\\u" in text:
        _check_text(value, "surrogateescape" if names else "strict")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("a number is too large")
    return value


def _integer(text: str) -> int:
    if len(text) > _LONGEST_INTEGER:
        raise ValueError("an integer is too large")
    return int(text)


def _constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(DEEPEST):
        containers = [item for item in level if isinstance(item, (dict, list))]
        if not containers:
            return
        level = [item for each in containers for item in (each.values() if isinstance(each, dict) else each)]
    raise ValueError("nested too deeply")


def _check_text(value: Any, errors: str) -> None:
    """Refuse halves of surrogate pairs, which no file or terminal could take."""
    try:
        json.dumps(value, ensure_ascii=False).encode(errors=errors)
    except UnicodeEncodeError:
        raise ValueError("a text holds half a character") from None
