"""Letters take no column of a terminal, one or two, and some are written from right to left."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

_WIDE = ("W", "F")  # of Unicode's East Asian Width (UAX 11)
_NONE = ("Mn", "Me", "Cf")  # categories of what stands on or within its neighbour
_AS_EMOJI = "\ufe0f"  # after a symbol: its picture, which is wide
_FROM_RIGHT = ("R", "AL")  # of Unicode's bidirectional classes (UAX 9)
_ISOLATE, _END = "\u2068", "\u2069"


def columns(text: str) -> int:
    """How many columns a text takes on a terminal."""
    return sum(map(_columns, text, " " + text))


def _columns(letter: str, before: str) -> int:
    if " " <= letter <= "~":
        return 1
    if letter == _AS_EMOJI:
        return int(unicodedata.category(before) == "So" and unicodedata.east_asian_width(before) not in _WIDE)
    if unicodedata.category(letter) in _NONE or "\u1160" <= letter <= "\u11ff":  # vowels and ends within a Hangul
        return 0
    return 2 if unicodedata.east_asian_width(letter) in _WIDE else 1


def from_right(text: str) -> bool:
    """Whether some of the text is written from right to left, as Hebrew and Arabic are."""
    return any(unicodedata.bidirectional(letter) in _FROM_RIGHT for letter in text)


def isolated(name: str) -> str:
    """A name for use within a line of a page: if from right to left, it does not carry its neighbours along (UAX 9)."""
    return f"{_ISOLATE}{name}{_END}" if from_right(name) else name


def plain(text: str) -> str:
    """The text without what `isolated` puts around names."""
    return text.replace(_ISOLATE, "").replace(_END, "")


def pieces(text: str) -> list[str]:
    """The names that were `isolated` in a line, and what stands between them, in their order."""
    return [piece for piece in re.split(f"[{_ISOLATE}{_END}]", text) if piece]


def left(text: str, extent: int) -> str:
    """The text with spaces after it, `extent` columns wide or wider."""
    return text + " " * (extent - columns(text))


def right(text: str, extent: int) -> str:
    """The text with spaces before it, `extent` columns wide or wider."""
    return " " * (extent - columns(text)) + text


def cut(text: str, extent: int) -> str:
    """As much of the text's beginning as fits into `extent` columns."""
    return next(_parts(text, extent))


def shortened(text: str, extent: int) -> str:
    """The text, or if it takes more than `extent` columns its beginning and its end, which tell most names apart."""
    if columns(text) <= extent:
        return text
    end, room = "", (extent - 1) // 3
    for letter in reversed(text):
        if columns(letter + end) > room:
            break
        end = letter + end
    while end and not columns(end[0]):  # it belongs to the letter before
        end = end[1:]
    return f"{cut(text, extent - 1 - columns(end))}…{end}"


def wrapped(text: str, extent: int) -> list[str]:
    """The text as lines of at most `extent` columns, broken between words, or within those that are longer."""
    lines = [""]
    for word in text.split():
        *full, rest = _parts(word, extent)
        joined = f"{lines[-1]} {word}" if lines[-1] else word
        if columns(joined) <= extent:
            lines[-1] = joined
        else:
            lines += [*full, rest]
    return lines if lines[0] or len(lines) == 1 else lines[1:]


def _parts(word: str, extent: int) -> Iterator[str]:
    """A word in parts of at most `extent` columns, none of which begins with what belongs to the letter before."""
    start = 0
    for end in range(1, len(word)):
        if columns(word[start : end + 1]) > extent and columns(word[end]) > 0:
            yield word[start:end]
            start = end
    yield word[start:]
