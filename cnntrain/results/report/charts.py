"""A chart is rendered by Matplotlib, as SVG that takes its colours from the page, or as PNG for a paper.

Matplotlib is the extra `report`; without it `available` says so, and a page does without charts.
"""

from __future__ import annotations

import importlib.util
import io
import logging
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cnntrain.core.errors import MissingExtraError
from cnntrain.core.extras import install
from cnntrain.results.report.html import Markup, element

SERIES = ("#2563eb", "#c2620a", "#0a7d59", "#c81e3a", "#7c3aed", "#0b7c93", "#b0277f", "#5b6472")
INK, QUIET, LINE = "#1b2330", "#5d6778", "#dfe4ec"
VARIABLES = {INK: "ink", QUIET: "quiet", LINE: "line"} | {color: f"s{i}" for i, color in enumerate(SERIES)}
WIDTH, HEIGHT = 4.4, 2.75  # inches; at 100 to the inch this fits a phone and half a desktop

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "figure.dpi": 100,
    "font.size": 9.5,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "axes.edgecolor": LINE,
    "axes.labelcolor": QUIET,
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.8,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "text.color": INK,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
    "legend.frameon": False,
    "legend.fontsize": 9,
    "path.simplify": True,
}


@dataclass(frozen=True)
class Chart:
    """A chart that is still to be rendered: `render` is given a Matplotlib Axes."""

    name: str  # of its PNG file
    title: str
    render: Callable[[Any], None]
    square: bool = False


def available() -> bool:
    """Whether Matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def require() -> None:
    """Raise MissingExtraError unless charts can be rendered."""
    if not available():
        raise MissingExtraError(f"charts need Matplotlib. Install it with: {install('report')}")


def grid(charts: Sequence[Chart]) -> Markup:
    """Charts side by side as the page is wide; nothing where they cannot be rendered."""
    if not charts or not available():
        return Markup()
    return element("div", *(element("figure", svg(chart), class_="chart") for chart in charts), class_="charts")


def svg(chart: Chart) -> Markup:
    """The chart as SVG to stand in a page: equal charts give equal text, and colours are the page's variables."""
    text = _rendered(chart, "svg", 100).decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'<g id="[^"]*">', "<g>", text)
    text = re.sub(r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', _opening(chart), text, count=1)
    text = re.sub(r"font: ([\d.]+px|bold [\d.]+px|\d+ [\d.]+px) [^;\"]*", r"font: \1 var(--font)", text)
    for color, name in VARIABLES.items():
        text = text.replace(color, f"var(--{name})")
    return Markup("\n".join(line.rstrip() for line in text.splitlines()))


def _opening(chart: Chart) -> str:
    return rf'<svg viewBox="\1" role="img" aria-label="{re.escape(chart.title)}">'.replace(r"\ ", " ")


def png(chart: Chart) -> bytes:
    """The chart as a PNG file of 300 dots to the inch."""
    return _rendered(chart, "png", 300)


def _rendered(chart: Chart, form: str, dpi: int) -> bytes:
    require()
    os.environ["MPLBACKEND"] = "agg"  # which renders into files; whatever was there is read, and may be no backend
    logging.getLogger("matplotlib").addHandler(logging.NullHandler())  # of a matplotlibrc that it does not like
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # the library's own, not those of a matplotlibrc in the working directory
        matplotlib.rcParams.update(_STYLE | {"svg.hashsalt": chart.name})
        figure = Figure(figsize=(WIDTH, WIDTH if chart.square else HEIGHT), layout="constrained")
        figure.patch.set_alpha(0.0 if form == "svg" else 1.0)
        axes = figure.add_subplot()
        axes.patch.set_alpha(0.0)
        axes.set_title(chart.title, pad=10)
        chart.render(axes)
        file = io.BytesIO()
        metadata = {"Date": None, "Creator": None} if form == "svg" else {"Software": None}
        figure.savefig(file, format=form, dpi=dpi, metadata=metadata)
    return file.getvalue()
