"""SVG is how a page shows a chart: equal charts give equal text, and colours are the page's, light or dark."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from cnntrain.core import letters
from cnntrain.core.display import Bars
from cnntrain.results.report.charts import Band, Chart, ChartAxis, ChartItem, Curve, Upright, css
from cnntrain.results.report.html import Markup, element

WIDTH, HEIGHT = 400, 255  # of a chart, in pixels of the page where it is not made smaller
_LETTER, _WIDE = 6.3, 11.5  # pixels of a letter of 11 pixels on average, and of one of Chinese or an emoji
_TITLE, _ROW, _FOOT = 26, 17, 20  # heights: of the title, of a row of the legend or of labels, of the axis' ticks
_MARGIN = 0.05  # of the range of the data, beyond it
_LONGEST = 34  # columns of a name in the legend
_LARGEST = 1e305  # that an axis reaches
_FINE = 2  # points to a pixel that are worth drawing


def grid(charts: Sequence[Chart]) -> Markup:
    """Charts side by side, as many as the page is wide enough for."""
    if not charts:
        return Markup()
    return element("div", *map(_figure, charts), class_="charts")


def _figure(chart: Chart) -> Markup:
    """A chart with what it means below it."""
    told = element("figcaption", chart.note) if chart.note else ""
    return element("figure", rendered(chart), told, class_="chart")


def rendered(chart: Chart) -> Markup:
    """The chart as an <svg> element."""
    height = WIDTH if chart.square else HEIGHT
    legend, rows = _legend(chart.content, WIDTH) if chart.legend else ([], 0)
    x = _Scale(chart.x, [value for what in chart.content for value in _values(what, 0)], tight=True)
    y = _Scale(chart.y, [value for what in chart.content for value in _values(what, 1)])
    left = max([_length(text) for _, text in y.ticks], default=0) + 10 + (_ROW if chart.y.label else 0)
    top, bottom = _TITLE + rows * _ROW, height - _FOOT - (_ROW if chart.x.label else 0)
    x.span, y.span = (left, WIDTH - 10.0), (bottom, top + 6.0)
    inside = "".join(_shape(what, x, y) for what in chart.content)
    names = [
        _text(0, 14, chart.title, "ink", weight=650, size=13),
        *legend,
        *_ticks(x, y, chart),
        *_labels(chart, x, y),
    ]
    frame = [_n(value) for value in (left - 5, top, WIDTH - left + 5, bottom - top + 3)]
    size = dict(zip(("x", "y", "width", "height"), frame, strict=True))
    clip = element("svg", Markup(inside), **size, viewBox=" ".join(frame))
    return element(
        "svg", *names, clip, viewBox=f"0 0 {WIDTH} {height}", role="img", aria_label=chart.title,
        font_family="var(--font)", font_size="11",
    )  # fmt: skip


class _Scale:
    """An axis: where values lie along it, and its ticks. `span` is where it begins and ends on the page."""

    def __init__(self, axis: ChartAxis, values: Sequence[float], tight: bool = False) -> None:
        log = axis.scale == "log"
        known = [value for value in values if math.isfinite(value) and (value > 0 or not log)]
        self.log = log and bool(known)
        low, high = (min(known), max(known)) if known else (0.0, 1.0)
        room = 0.0 if tight and not self.log else _MARGIN * (high - low)
        if self.log:
            low, high = low / (high / low) ** _MARGIN, min(high * (high / low) ** _MARGIN, _LARGEST)
        else:
            low, high = low - room, high + room
        self.low = low if axis.low is None else axis.low
        self.high = high if axis.high is None else axis.high
        if self.high <= self.low:
            wide = abs(self.low) * 0.1 or 1.0
            self.low, self.high = (self.low / 2, self.low * 2) if self.log else (self.low - wide, self.low + wide)
        self.span = (0.0, 1.0)
        self.ticks = axis.marked(self.low, self.high, self.log)

    def place(self, value: float) -> float:
        """Where a value lies on the page."""
        low, high = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        at = math.log(max(value, self.low * 1e-9)) if self.log else value
        share = (at - low) / (high - low)
        return self.span[0] + share * (self.span[1] - self.span[0])


def _values(what: ChartItem, axis: int) -> Sequence[float]:
    """The values that an axis has to reach."""
    if isinstance(what, Curve):
        return [*(what.x, what.y)[axis], *(what.best[axis : axis + 1] if what.best else ())]
    if isinstance(what, Band):
        return [*what.low, *what.high] if axis else what.x
    if isinstance(what, Bars):
        return [0.0, *what.heights.tolist()] if axis else [*what.left.tolist(), *(what.left + what.width).tolist()]
    return [what.x] if axis == 0 else []


def _shape(what: ChartItem, x: _Scale, y: _Scale) -> str:
    if isinstance(what, Curve):
        return _curve(what, x, y)
    if isinstance(what, Band):
        there = [*zip(what.x, what.high, strict=True), *zip(what.x[::-1], what.low[::-1], strict=True)]
        path = "L".join(f"{_n(x.place(a))} {_n(y.place(b))}" for a, b in there)
        return element("path", d=f"M{path}z", fill=css(what.color), fill_opacity="0.14")
    if isinstance(what, Bars):
        bars = zip(what.left.tolist(), (what.left + what.width).tolist(), what.heights.tolist(), strict=True)
        ends = [(x.place(left), x.place(right), y.place(top)) for left, right, top in bars]
        path = "".join(f"M{_n(a)} {_n(y.span[0])}V{_n(top)}H{_n(b)}V{_n(y.span[0])}z" for a, b, top in ends)
        return element("path", d=path, fill="var(--s0)", fill_opacity="0.55", stroke="var(--card)")
    if isinstance(what, Upright):
        line = f"M{_n(x.place(what.x))} {_n(y.span[0])}V{_n(y.span[1])}"
        return element("path", d=line, stroke=css(what.color), stroke_width="1.2")
    return _text(x.place(what.x) + 3, y.place(what.y) - 3, what.text, "quiet", size=9)


def _curve(curve: Curve, x: _Scale, y: _Scale) -> str:
    points = [(x.place(a), y.place(b)) for a, b in zip(curve.x, curve.y, strict=True) if math.isfinite(b)]
    color, found = css(curve.color), ""
    opacity = None if curve.opacity == 1 else f"{curve.opacity:.3g}"
    tip = element("title", curve.tip or curve.label) if curve.tip or curve.label else ""
    if curve.joined and len(points) > 1:
        line = "M" + "L".join(f"{_n(a)} {_n(b)}" for a, b in _thinned(points))
        found += element(
            "path", tip, d=line, fill="none", stroke=color, stroke_width=f"{curve.width:g}", stroke_linejoin="round",
            stroke_linecap="round", stroke_dasharray="5 3" if curve.dashed else None, stroke_opacity=opacity,
        )  # fmt: skip
    if curve.dotted or not curve.joined:
        found += "".join(element("circle", tip, cx=_n(a), cy=_n(b), r="2.6", fill=color, fill_opacity=opacity)
                         for a, b in points)  # fmt: skip
    if curve.best:
        a, b = curve.best
        found += element("circle", tip, cx=_n(x.place(a)), cy=_n(y.place(b)), r="4", fill=color)
    return found


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Points thinned to what can be seen: the lowest and the highest within a pixel's width."""
    if len(points) <= _FINE * WIDTH:
        return points
    found: list[tuple[float, float]] = []
    for _, some in itertools.groupby(points, key=lambda point: int(point[0])):
        group = list(some)
        ends = {group.index(pick(group, key=lambda point: point[1])) for pick in (min, max)}
        found += [group[index] for index in sorted(ends)]
    return found


def _ticks(x: _Scale, y: _Scale, chart: Chart) -> list[Markup]:
    """Grid lines and labels at the ticks; no label overlaps its neighbour."""
    found = []
    (left, right), (bottom, top) = x.span, y.span
    for value, text in y.ticks:
        at = y.place(value)
        if chart.y.lines and top - 1 <= at <= bottom + 1:
            found.append(element("path", d=f"M{_n(left)} {_n(at)}H{_n(right)}", stroke="var(--line)"))
        if top - 6 <= at <= bottom + 6:
            found.append(_text(left - 6, at + 4, text, "quiet", anchor="end"))
    found.append(element("path", d=f"M{_n(left)} {_n(bottom)}H{_n(right)}", stroke="var(--line)"))
    free = -math.inf
    for value, text in x.ticks:
        at, half = x.place(value), _length(text) / 2
        if left - 1 <= at <= right + 1 and at - half > free:
            middle = min(max(at, half), WIDTH - half)
            found.append(_text(middle, bottom + 15, text, "quiet", anchor="middle"))
            free = at + half + 4
    return found


def _labels(chart: Chart, x: _Scale, y: _Scale) -> list[Markup]:
    """What the axes are called."""
    (left, right), (bottom, top) = x.span, y.span
    found = []
    if chart.x.label:
        found.append(_text((left + right) / 2, bottom + _FOOT + 12, chart.x.label, "quiet", anchor="middle"))
    if chart.y.label:
        middle = (bottom + top) / 2
        turned = f"rotate(-90 11 {_n(middle)})"
        found.append(_text(11, middle, chart.y.label, "quiet", anchor="middle", transform=turned))
    return found


def _legend(content: Sequence[ChartItem], width: float) -> tuple[list[Markup], int]:
    """The names of curves under the title, in as many rows as they need; and how many these are."""
    found, at, row = [], 0.0, 0
    for what in content:
        if not isinstance(what, Curve | Upright) or not what.label:
            continue
        name = letters.shortened(what.label, _LONGEST)
        long = _length(name) + 36
        if at and at + long > width:
            at, row = 0.0, row + 1
        y = _TITLE + row * _ROW + 3
        dashes = "5 3" if isinstance(what, Curve) and what.dashed else None
        line = f"M{_n(at)} {_n(y)}h16"
        found.append(element("path", d=line, stroke=css(what.color), stroke_width="2", stroke_dasharray=dashes))
        found.append(_text(at + 21, y + 4, name, "ink"))
        at += long
    return found, row + 1 if found else 0


def _text(
    x: float, y: float, text: str, color: str, anchor: str | None = None, size: int | None = None,
    weight: int | None = None, transform: str | None = None,
) -> Markup:  # fmt: skip
    """A line of text; each name keeps its own direction of writing."""
    return element(
        "text", text, x=_n(x), y=_n(y), fill=f"var(--{color})", text_anchor=anchor, font_size=size, font_weight=weight,
        transform=transform, style="unicode-bidi:plaintext",
    )  # fmt: skip


def _length(text: str) -> float:
    """The approximate length of a text, in pixels."""
    columns = [letters.columns(letter) for letter in text]
    return columns.count(2) * _WIDE + columns.count(1) * _LETTER


def _n(value: float) -> str:
    """A number, to a tenth of a pixel."""
    text = f"{value:.1f}"
    return text.removesuffix(".0")
