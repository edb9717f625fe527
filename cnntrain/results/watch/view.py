"""A view is what the page shows of runs at a moment: sections by name, made from the runs' files."""

from __future__ import annotations

import base64
import binascii
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnntrain.config.tree import RESOLVED
from cnntrain.core.arrays import Array
from cnntrain.core.counts import counted
from cnntrain.core.display import Matrix
from cnntrain.core.errors import CnntrainError, UsageError, first_line
from cnntrain.results.report import curves, filters, matrix, overview, search, series, svg
from cnntrain.results.report.gallery import thumbnail
from cnntrain.results.report.html import Markup, duration, element, rate, section
from cnntrain.results.report.page import cards, warning
from cnntrain.results.report.pictures import caption
from cnntrain.rundir import pulse
from cnntrain.rundir.directory import LIVE
from cnntrain.rundir.history import Record, find_runs, read
from cnntrain.rundir.json_files import Row, read_object

_FILES = (RESOLVED, "metrics.jsonl", "timing.jsonl", "status.json", "data.json")
_MOST = 40  # lines in one chart; all runs are in the table
_LARGEST = 2**24  # values of an array in a live file

Stamp = tuple[tuple[int, int], ...]


class Views:
    """What there is to see of the runs at some paths; what has not changed is not read again."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        self._records: dict[Path, tuple[Stamp, Record]] = {}

    def sections(self, name: str = "") -> dict[str, str]:
        """The sections of the run of that name, or of the only run, else of all."""
        records, told = self._read()
        chosen = [record for record in records if str(record.path) == name] or (records if len(records) == 1 else [])
        if not records:
            return {"told": element("p", "No run has begun here yet.", class_="note"), **told}
        if chosen:
            found = _of_one(chosen[0])
            if len(records) > 1:
                back = Markup('<p><a href="#" data-run="">All runs</a></p>')
                return {"back": back, "name": element("h3", chosen[0].name), **told, **found}
            return told | found
        return told | self._of_all(records)

    def _read(self) -> tuple[list[Record], dict[str, str]]:
        """Every run that can be read, and what is wrong with the others."""
        found: list[Record] = []
        faults: list[str] = []
        for path in _runs(self._paths, lambda text: faults.append(warning(text))):
            try:
                found.append(self._record(path))
            except CnntrainError as error:
                faults.append(warning(f"{path}: {first_line(error)}"))
        return found, {"faults": "".join(faults)} if faults else {}

    def _record(self, path: Path) -> Record:
        stamp = tuple(_stamp(path / name) for name in _FILES)
        known = self._records.get(path)
        if known is None or known[0] != stamp:
            known = self._records[path] = (stamp, read(path))
        return known[1]

    def _of_all(self, records: Sequence[Record]) -> dict[str, str]:
        states = [record.state for record in records]
        counted = [(state, f"{states.count(state)}") for state in dict.fromkeys(states)]
        links = element(
            "ul",
            *(
                element("li", element("a", element("bdi", record.name), href="#", data_run=str(record.path)))
                for record in records
            ),
            class_="runs",
        )
        several = series.series_of(records)
        newest = sorted(several, key=_news)[-_MOST:]
        shown = [one for one in several if one in newest]
        note = curves.note_of(shown)
        if len(several) > _MOST:
            note += f" Only the {_MOST} lines with the latest news are shown."
        return {
            "cards": cards([("runs", f"{len(records)}"), *counted]),
            "searches": "".join(self._searches()),
            "curves": section("Curves", series.legend(shown), svg.grid(curves.charts_of(shown)), note=note),
            "table": overview.of_several(records),
            "seeds": overview.of_seeds(several),
            "runs": section("One by one", links),
        }

    def _searches(self) -> list[str]:
        try:
            return [part for one in search.searches(self._paths) for part in search.markup(one)]
        except CnntrainError as error:
            return [warning(first_line(error))]


def _news(one: series.Series) -> int:
    """When a run of a series last said anything."""
    return max(_stamp(record.path / "metrics.jsonl")[0] for record in one.records)


def _runs(paths: Sequence[Path], warn: Callable[[str], None]) -> list[Path]:
    """The runs at these paths so far; `warn` is told where one may not look."""
    found: list[Path] = []
    for path in paths:
        try:
            found += find_runs([path], warn)
        except UsageError:  # none yet
            continue
        except CnntrainError as error:
            warn(str(error))
    return list(dict.fromkeys(found))


def _stamp(path: Path) -> tuple[int, int]:
    """Changes when a file does."""
    try:
        found = os.stat(path)
    except OSError:
        return (0, 0)
    return (found.st_mtime_ns, found.st_size)


def _of_one(record: Record) -> dict[str, str]:
    live, fault = _live(record.path)
    total = record.start.get("total_steps")
    step = max([live.get("step", 0), *(row["step"] for row in (record.steps[-1:] + record.epochs[-1:]))])
    share = step / total if isinstance(total, int) and total else 0.0
    state = record.state
    running = state in ("running", "silent")
    found = {"state": _told(record, state)}
    if running:
        speed = live.get("images_per_second", record.timing[-1]["images_per_second"] if record.timing else None)
        found |= {"images a second": rate(speed) if speed else "–", "left": duration(_left(record, live, step))}
    for name, value in overview.figures(record).items():
        if name not in found and not (running and name == "parameters"):
            found[name.replace("final", "last") if running else name] = value
    progress = element("div", element("i", style=f"width:{100 * min(share, 1):.2f}%"), class_="progress")
    place = f"step {step:,}" + (f" of {total:,}" if isinstance(total, int) else "")
    charts = svg.grid(curves.charts(record))
    nothing = element("p", "The first numbers come after train.log_every steps.", class_="note")
    return {
        "cards": cards([*found.items()]),
        "progress": section("Progress", progress, note=place),
        "curves": section("Curves", charts or nothing, note="A dot marks the best epoch, whose weights are kept."),
        "live": fault or _batch(live),
        "filters": "" if fault else _filters(live),
        "confusion": "" if fault else _confusion(live, record),
        "hint": "" if live or not running else element(
            "p", "Start training with --watch to see batches, filters and the confusion matrix, too.", class_="note"
        ),
    }  # fmt: skip


def _told(record: Record, state: str) -> str:
    """A state in words, with how long a run that trains, or may train, has not said anything."""
    silence = pulse.silence(record.path)
    if silence <= pulse.LONG or state not in ("running", "silent"):
        return state
    return f"silent for {duration(silence)}" if state == "silent" else f"running, silent for {duration(silence)}"


def _left(record: Record, live: Row, step: int) -> float | None:
    """Seconds until the end, as far as one can tell."""
    if isinstance(live.get("seconds_left"), float | int):
        return float(live["seconds_left"])
    total, per_epoch = record.start.get("total_steps"), record.start.get("steps_per_epoch")
    if not record.timing or not isinstance(total, int) or not isinstance(per_epoch, int):
        return None
    return float(record.timing[-1]["seconds"]) * (total - step) / per_epoch


# -- the live file, which a stranger may have written ----------------------------------------------------------------


def _live(path: Path) -> tuple[Row, str]:
    """What the live file says, and what is wrong with it."""
    try:
        live = read_object(path / LIVE)
        kinds = {"step": int, "epoch": int, "images_per_second": float | int, "seconds_left": float | int}
        for key, kind in kinds.items() if live else ():
            if not isinstance(live.get(key), kind) or not math.isfinite(live[key]):
                raise ValueError(key)
    except CnntrainError as error:
        return {}, warning(first_line(error))
    except ValueError as error:
        return {}, warning(f"{path / LIVE} is damaged: {error}")
    return live, ""


def _array(packed: Any, kind: str) -> Array:
    """An array of 3 or 4 axes from a JSON object. Raises ValueError where it is none."""
    try:
        shape, data = packed["shape"], packed["data"]
        if packed["type"] != kind or len(shape) not in (3, 4) or not all(type(n) is int and n > 0 for n in shape):
            raise ValueError("another kind of array")
        if math.prod(shape) > _LARGEST:
            raise ValueError("too large")
        return np.frombuffer(base64.b64decode(data, validate=True), kind).reshape(shape)
    except (KeyError, TypeError, binascii.Error) as error:
        raise ValueError("no array") from error


def _batch(live: Row) -> str:
    packed = live.get("batch")
    if packed is None:
        return ""
    try:
        pictures = _array(packed, "|u1")
        captions = [str(text)[:80] for text in packed["captions"]]
        if len(captions) != len(pictures) or (pictures.ndim == 4 and pictures.shape[3] != 3):
            raise ValueError
    except (ValueError, KeyError, TypeError):
        return warning("The live file's batch is damaged")
    figures = [caption(thumbnail(one if one.ndim == 3 else one[..., None]), text, text)
               for one, text in zip(pictures, captions, strict=True)]  # fmt: skip
    note = f"Samples of step {live['step']:,} as the network saw them: augmented, normalized, stretched in brightness."
    return section("Last batch", element("div", *figures, class_="thumbs sharp"), note=note)


def _filters(live: Row) -> str:
    packed = live.get("filters")
    if packed is None:
        return ""
    try:
        weights = _array(packed, "<f4")
        if weights.ndim != 4 or not np.isfinite(weights).all():
            raise ValueError
        name, count = str(packed["name"])[:80], weights.shape[-1]
    except (ValueError, KeyError, TypeError):
        return warning("The live file's filters are damaged")
    meaning = "in colour, gray being 0" if weights.shape[2] == 3 else "red where they add, blue where they subtract"
    picture = filters.markup(weights, f"{counted(count, 'filter')} of {name}")
    return section("First filters", picture, note=f"{name}: {meaning}.", half=True)


def _confusion(live: Row, record: Record) -> str:
    rows, names = live.get("confusion"), record.data.get("classes")
    if rows is None or not isinstance(names, list):
        return ""
    try:
        counts = np.array(rows, np.int64)
        if counts.shape != (len(names),) * 2 or counts.min() < 0:
            raise ValueError
    except (ValueError, TypeError, OverflowError):
        return warning("The live file's confusion matrix is damaged")
    shown = Matrix("confusion", "confusion", counts, tuple(str(name) for name in names))
    note = "Of the last validation: a row for each class, in the columns of what it was taken for."
    return section("Confusion", matrix.markup(shown), note=note, half=True)
