"""The task's own sections of a report: each description of what to show, as markup and as charts."""

from __future__ import annotations

from collections.abc import Sequence

from cnntrain.core.display import Gallery, Matrix, Percentage, Plot, Section, Table
from cnntrain.results.report import gallery, matrix, plot
from cnntrain.results.report.charts import Chart
from cnntrain.results.report.html import Markup, element, folded, section, table
from cnntrain.results.report.judged import Judged
from cnntrain.results.report.paper import Painting
from cnntrain.results.report.svg import grid


def markup(shown: Section, judged: Judged) -> Markup:
    """A section as it stands in the page."""
    plots = [what for what in shown.content if isinstance(what, Plot)]
    content = [grid([plot.chart(what) for what in plots])]
    content += [piece for what in shown.content for piece in _pieces(what, judged)]
    return section(shown.title, *content, note=shown.note, half=shown.half)


def charts(shown: Sequence[Section], judged: Judged) -> list[Chart | Painting]:
    """Everything in these sections that can be rendered for a paper."""
    found = [_chart(what, judged) for part in shown for what in part.content]
    return [chart for chart in found if chart is not None]


def _pieces(what: Table | Plot | Matrix | Gallery, judged: Judged) -> list[Markup]:
    """One item; for a plot, whose chart stands in the grid above, only its numbers, folded away."""
    if isinstance(what, Table):
        return [folded(what.title, _table(what)) if what.title else _table(what)]
    if isinstance(what, Matrix):
        return [matrix.markup(what)]
    if isinstance(what, Gallery):
        return [gallery.markup(what, judged)]
    return [folded("Numbers", _table(what.numbers))] if what.numbers else []


def _chart(what: Table | Plot | Matrix | Gallery, judged: Judged) -> Chart | Painting | None:
    if isinstance(what, Plot):
        return plot.chart(what)
    if isinstance(what, Matrix):
        return matrix.chart(what)
    return gallery.chart(what, judged) if isinstance(what, Gallery) else None


def _table(shown: Table) -> Markup:
    rows = [[_bar(cell) if isinstance(cell, Percentage) else cell for cell in row] for row in shown.rows]
    return table(shown.header, rows, right=shown.right)


def _bar(share: Percentage) -> Markup | str:
    """A share with a bar under it; a dash where there is nothing to take a share of."""
    if share.value is None:
        return "–"
    return element("span", f"{share.value:.4f}", class_="bar", style=f"--p:{share.value:.4f}")
