"""Charts as SVG: everything lies where its numbers say, nothing runs, and names stay what they are."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from cnntrain.core.display import Bars
from cnntrain.results.report.charts import Chart, ChartAxis, Curve, Remark, Upright
from cnntrain.results.report.svg import HEIGHT, WIDTH, rendered

SVG = "{http://www.w3.org/2000/svg}"


def tree(chart: Chart) -> ElementTree.Element:
    return ElementTree.fromstring(rendered(chart).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1))


def points(path: ElementTree.Element) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"([\d.-]+) ([\d.-]+)", path.get("d"))]


def curve(root: ElementTree.Element) -> ElementTree.Element:
    return root.find(f"{SVG}svg/{SVG}path")


def places(root: ElementTree.Element, axis: str) -> dict[str, float]:
    """Where the ticks with these texts stand."""
    along = {"x": "middle", "y": "end"}[axis]
    return {t.text: float(t.get(axis)) for t in root.findall(f"{SVG}text") if t.get("text-anchor") == along}


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_a_curve_passes_through_its_numbers(scale):
    """Measured between two ticks, whose numbers are known, a point lies where its value does."""
    y = [0.02, 3.0, 0.5]
    root = tree(Chart("a", "loss", [Curve([0, 5, 10], y)], ChartAxis(low=0.0), ChartAxis(scale=scale)))
    across, up = places(root, "x"), places(root, "y")
    of = math.log if scale == "log" else float
    (low, a), (high, b) = ((float(text), at - 4) for text, at in [*up.items()][:2])
    for (px, py), x, value in zip(points(curve(root)), [0, 5, 10], y, strict=True):
        assert px == pytest.approx(across["0"] + (across["10"] - across["0"]) * x / 10, abs=4)
        assert py == pytest.approx(a + (b - a) * (of(value) - of(low)) / (of(high) - of(low)), abs=0.3)


@pytest.mark.parametrize(
    "values", [[5.0], [0.0, 0.0], [1e-9, 3e-9], [1e12, -3e12], [math.nan, 1.0], [0.1, 0.2, 0.3], [-1e-300, 1e300]]
)
@pytest.mark.parametrize("scale", ["linear", "log"])
def test_any_numbers_have_a_chart(values, scale):
    content = [
        Curve([*range(len(values))], values, label="v", best=(0, 1.0)),
        Bars(np.zeros(1), np.ones(1), 0.5),
        Upright(0.2),
    ]
    text = rendered(Chart("a", "t", content, y=ChartAxis(scale=scale)))
    assert "nan" not in text.replace("</title", "")
    assert "inf" not in text
    root = tree(Chart("a", "t", content, y=ChartAxis(scale=scale)))
    for tick in root.findall(f"{SVG}text"):
        assert 0 <= float(tick.get("x")) <= WIDTH
        assert 0 <= float(tick.get("y")) <= HEIGHT


def test_a_hundred_thousand_points_keep_their_peaks_in_a_few_kilobytes():
    y = [math.sin(i / 50) for i in range(100_000)]
    y[43_210] = 9.0
    text = rendered(Chart("a", "t", [Curve([*range(100_000)], y)]))
    assert len(text) < 20_000
    found = points(curve(tree(Chart("a", "t", [Curve([*range(100_000)], y)]))))
    assert min(py for _, py in found) < 60


NAMES = [
    "<script>alert(1)</script>",
    "a & b",
    "\x1b[31mred",
    "שלום\u202e",
    "👩\u200d🔬",
    "停车停车停车停车停车停车停车",
    "x" * 300,
]


def test_names_of_strangers_are_text_and_stay_within_the_chart():
    content = [Curve([0, 1], [0, 1], label=name) for name in NAMES]
    root = tree(Chart("a", NAMES[0], [*content, Remark(0, 0, NAMES[0])], ChartAxis(NAMES[0]), ChartAxis(NAMES[1])))
    assert {node.tag.removeprefix(SVG) for node in root.iter()} <= {"svg", "path", "text", "title", "circle"}
    texts = [node.text for node in root.iter(f"{SVG}text")]
    assert {NAMES[0], NAMES[1], NAMES[3], NAMES[4], NAMES[5]} <= set(texts)
    assert "␛[31mred" in texts  # which no text of a page may hold
    assert max(map(len, texts)) <= 34
    rows = [node for node in root.findall(f"{SVG}text") if node.text in texts[1 : len(NAMES) + 1]]
    assert all(float(node.get("x")) < WIDTH for node in rows)


def test_equal_charts_are_equal_texts_of_the_pages_colours():
    chart = Chart("a", "t", [Curve([0, 1], [0, 1])])
    assert rendered(chart) == rendered(chart)
    assert re.findall(r"#[0-9a-f]{6}", rendered(chart)) == []
