"""HTML as text, from which a report is made. All text of a run is escaped here, since strangers may have written it."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Collection, Sequence
from typing import Any

from cnntrain.core.figures import figure

_SHOWN = {
    code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n\r"
}  # what HTML cannot hold, as its symbol

_COLUMNS = 5  # of a table that fit on a phone
_WHOLE = 10  # a second, from which on no fraction is shown


class Markup(str):
    """Text that is HTML already."""


def escape(value: Any) -> str:
    """A value as HTML text; markup stays what it is."""
    return value if isinstance(value, Markup) else html.escape(str(value).translate(_SHOWN))


def element(tag: str, *content: Any, **attributes: Any) -> Markup:
    """`element("td", 3, class_="n")`; an attribute that is None is left out, and `_` in its name becomes `-`."""
    named = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{html.escape(str(value).translate(_SHOWN))}"'
        for name, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{tag}{named}>{''.join(map(escape, content))}</{tag}>")


def section(title: str, *content: Any, note: str = "", half: bool = False) -> Markup:
    """A part of the page under a heading, with a sentence that says how to read it; nothing without content.

    A `half` one stands beside its neighbour where the page is wide.
    """
    if not any(content):
        return Markup()
    told = element("p", note, class_="note") if note else ""
    return element("section", element("h2", title), told, *content, class_="half" if half else None)


def folded(title: str, *content: Any) -> Markup:
    """Details that most readers skip, behind a line to click on."""
    return element("details", element("summary", title), *content) if any(content) else Markup()


def table(
    header: Sequence[str], rows: Sequence[Sequence[Any]], right: Collection[int] = (), wide: bool = False
) -> Markup:
    """A table; columns in `right` are flush right.

    On a phone, the cells of a `wide` table, or of one with more columns than fit, stand below each other, each with the
    name of its column.
    """
    many = wide or len(header) > _COLUMNS
    names = [re.sub("<[^>]*>", "", escape(name)) for name in header]

    def row(tag: str, cells: Sequence[Any]) -> Markup:
        found = [
            element(
                tag, cell, class_="n" if i in right else None, data_name=Markup(names[i]) if labelled(tag, i) else None
            )
            for i, cell in enumerate(cells)
        ]
        return element("tr", *found)

    def labelled(tag: str, column: int) -> bool:
        return many and tag == "td" and column > 0

    if not rows:
        return Markup()
    head = element("thead", row("th", [*map(breakable, header)])) if any(header) else ""
    body = element("tbody", *(row("td", cells) for cells in rows))
    kind = "wide many" + " few" * (len(header) <= _COLUMNS) if many else "wide"
    return element("div", element("table", head, body), class_=kind)


def breakable(name: Any) -> Markup:
    """The name of a column, which a narrow page may break after "/", "_" or ".": val_average/accuracy."""
    return name if isinstance(name, Markup) else Markup(re.sub(r"([/_.])", r"\1<wbr>", escape(name)))


def unbroken(text: str) -> Markup:
    """A text whose numbers with an exponent are not broken at its sign at the end of a line: 4.6e-06."""
    return Markup(re.sub(r"-?\d[\d.]*e-\d+", r'<span class="whole">\g<0></span>', escape(text)))


def number(value: Any, form: str = "") -> str:
    """A number for people, by default as a figure; a dash where there is none."""
    absent = value is None or (isinstance(value, float) and not math.isfinite(value))
    return "–" if absent else format(value, form) if form else figure(value)


def rate(value: float) -> str:
    """So many a second, for people: "1,055", "3.2", "0.25"."""
    return f"{value:,.0f}" if value >= _WHOLE else f"{value:.2g}"


def duration(seconds: float | None) -> str:
    """Seconds for people: "41.3 s", "3 min 20 s", "2 h 05 min"."""
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"
