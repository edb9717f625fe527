"""The reference section of the README, out of the registry; `python -m tests.regenerate` writes it.

What stands between the markers belongs to this script; a test fails while it is not what this would write.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cnntrain import registry
from cnntrain.advice import RULES
from cnntrain.config.catalogue import entry, keys

README = Path(__file__).parent.parent.parent / "README.md"
BEGIN, END = "<!-- reference: begin (python -m tests.support.reference) -->", "<!-- reference: end -->"
TITLES = {"models": "Ready models", "datasets": "Data sources"}


def section() -> str:
    """The reference, markers included."""
    return "\n".join([BEGIN, "", *_lines(), END])


def _lines() -> Iterator[str]:
    yield "What a key takes is said by `cnntrain list KIND NAME`; a key without a default is required."
    yield ""
    for kind in registry.KINDS:
        yield from _table(kind)
    yield "### Warnings"
    yield ""
    yield "`warnings: {ignore: [CODE]}` silences one."
    yield ""
    yield "| code | drawn when |"
    yield "|---|---|"
    yield from (f"| `{code}` | {rule.about} |" for code, rule in RULES.items())
    yield ""


def _table(kind: str) -> Iterator[str]:
    entries = [entry(part) for part in registry.own(kind).values()]
    yield f"### {TITLES.get(kind, kind.capitalize())}"
    yield ""
    for word, of in (
        (f"Every {registry.KINDS[kind]} also takes", "kind"),
        ("Where it stands, it may also say", "place"),
    ):
        shared = dict.fromkeys(key for one in entries for key in keys(one, of))
        if shared:
            yield f"{word}: {', '.join(f'`{key}`' for key in shared)}."
            yield ""
    yield "| name | keys | what it is |"
    yield "|---|---|---|"
    for one in entries:
        own = ", ".join(f"`{key}`" for key in keys(one))
        yield f"| [`{one['name']}`]({one['file']}) | {own} | {_escaped(one['meaning'])} |"
    yield ""


def _escaped(text: str) -> str:
    """A docstring's sentence within a table: nothing in it is Markdown but the backquotes."""
    for letter in "|*<_[]":
        text = text.replace(letter, "\\" + letter)
    parts = text.split("`")  # within backquotes only the bar needs its backslash
    parts[1::2] = [part.replace("\\", "").replace("|", "\\|") for part in parts[1::2]]
    return "`".join(parts)


def replaced(text: str) -> str:
    """The README with a fresh section; without markers it gets one at its end."""
    before, begin, rest = text.partition(BEGIN)
    if not begin:
        return f"{text.rstrip()}\n\n## Reference\n\n{section()}\n".lstrip()
    return before + section() + rest.partition(END)[2]


def content() -> bytes:
    """The README as it should be."""
    return replaced(README.read_text(encoding="utf-8")).encode()
