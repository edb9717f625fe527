"""Syntax is what makes a text YAML; where it is broken, this says how, in terms of the lines and not of a parser."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import yaml

_NO_SPACE = re.compile(r"^[ -]*([A-Za-z_]\w*):([^\s:/]\S{0,40})\s*(?:\s#.*)?$", re.ASCII)  # "lr:0.1", one word to YAML
_NO_COLON = re.compile(r"^[ -]*([A-Za-z_]\w*)(?: *= *| +)([^\s=:#][^:#]{0,40}?)\s*(?:#.*)?$", re.ASCII)  # "lr 0.1"
_NO_SPACE_AFTER_DASH = re.compile(r"^ *-(\w{1,40})", re.ASCII)  # "-relu"
_SILENT = re.compile(r"\s*(#.*)?$")
_CLOSING = {"[": "]", "{": "}"}
_TOKENS = {"<scalar>": "a text", "<stream end>": "the end of the file", "<block mapping start>": "a key"}


def mistake(lines: Sequence[str], error: yaml.MarkedYAMLError) -> tuple[int, int, str, list[str]]:
    """Line and column, from 0, of what is wrong with a text; what that is; and further notes."""
    place: Any = error.problem_mark or error.context_mark
    begun: Any = error.context_mark
    said = error.problem or error.context or ""
    notes: list[str] = []
    if "expected ':'" in said:  # the parser misses it where the next line begins
        return begun.line, begun.column, _no_key(lines[begun.line]), notes
    if error.context in ("while parsing a flow sequence", "while parsing a flow mapping"):
        place, said = _in_brackets(lines, place, begun)
    elif error.context == "while scanning a quoted scalar":
        place, said = begun, f"the {_sign(lines, begun)!r} that begins here is not closed; put one at the end"
    elif "'\\t'" in said:
        said = "a tab; write spaces" if lines[place.line][: place.column].strip() else "a tab; indent with spaces"
    elif told := _of_a_sign(lines, place, begun, said, error.context or ""):
        said = told
    elif "<block end>" in said:
        said = _misplaced(lines, place, begun)
    elif "mapping values are not allowed" in said:
        said = _no_place(lines, place)
    elif error.context and begun and begun.line != place.line:
        notes.append(f"({error.context}, which begins at line {begun.line + 1})")
    for token, words in _TOKENS.items():
        said = said.replace(f"'{token}'", words)
    near = lines[max(place.line - 1, 0) : place.line + 1]
    hint = next((found for line in reversed(near) if (found := _no_space(line))), None)
    return place.line, place.column, f"{said}; {hint}" if hint else said, notes


def _in_brackets(lines: Sequence[str], place: Any, begun: Any) -> tuple[Any, str]:
    """The place of a mistake between brackets or braces, and what it is; `begun` is where they open."""
    opening = _sign(lines, begun)
    closing = _CLOSING[opening]
    found = _sign(lines, place)
    if found and found in "]}":
        at = f"column {begun.column + 1}" if begun.line == place.line else f"line {begun.line + 1}"
        return place, f"a '{found}' where the '{opening}' of {at} asks for '{closing}'"
    if place.line != begun.line or not found:
        end = f"line {place.line + 1}" if found else "the end"
        wanted = f"its '{closing}', or a ',' between two entries, before {end}"
        return begun, f"the '{opening}' that begins here needs {wanted}"
    if found == ":":
        return place, "a second ': ' in one entry; put a ',' before its key"
    return place, f"expected ',' or '{closing}' before this"


def _of_a_sign(lines: Sequence[str], place: Any, begun: Any, said: str, context: str) -> str | None:
    """What is wrong with a sign that means something to YAML where a text was meant; None if that is not it."""
    found = _sign(lines, place)
    if "cannot start any token" in said:
        return f"a text cannot begin with {found!r}; put quotes around it"
    if context in ("while scanning an anchor", "while scanning an alias", "while scanning a directive"):
        sign = _sign(lines, begun)
        return f"a {sign!r} at the beginning of a text has a meaning of its own in YAML; put quotes around the text"
    if context == "while scanning a block scalar":
        return "'|' and '>' begin a text that follows below, in lines of its own; put quotes around a text of one line"
    if "escape" in said:
        return "in double quotes a \\ has a meaning of its own; use single ones, or write \\\\ for a \\"
    if "<document start>" in said:
        ended = any(line.startswith("...") for line in lines[: place.line])
        over = "a config ends at a line of '...'; remove that line" if ended else "the config is over before this"
        return _closed(lines, place) or over
    if "the node content" in said and found:
        return f"a {found!r} with nothing before it; remove it, or write what is missing"
    return None


def _closed(lines: Sequence[str], place: Any) -> str | None:
    """What is wrong with a sign that closes nothing, or goes on where all is closed; None if that is not it."""
    found, before = _sign(lines, place), lines[place.line][: place.column].rstrip()[-1:]
    if found and found in "]}":
        return f"a '{found}' that closes nothing; remove it, or write what it closes"
    if before and before in "'\"":
        return (
            f"a text goes on after its closing {before!r}; put quotes around all of it ('' is a ' within '...'), or "
            "close the one before"
        )
    return f"expected the end of the line after '{before}'" if before and before in "]}" else None


def _sign(lines: Sequence[str], place: Any) -> str:
    """The sign at a place; nothing at the end of a line or of the text."""
    return lines[place.line][place.column : place.column + 1] if place.line < len(lines) else ""


def _no_space(line: str) -> str | None:
    """What to do about a key whose value follows its colon at once, if a line is one."""
    found = _NO_SPACE.match(line)
    return found and f"put a space after the colon: '{found[1]}: {found[2]}'"


def _no_key(line: str) -> str:
    """What is wrong with a line that is neither a key nor an item of a list."""
    if found := _NO_SPACE_AFTER_DASH.match(line):
        return f"put a space after the dash: '- {found[1]}'"
    if hint := _no_space(line):
        return hint
    if "\uff1a" in line:
        return "write ': ' instead of the wide colon"
    found = _NO_COLON.match(line)
    meant = f", such as '{found[1]}: {found[2]}'" if found else ""
    return f"expected a key with ': ' after it{meant}, or '- ' before an item of a list"


def _misplaced(lines: Sequence[str], place: Any, block: Any) -> str:
    """What is wrong with a line at which a mapping or a list breaks off; `block` is where that begins."""
    if told := _closed(lines, place):
        return told
    if place.column != block.column:
        return _indented(lines, place.line)
    if lines[place.line].startswith("-", place.column):
        return f"an item of a list among the keys that begin at line {block.line + 1}; write all with '- ', or none"
    if _sign(lines, block) != "-":
        return "expected a key with ': ' after it"
    return (
        f"a key among the items of a list, which begins at line {block.line + 1}; begin it with '- ', or below the "
        "first letter of the item that it belongs to"
    )


def _no_place(lines: Sequence[str], place: Any) -> str:
    """What is wrong with a line that has a ': ' where none may be."""
    above = _above(lines, place.line)
    if above is not None and ": " not in lines[place.line][: place.column]:
        further = _begins(lines[place.line]) - _begins(lines[above])
        if further >= 0 and ":" not in lines[above]:
            return f"line {above + 1}, which this line goes on with, is no key: does it lack ': ', or this line '- '?"
        if further > 0:
            return _indented(lines, place.line)
    return "a ': ' where none may be; is a ':' missing before it, braces around several keys, or quotes around a text?"


def _indented(lines: Sequence[str], line: int) -> str:
    """Where a line begins, and where the one above it does; or, for an item of a list, the item above it."""
    item = _is_item(lines[line])
    above = _above(lines, line, items=item)
    item = item and above is not None
    above = _above(lines, line) if above is None else above
    columns = [_margin(text) if item else _begins(text) for text in (lines[line], lines[above or 0])]
    beside = "" if above is None else f", and line {above + 1} at column {columns[1] + 1}"
    return f"the line is indented otherwise than its neighbours: it begins at column {columns[0] + 1}{beside}"


def _above(lines: Sequence[str], line: int, items: bool = False) -> int | None:
    """The nearest line above that says something, or is an item of a list."""
    wanted = (n for n in range(line - 1, -1, -1) if not _SILENT.match(lines[n]) and (not items or _is_item(lines[n])))
    return next(wanted, None)


def _is_item(line: str) -> bool:
    return line.lstrip().startswith("-")


def _margin(line: str) -> int:
    return len(line) - len(line.lstrip())


def _begins(line: str) -> int:
    """The column, from 0, of the first letter of a line, or of its item of a list."""
    return len(line) - len(line.lstrip(" -"))
