"""Charts for a paper are PNG files of 300 dots to the inch, made by Matplotlib: the extra `report`.

`available` says whether it is there. Pages do without: see svg.py.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cnntrain.core.display import Bars
from cnntrain.core.errors import MissingExtraError
from cnntrain.core.extras import install
from cnntrain.core.letters import columns, shortened
from cnntrain.reading.fonts import Lettering, has, opened
from cnntrain.results.report.charts import INK, LINE, QUIET, SERIES, Band, Chart, ChartItem, Curve, Remark, Upright

WIDTH, HEIGHT = 4.4, 2.75  # inches
_STYLE: dict[Any, Any] = {
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
}
_SIZE = 10  # of the font in which letters are looked up
_ROW = 0.19  # height of a line of the legend, in inches
_MOST_COLUMNS = 3  # of a legend
_ACROSS, _HANDLE = 50, 7  # letters that a legend has room for, and those for the piece of line before a name
_TOGETHER = 54  # letters of several names in a row, which are of average width on the whole
_CAPITAL = 1.5  # letters that a capital may take
_LONGEST = _ACROSS - _HANDLE  # letters of a name in it


@dataclass(frozen=True)
class Painting:
    """What pages show in another form: `render` is given Matplotlib's axes."""

    name: str
    title: str
    render: Callable[[Any], None]
    height: float = HEIGHT  # inches; it is WIDTH wide


def available() -> bool:
    """Whether Matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def require() -> None:
    """Raise MissingExtraError unless PNG files can be made."""
    if not available():
        raise MissingExtraError(f"PNG files need Matplotlib. Install it with: {install('report')}")


def lettering() -> Lettering:
    """What can be written here: Matplotlib brings DejaVu Sans, and from 3.11 on writes from right to left, too."""
    matplotlib = _library()
    font = opened(f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf", _SIZE)
    ordered = tuple(map(int, matplotlib.__version__.split(".")[:2])) >= (3, 11)
    return Lettering(lambda letter: font is not None and has(font, letter), ordered, _SIZE)


def _library() -> Any:
    """Matplotlib, imported free of outside settings. Raises MissingExtraError where it is not installed.

    The backend is left to others in this process, such as a notebook, and to its children: files need none.
    """
    require()
    logging.getLogger("matplotlib").addHandler(logging.NullHandler())  # no complaints about a matplotlibrc
    if "matplotlib" not in sys.modules and (backend := os.environ.pop("MPLBACKEND", "")):
        try:
            import matplotlib
        finally:
            os.environ["MPLBACKEND"] = backend
        with contextlib.suppress(ValueError):  # it may not be a backend at all, which an import would fail for
            matplotlib.rcParams["backend"] = backend
    import matplotlib

    return matplotlib


def png(chart: Chart | Painting, letters: Lettering | None = None) -> bytes:
    """The chart as a PNG file of 300 dots to the inch; `letters` records those that are written as numbers."""
    letters, matplotlib = letters or lettering(), _library()
    from matplotlib.figure import Figure

    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # the library's own, not those of a matplotlibrc in the working directory
        matplotlib.rcParams.update(_STYLE)
        figure = Figure(figsize=(WIDTH, _height(chart)), layout="constrained")
        axes = figure.add_subplot()
        axes.patch.set_alpha(0.0)
        axes.set_title(chart.title, pad=10)
        if isinstance(chart, Painting):
            chart.render(axes)
        else:
            _fill(axes, chart)
        _write(figure, letters)
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=300, metadata={"Software": None})
    return file.getvalue()


def _write(figure: Any, letters: Lettering) -> None:
    """Give every text the fonts that it needs, and numbers for letters that no font has."""
    from matplotlib import font_manager
    from matplotlib.text import Text

    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        texts = [label.get_text() for label in axis.get_majorticklabels()]
        written = [letters.written(text) for text in texts]
        if written != texts:  # an axis would set them again when it is drawn
            axis.set_ticklabels(written)
    for text in figure.findobj(Text):
        parts = letters.parts(text.get_text())
        text.set_text("".join(part for part, _ in parts))
        further = dict.fromkeys(str(font.path) for _, font in parts if font is not None)
        for path in further:
            font_manager.fontManager.addfont(path)
        names = [font_manager.get_font(path).family_name for path in further]
        if names:
            text.set_fontfamily(["DejaVu Sans", *names])


def _height(chart: Chart | Painting) -> float:
    """Inches from top to bottom, with room for the further rows of a legend, so that curves keep their height."""
    if isinstance(chart, Painting):
        return chart.height
    rows = _rows(_labels(chart))
    return WIDTH if chart.square else HEIGHT + (_ROW * rows if rows > 1 else 0.0)


def _labels(chart: Chart) -> list[str]:
    """The names in the legend."""
    return [what.label for what in chart.content if isinstance(what, Curve | Upright) and what.label]


def _fill(axes: Any, chart: Chart) -> None:
    for what in chart.content:
        _plot(axes, what)
    for axis, of in ((chart.x, "x"), (chart.y, "y")):
        if axis.scale == "log":
            getattr(axes, f"set_{of}scale")("log")
        getattr(axes, f"set_{of}label")(axis.label)
        getattr(axes, f"set_{of}lim")(axis.low, axis.high)
        low, high = getattr(axes, f"get_{of}lim")()
        found = [tick for tick in axis.marked(low, high, axis.scale == "log") if low <= tick[0] <= high]
        size = {"fontsize": 7.5} if axis.ticks is not None else {}
        getattr(axes, f"set_{of}ticks")([place for place, _ in found], [text for _, text in found], **size)
        if not axis.lines:
            axes.grid(axis=of, visible=False)
    axes.minorticks_off()
    _name_curves(axes, chart.legend, _labels(chart))


def _plot(axes: Any, what: ChartItem) -> None:
    if isinstance(what, Bars):
        axes.bar(what.left, what.heights, what.width, align="edge", color=SERIES[0], edgecolor=LINE, alpha=0.55)
    elif isinstance(what, Band):
        axes.fill_between(what.x, what.low, what.high, color=what.color, alpha=0.14, linewidth=0)
    elif isinstance(what, Upright):
        axes.axvline(what.x, color=what.color, linewidth=1.2, label=what.label or None)
    elif isinstance(what, Remark):
        place = {"xytext": (2, 2), "textcoords": "offset points"}
        axes.annotate(what.text, (what.x, what.y), fontsize=7, color=QUIET, **place)
    else:
        style: Any = (0, (4, 2)) if what.dashed else "-"
        look = {"color": what.color, "alpha": what.opacity, "label": what.label or None, "linewidth": what.width}
        look |= {
            "linestyle": style if what.joined else "none",
            "marker": "o" if what.dotted or not what.joined else None,
            "markersize": 3.5,
            "clip_on": not what.dotted,  # a dot on the border is whole
        }
        axes.plot(what.x, what.y, **look)
        if what.best:
            axes.plot(*what.best, marker="o", color=what.color, markersize=6, markeredgewidth=0, clip_on=False)


def _name_curves(axes: Any, painted: bool, labels: Sequence[str]) -> None:
    """The legend, between title and curves, where it hides none; in the order painted, or in reverse, best first."""
    if not labels:
        return
    place = {"loc": "lower left", "bbox_to_anchor": (0, 1.0), "borderaxespad": 0}
    handles, names = axes.get_legend_handles_labels()
    names = [shortened(name, _LONGEST) for name in names]
    order = 1 if painted else -1
    axes.legend(handles[::order], names[::order], ncols=_columns(labels), handlelength=1.4, columnspacing=1.2, **place)
    axes.set_title(axes.get_title("left"), pad=10 + 14 * _rows(labels))


def name_colours(axes: Any, entries: Sequence[tuple[str, tuple[int, int, int]]], top: float) -> None:
    """A legend from `top` down, at the axes' left, of patches in these colours of red, green and blue."""
    from matplotlib.patches import Patch

    if entries:
        patches = [Patch(color=(r / 255, g / 255, b / 255), label=name) for name, (r, g, b) in entries]
        place: Any = {"loc": "upper left", "bbox_to_anchor": (0, top), "bbox_transform": axes.transData}
        axes.legend(
            handles=patches, ncols=_columns([name for name, _ in entries]), fontsize=7, borderaxespad=0, **place
        )


def _columns(labels: Sequence[str]) -> int:
    """In how many columns the legend stands: as many as there is room for."""
    wide = [_HANDLE + sum(_CAPITAL if letter.isupper() else columns(letter) for letter in label) for label in labels]
    if len(labels) <= _MOST_COLUMNS and sum(wide) <= _TOGETHER:
        return len(labels)
    return max(1, min(len(labels), _MOST_COLUMNS, int(_ACROSS / max(wide))))


def _rows(labels: Sequence[str]) -> int:
    """In how many rows it stands."""
    return -(-len(labels) // _columns(labels)) if labels else 0
