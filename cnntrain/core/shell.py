"""A shell takes the commands that messages recommend: a path in them is one word, printable, and never an option."""

from __future__ import annotations

import os
import shlex


def word(path: str | os.PathLike[str]) -> str:
    r"""A path as one types it: quoted where need be, a leading "-" as "./-".

    What cannot be printed goes by its bytes, in the form that Bash, Zsh and POSIX since 2024 have for that: $'a\012b'.
    """
    text = os.fspath(path)
    if text.startswith("-"):
        text = f"./{text}"
    return shlex.quote(text) if text.isprintable() else f"$'{''.join(map(_letter, text))}'"


def _letter(letter: str) -> str:
    if letter in "\\'":
        return f"\\{letter}"
    return letter if letter.isprintable() else "".join(f"\\{byte:03o}" for byte in os.fsencode(letter))
