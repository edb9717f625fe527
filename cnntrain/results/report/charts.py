"""A chart is a description: lines, points, bars and texts over two axes, rendered by `svg.py` and `paper.py`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from cnntrain.core.display import Bars
from cnntrain.results.report import ticks
from cnntrain.results.report.ticks import Tick

SERIES = ("#2563eb", "#c2620a", "#0a7d59", "#c81e3a", "#7c3aed", "#0b7c93", "#b0277f", "#5a2d00")
INK, QUIET, LINE = "#1b2330", "#5d6778", "#dfe4ec"
VARIABLES = {INK: "ink", QUIET: "quiet", LINE: "line"} | {color: f"s{i}" for i, color in enumerate(SERIES)}
FEW = 3  # a curve of fewer points has dots

AxisScale = Literal["linear", "log"]


@dataclass(frozen=True)
class Curve:
    """Points joined by a line, with a name in the legend and one point that may be marked as the best.

    A `marked` curve has a dot at every point, as does by default one of few points; one that is not `joined` has
    only dots. The tip is what a page shows under the pointer, by default the curve's name.
    """

    x: Sequence[float]
    y: Sequence[float]
    color: str = SERIES[0]
    label: str = ""
    dashed: bool = False
    width: float = 1.8
    opacity: float = 1.0
    marked: bool | None = None
    joined: bool = True
    best: tuple[float, float] | None = None
    tip: str = ""

    @property
    def dotted(self) -> bool:
        """Whether every point has a dot; a single point would be invisible without."""
        return bool(self.marked) or len(self.x) < (FEW if self.marked is None else 2)


@dataclass(frozen=True)
class Band:
    """The area between two curves over the same places, in a faint colour."""

    x: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]
    color: str = SERIES[0]


@dataclass(frozen=True)
class Upright:
    """A vertical line at x, with a name in the legend."""

    x: float
    color: str = LINE
    label: str = ""


@dataclass(frozen=True)
class Remark:
    """A small text beside a point."""

    x: float
    y: float
    text: str


ChartItem = Curve | Band | Bars | Upright | Remark


@dataclass(frozen=True)
class ChartAxis:
    """An axis: its label, its range (None: that of the data), its scale, and ticks of its own."""

    label: str = ""
    low: float | None = None
    high: float | None = None
    scale: AxisScale = "linear"
    ticks: Sequence[Tick] | None = None
    lines: bool = True  # whether there is a line across at each tick
    whole: bool = False  # whether its ticks are at whole numbers, as those of epochs

    def marked(self, low: float, high: float, log: bool) -> list[Tick]:
        """Its ticks where it runs from `low` to `high`."""
        if self.ticks is not None:
            return [*self.ticks]
        between = ticks.logarithmic if log else ticks.whole if self.whole else ticks.linear
        return between(low, high)


@dataclass(frozen=True)
class Chart:
    """What it shows, in the order in which it is painted, and a sentence on what that means.

    Its curves are named in a legend inside it, or once on the page for several charts.
    """

    name: str  # of its PNG file
    title: str
    content: Sequence[ChartItem]
    x: ChartAxis = field(default_factory=ChartAxis)
    y: ChartAxis = field(default_factory=ChartAxis)
    square: bool = False
    legend: bool = True
    note: str = ""


def css(color: str) -> str:
    """The page's variable for a colour of charts."""
    return f"var(--{VARIABLES[color]})"
