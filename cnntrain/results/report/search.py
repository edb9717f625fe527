"""The search that runs belong to: its best trials, what mattered, and where the good values lie."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path

from cnntrain.core.errors import StorageError
from cnntrain.results.report import svg
from cnntrain.results.report.charts import Chart, ChartAxis, ChartItem, Curve, Remark, Upright
from cnntrain.results.report.html import Markup, number, section, table
from cnntrain.rundir.json_files import Row, read_object

FILE = "search.json"
_MOST = 20  # trials that get a row
_MOST_KEYS = 8  # keys that get an axis


def searches(paths: Sequence[Path]) -> list[Row]:
    """The results of the searches in these folders; none of what one may not look into, where runs are left out, too.

    Raises StorageError where a file is damaged.
    """
    return [_checked(path / FILE, read_object(path / FILE)) for path in paths if os.path.isfile(path / FILE)]


def markup(search: Row) -> list[Markup]:
    """The sections of a search."""
    judged = _judged(search)
    keys = [key["key"] for key in search["keys"]]
    rows = [
        [one["number"], *map(one["settings"].get, keys), one["state"], one["epoch"], number(one["value"])]
        for one in judged[:_MOST]
    ]
    header = ["trial", *keys, "state", "epochs", search["metric"]]
    left = f" All {len(judged)} are in {FILE}." if len(judged) > _MOST else ""
    note = f"Best first; paused trials can be resumed.{left}"
    shares = search["importances"]
    mattered = [[key, f"{share:.0%}"] for key, share in sorted(shares.items(), key=lambda item: -item[1])]
    return [
        section(f"Search {search['name']}", table(header, rows, right={0, len(keys) + 2, len(keys) + 3}), note=note),
        section(
            "What mattered",
            table(["key", "share"], mattered, right={1}),
            note="How much each key contributes to telling good trials from others (PED-ANOVA).",
        ),
        section(
            "Where the good values lie",
            svg.grid(charts_of(search)),
            note="A point or a line is a trial, the darker the better. Paused trials are judged where they paused.",
        ),
    ]


def charts_of(search: Row) -> list[Chart]:
    """A chart that crosses all keys, and one for each key."""
    judged = _judged(search)
    if not judged:
        return []
    keys = search["keys"][:_MOST_KEYS]
    metric = search["metric"]
    found = [_parallel(keys, judged, metric)]
    return found + [_slice(f"search-{index}", key, judged, metric) for index, key in enumerate(keys)]


def _judged(search: Row) -> list[Row]:
    """The trials that have a value, the best first; those that trained for longer before those that were paused."""
    known = [one for one in search["trials"] if one["value"] is not None]
    sign = -1 if search["larger"] else 1
    return sorted(known, key=lambda one: (one["state"] != "finished", -(one["epoch"] or 0), sign * one["value"]))


def _positions(key: Row, trials: Sequence[Row]) -> tuple[list[float], list[tuple[float, str]]]:
    """Where each trial stands on the axis of a key, from 0 to 1, and the axis's ticks."""
    texts = [str(one["settings"].get(key["key"], "")) for one in trials]
    if not key["number"]:
        known = sorted(set(texts), key=_order)
        places = {text: (index + 0.5) / len(known) for index, text in enumerate(known)}
        return [places[text] for text in texts], [(place, text[:16]) for text, place in places.items()]
    scale = math.log if key["log"] else float
    values = [scale(float(text)) for text in texts]
    low, high = min(values), max(values)
    wide = (high - low) or 1.0
    ends = {text: (value - low) / wide for text, value in zip(texts, values, strict=True) if value in (low, high)}
    return [(value - low) / wide for value in values], [(place, text) for text, place in ends.items()]


def _order(text: str) -> tuple[float, str]:
    """Numbers by size, then texts by letter."""
    try:
        return float(text), text
    except ValueError:
        return math.inf, text


def _shade(rank: int, count: int) -> float:
    return 1.0 - 0.85 * rank / max(count - 1, 1)


def _parallel(keys: Sequence[Row], trials: Sequence[Row], metric: str) -> Chart:
    """Parallel coordinates: an axis for each key and one for the metric, a line for each trial."""
    columns = [_positions(key, trials) for key in keys]
    values = [one["value"] for one in trials]
    low, high = min(values), max(values)
    wide = (high - low) or 1.0
    columns.append(([(value - low) / wide for value in values], [(0.0, f"{low:.4g}"), (1.0, f"{high:.4g}")]))
    found: list[ChartItem] = []
    for rank in reversed(range(len(trials))):
        places = [column[rank] for column, _ in columns]
        found.append(Curve([*range(len(columns))], places, width=1.2, opacity=_shade(rank, len(trials))))
    for x, (_, ticks) in enumerate(columns):
        found += [Upright(x), *(Remark(x, place, text) for place, text in ticks)]
    names = [*(key["key"].rpartition(".")[2] for key in keys), metric]
    axis = ChartAxis(low=-0.1, high=len(columns) - 0.6, ticks=[*enumerate(names)], lines=False)
    return Chart("search", "All keys", found, axis, ChartAxis(low=-0.05, high=1.1, ticks=[], lines=False))


def _slice(name: str, key: Row, trials: Sequence[Row], metric: str) -> Chart:
    """The metric over one key, a point for each trial."""
    texts = [str(one["settings"].get(key["key"], "")) for one in trials]
    if key["number"]:
        xs, axis = [float(text) for text in texts], ChartAxis(key["key"], scale="log" if key["log"] else "linear")
    else:
        known = sorted(set(texts), key=_order)
        xs = [float(known.index(text)) for text in texts]
        ticks = [(float(place), text[:16]) for place, text in enumerate(known)]
        axis = ChartAxis(key["key"], -0.5, len(known) - 0.5, ticks=ticks, lines=False)
    found = [
        Curve([xs[rank]], [trials[rank]["value"]], joined=False, opacity=_shade(rank, len(trials)))
        for rank in reversed(range(len(trials)))
    ]
    return Chart(name, f"{metric} over {key['key']}", found, axis, ChartAxis(metric))


def _checked(path: Path, search: Row) -> Row:
    """The document, with everything that is shown checked for its form. Raises StorageError."""
    try:
        keys, trials = search["keys"], search["trials"]
        good = isinstance(search["name"], str) and isinstance(search["metric"], str)
        good &= all(isinstance(key["key"], str) for key in keys)
        good &= all(isinstance(share, float | int) for share in search["importances"].values())
        for one in trials:
            value, epoch, settings = one["value"], one["epoch"], one["settings"]
            good &= value is None or (isinstance(value, float | int) and math.isfinite(value))
            good &= epoch is None or isinstance(epoch, int)
            good &= isinstance(one["number"], int) and isinstance(one["state"], str)
            for key in keys:
                text = settings[key["key"]]
                good &= not key["number"] or (math.isfinite(float(text)) and (not key["log"] or float(text) > 0))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StorageError(f"{path} is damaged: {error!r}. Run the sweep again, which writes it anew") from error
    if not good:
        raise StorageError(f"{path} is damaged: a value has the wrong type. Run the sweep again, which writes it anew")
    return search
