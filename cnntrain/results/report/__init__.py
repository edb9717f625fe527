"""A report is one HTML file about one run or several: how training went, what the network learned and gets wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cnntrain
from cnntrain.core.console import Console
from cnntrain.core.display import Section
from cnntrain.core.errors import CheckpointError, DataError, OutOfMemoryError, UsageError, first_line
from cnntrain.core.output import PAGE, PICTURE, Output
from cnntrain.results.report import (
    curves,
    evaluation,
    filters,
    gradcam,
    overview,
    paper,
    search,
    sections,
    series,
    settings,
    svg,
)
from cnntrain.results.report.charts import Chart
from cnntrain.results.report.html import Markup, element, section
from cnntrain.results.report.judged import Judged, judging
from cnntrain.results.report.page import page, spread, warning
from cnntrain.results.report.paper import Painting
from cnntrain.results.report.pictures import png
from cnntrain.rundir.history import Record, read_all

FILE = "report.html"
_MOST = 10  # runs that are shown in full
_NAMED = 4  # paths under the title
_UNJUDGED = (CheckpointError, DataError, OutOfMemoryError)  # what leaves a report without an evaluation


@dataclass(frozen=True)
class Wish:
    """What a report is to show: the split to judge on, where the data lies now, and how."""

    split: str | None = None  # by default val, else test, else train
    sets: tuple[str, ...] = ()
    threads: int | None = None
    png: bool = False  # every chart as a PNG beside it as well


def write(paths: Sequence[Path], output: Path | None = None, wish: Wish | None = None) -> dict[str, Any]:
    """Write the report of some runs and return what `report --json` prints.

    It goes to report.html in the run directory, or for several runs in the working directory. A run that cannot be
    judged, because its data or checkpoint is gone, is named in the report and under "warnings". Raises UsageError where
    there is no run, MissingExtraError for PNG without Matplotlib, StorageError, also for a file of another kind that
    would be replaced.
    """
    wish = wish or Wish()
    if wish.png:
        paper.require()
    left_out: list[str] = []
    records = read_all(paths, left_out.append)
    ours = output is None and len(records) == 1
    place = Output(output or (records[0].path if ours else Path()) / FILE, PAGE, ours)
    if wish.png and place.is_stream:
        raise UsageError(f"--png writes pictures beside the page, but {place.path} is no file. Name one with --output")
    told = _Told(paths, records, wish)
    text = told.page()
    place.write(text)  # before its pictures, whose names are known only now, so that no judging is lost
    charts = told.files() if wish.png else {}
    pictures = [(Output(place.path.with_name(f"{name}.png"), PICTURE, ours), data) for name, data in charts.items()]
    for picture, data in pictures:
        picture.write(data)
    return {
        "report": str(place.path),
        "runs": [str(record.path) for record in records],
        "png": [str(picture.path) for picture, _ in pictures],
        "warnings": left_out + told.warnings,
    }


def page_of(paths: Sequence[Path], warn: Callable[[str], None] | None = None) -> str:
    """The HTML of the report of some runs; `warn` is told of those left out, and prints if it is None.

    Raises UsageError where there is no run.
    """
    return _Told(paths, read_all(paths, warn or Console("none").warn), Wish()).page()


class _Told:
    """A report in the making, with its charts and its warnings."""

    def __init__(self, paths: Sequence[Path], records: Sequence[Record], wish: Wish) -> None:
        searches = search.searches(paths)
        self.paths = paths
        self.records, self.wish, self.searches = records, wish, searches
        self.warnings: list[str] = []
        self.series = series.series_of(records) if len(records) > 1 else []
        self.curves: list[Chart] = curves.charts_of(self.series) if self.series else curves.charts(records[0])
        self.charts: list[Chart | Painting] = [
            *self.curves,
            *(chart for one in searches for chart in search.charts_of(one)),
        ]
        self.pictures: dict[str, bytes] = {}  # PNG files besides those of the charts, by name

    def files(self) -> dict[str, bytes]:
        """The PNG files beside the page, by their names."""
        letters = paper.lettering()
        found = {chart.name: paper.png(chart, letters) for chart in self.charts} | self.pictures
        if letters.numbers:
            self.warnings.append(letters.missing("PNG files"))
        return found

    def page(self) -> str:
        names = series.legend(self.series) if self.series else ""
        training = section("Training", names, svg.grid(self.curves), note=self._legend())
        if len(self.records) == 1:
            (record,) = self.records
            title, body = str(record.config["name"]), [overview.of_one(record), training, *self._details(record)]
        else:
            title = f"{len(self.records)} runs"
            body = [overview.of_several(self.records), overview.of_seeds(self.series), training]
            body += [self._folded(record) for record in series.best_first(self.records)[:_MOST]]
            if len(self.records) > _MOST:
                text = f"The {_MOST} best are shown one by one. For another, make a report of that run alone."
                body.append(element("p", text, class_="note"))
        paths = ", ".join(map(str, self.paths if len(self.paths) <= _NAMED else [*self.paths[:_NAMED], "…"]))
        told = [warning(text) for text in self.warnings]
        found = [part for one in self.searches for part in search.markup(one)]
        return page(title, paths, *told, *found, *body, footer=f"cnntrain {cnntrain.__version__}")

    def _legend(self) -> str:
        if len(self.records) == 1:
            return "A dot marks the best epoch, whose weights are kept."
        return curves.note_of(self.series)

    def _folded(self, record: Record) -> Markup:
        """Everything about one of several runs, to be unfolded."""
        told = spread(overview.of_one(record), *self._details(record))
        return element("details", element("summary", element("bdi", record.name)), told)

    def _keep(self, judged: Judged, told: Sequence[Section]) -> None:
        """Keep the charts of a single run, besides its curves, that become PNG files."""
        self.charts += sections.charts(told, judged)
        first_layer = filters.weights_of(judged.trained)
        if first_layer is not None:
            self.pictures["filters"] = png(filters.rendered(first_layer[1]))

    def _details(self, record: Record) -> list[Markup]:
        """What is said about each run alone."""
        return [*self._judged(record), settings.of(record)]

    def _judged(self, record: Record) -> Iterator[Markup]:
        """The sections that need the network and its data."""
        wish = self.wish
        try:
            with judging(record, wish.split, wish.sets, wish.threads, self.warnings.append) as judged:
                yield evaluation.of(judged)
                told = judged.trained.network.task.report(judged.evaluation)
                yield from (sections.markup(part, judged) for part in told)
                yield gradcam.of(judged)
                yield filters.of(judged.trained)
                if wish.png and len(self.records) == 1:
                    self._keep(judged, told)
        except _UNJUDGED as error:
            if wish.split:  # a split that is named is wanted, or the reason why it is missing
                raise
            self.warnings.append(f"{record.name} is not judged: {first_line(error)}")
