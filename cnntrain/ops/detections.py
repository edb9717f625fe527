"""Detections of a split beside the truth: how each class fares, and what was missed or made up, for a report."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnntrain.core.arrays import Array
from cnntrain.core.boxes import COUNTED, original, placed
from cnntrain.core.description import Description
from cnntrain.core.display import Bars, Gallery, Line, Percentage, Plot, Section, Table
from cnntrain.core.errors import printable
from cnntrain.core.letters import isolated
from cnntrain.ops.average_precision import RECALLS, THRESHOLDS, Comparison, Found, Truth, interpolated
from cnntrain.ops.boxes import areas, overlaps

_GALLERY = 12  # pictures
_SIDES = (0, 8, 16, 32, 64, 96, 128, 256, 512)  # pixels, bounds of the histogram of sizes
_NAMED = 6  # lines of classes with names and colours
_AROUND = 1.0  # of the larger side of a fault, shown on each side of it


@dataclass(frozen=True)
class Fault:
    """One box that was missed, or made up: of the picture at this position, of this class, in pixels of the original.

    `score` is that of a box made up; for one missed, the highest of its class that overlaps it by 0.5 and was not
    shown, 0 where nothing does.
    """

    position: int
    label: int
    box: Array
    score: float


class Detections:
    """What was found in the pictures of a split, and what is there: all that follows, computed when it is asked for."""

    def __init__(self, judged: Array, data: Description, shown: float) -> None:
        """`judged` has the rows that `Detect.kept` makes; what has the score `shown` or more is shown to people."""
        self.rows, self.classes, self.shown = judged, data.classes, shown

    @functools.cached_property
    def comparison(self) -> Comparison:
        """Everything found beside everything there, in pixels of the originals."""
        return compared(self.rows, len(self.classes))

    @functools.cached_property
    def faults(self) -> list[tuple[list[Fault], list[Fault]]]:
        """The boxes missed in each picture, and those made up, at an overlap of 0.5 among those shown."""
        return [
            _faults(position, found, truth, self.shown)
            for position, (found, truth) in enumerate(zip(self.comparison.found, self.comparison.truth, strict=True))
        ]

    @property
    def mistakes(self) -> Array:
        """Positions of the pictures with faults, the most first."""
        total = np.array([len(missed) + len(made_up) for missed, made_up in self.faults], np.int64)
        order = np.argsort(-total, kind="stable")
        return order[total[order] > 0]

    def sections(self, split: str) -> list[Section]:
        """Precision over recall, how each class fares, the sizes of boxes, single faults, and the worst pictures."""
        return [self._curves(), self._classes(), self._sizes(), *self._single(), self._mistakes(split)]

    def _classes(self) -> Section:
        """A row for each class."""
        rows = []
        for row in per_class(self.comparison, self.classes):
            shares = [Percentage(row[key]) for key in ("ap", "ap50", "voc_ap50", "best_f1")]
            score = "–" if row["at_score"] is None else f"{row['at_score']:.3f}"
            rows.append([row["class"], f"{row['boxes']:,}", *shares, score])
        head = ["class", "boxes", "AP", "AP50", "AP50 of VOC", "best F1", "from score"]
        note = (
            "AP: average precision, the mean over overlaps of 0.50 to 0.95 as in COCO; AP50: at 0.5. The best F1 "
            "at an overlap of 0.5 is reached by keeping what has the score beside it, or a higher one. Shown below is "
            f"what has a score of {self.shown:g} or more."
        )
        return Section("Classes", [Table(head, rows, right={1, 2, 3, 4, 5, 6})], note)

    def _curves(self) -> Section:
        """Precision over recall of every class at an overlap of 0.5."""
        found = []
        for label, name in enumerate(self.classes):
            matches = self.comparison.matches(label, least=THRESHOLDS[:1])
            if matches.wanted:
                found.append((printable(name), interpolated(*matches.curve(0))))
        rows = [[name, *(f"{value:.3f}" for value in precision[::20])] for name, precision in found]
        head = ["class", *(f"{recall:.1f}" for recall in RECALLS[::20])]
        numbers = Table(head, rows, right=set(range(1, 7)))
        worst = sorted(range(len(found)), key=lambda k: found[k][1].mean())[:_NAMED]
        quiet = [Line(RECALLS, precision) for k, (_, precision) in enumerate(found) if k not in worst]
        lines = quiet + [Line(RECALLS, found[k][1], name=found[k][0]) for k in sorted(worst)]
        title = "precision over recall"
        plot = Plot("precision_recall", title, ("recall", "precision"), ((0, 1), (0, 1.02)), lines, numbers)
        note = "A line for each class, at an overlap of 0.5." + f" The {_NAMED} worst are named." * bool(quiet)
        return Section("Precision and recall", [plot], note, half=True)

    def _sizes(self) -> Section:
        """How many true boxes there are of which size, and what share of them was found."""
        sides, hit = [np.empty(0)], [np.empty(0, bool)]
        for found, truth in zip(self.comparison.found, self.comparison.truth, strict=True):
            real = truth.roles == COUNTED
            seen = from_score(found, self.shown)
            near = overlaps(truth.boxes[real].astype(np.float64), seen.boxes.astype(np.float64))
            same = truth.labels[real][:, None] == seen.labels[None]
            sides.append(np.sqrt(areas(truth.boxes[real])))
            hit.append((same & (near >= THRESHOLDS[0])).any(axis=1))
        place = np.searchsorted(_SIDES, np.concatenate(sides), side="right") - 1
        counts = np.bincount(place, minlength=len(_SIDES))
        shares = np.bincount(place, np.concatenate(hit), minlength=len(_SIDES)) / np.maximum(counts, 1)
        words = [*(f"{a} to {b}" for a, b in itertools.pairwise(_SIDES)), f"{_SIDES[-1]} and more"]
        there = np.flatnonzero(counts)
        rows: list[list[str | Percentage]] = [
            [words[i], f"{counts[i]:,}", Percentage(float(shares[i]))] for i in there.tolist()
        ]
        numbers = Table(["pixels", "boxes", "found"], rows, right={1, 2})
        limits = (int(there.min()), int(there.max()) + 1) if len(there) else (0, len(_SIDES))
        plots = [
            Plot(
                name,
                f"{title} by size",
                ("pixels", title),
                (limits, (0, 1.02 * top)),
                [Bars(there * 1.0, height[there], 1.0)],
                table,
                [(place, str(side)) for place, side in enumerate(_SIDES)],
            )
            for name, title, height, top, table in (
                ("sizes", "boxes", counts * 1.0, max(1, int(counts.max())), None),
                ("found_by_size", "share found", shares, 1, numbers),
            )
        ]
        note = (
            "The size of a box is the square root of its area. It is found if a box of its class "
            f"overlaps it by 0.5, from a score of {self.shown:g} on."
        )
        return Section("Sizes", plots, note)

    def _single(self) -> list[Section]:
        """The boxes that were missed worst, and the surest of those that are not there."""
        missed = sorted((fault for lost, _ in self.faults for fault in lost), key=lambda f: (f.score, -areas(f.box)))
        made_up = sorted((fault for _, false in self.faults for fault in false), key=lambda f: -f.score)
        beside = "in the middle: the true boxes, and beside them those found."
        lost = [(f"{self._name(f)} missed", *([f"found with {f.score:.2f}"] if f.score else [])) for f in missed]
        false = [(f"{self._name(f)} {f.score:.2f} made up",) for f in made_up]
        return [
            Section(
                "Worst misses",
                [self._gallery("misses", "worst misses", missed, lost)],
                f"What was missed is {beside}" * bool(missed),
            ),
            Section(
                "Worst false alarms",
                [self._gallery("false_alarms", "worst false alarms", made_up, false)],
                f"What was made up is {beside}" * bool(made_up),
            ),
        ]

    def _name(self, fault: Fault) -> str:
        return isolated(printable(self.classes[fault.label]))

    def _gallery(self, name: str, title: str, faults: Sequence[Fault], captions: Sequence[tuple[str, ...]]) -> Gallery:
        """The first of some faults, with what is around each of them."""
        faults = faults[:_GALLERY]
        positions = np.array([fault.position for fault in faults], np.int64)
        windows = np.array([_around(f.box, self.rows[f.position]["truth"]["frame"]) for f in faults]).reshape(-1, 4)
        return Gallery(name, title, positions, captions[:_GALLERY], "None.", windows)

    def _mistakes(self, split: str) -> Section:
        """The pictures with the most faults."""
        positions = self.mistakes[:_GALLERY]
        counts = [tuple(map(len, self.faults[position])) for position in positions.tolist()]
        captions = [(f"{missed} missed, {made_up} made up",) for missed, made_up in counts]
        nothing = f"None: in every picture of {split} exactly the true boxes were found."
        note = f"The true boxes, and beside them those found from a score of {self.shown:g} on."
        gallery = Gallery("mistakes", "worst mistakes", positions, captions, nothing)
        return Section("Worst mistakes", [gallery], note if len(positions) else "")


def compared(judged: Array, classes: int) -> Comparison:
    """What was found and what is there in all pictures, in pixels of the originals."""
    found, truth = [], []
    for row in judged:
        there, target = row["labels"] >= 0, row["truth"]
        found.append(Found(row["boxes"][there], row["scores"][there], row["labels"][there]))
        real = target["labels"] >= 0
        corners = original(target["corners"][real].astype(np.float64), target["frame"].astype(np.float64))
        truth.append(Truth(corners, target["labels"][real], target["roles"][real], target["areas"][real]))
    return Comparison(found, truth, classes)


def per_class(comparison: Comparison, classes: Sequence[str]) -> list[dict[str, Any]]:
    """For each class: its boxes, average precision of COCO, at 0.5 and of VOC, and the score of the best F1."""
    rows = []
    for label, name in enumerate(classes):
        averages, _ = comparison.precisions(label)
        score, f1 = comparison.best_f1(label)
        boxes = sum(int(((t.labels == label) & (t.roles == COUNTED)).sum()) for t in comparison.truth)
        numbers = {"ap": float(averages.mean()), "ap50": float(averages[0]), "voc_ap50": comparison.voc(label)}
        numbers |= {"best_f1": f1, "at_score": score}
        rows.append({"class": name, "boxes": boxes} | {key: known(value) for key, value in numbers.items()})
    return rows


def from_score(found: Found, least: float) -> Found:
    """What has at least that score."""
    sure = found.scores >= least
    return Found(found.boxes[sure], found.scores[sure], found.labels[sure])


def known(value: float) -> float | None:
    """A number; None for NaN."""
    return None if np.isnan(value) else float(value)


def _faults(position: int, found: Found, truth: Truth, shown: float) -> tuple[list[Fault], list[Fault]]:
    """The boxes of a picture that were missed, and those made up.

    From the highest score on, each box shown takes the one of its class that it overlaps most of those still free, by
    0.5 at least. What overlaps a box that need not be found is not made up.
    """
    near = overlaps(found.boxes.astype(np.float64), truth.boxes.astype(np.float64))
    near[(found.labels[:, None] != truth.labels[None]) | (near < THRESHOLDS[0])] = 0
    counted = truth.roles == COUNTED
    free, made_up = counted.copy(), []
    for d in np.argsort(-found.scores, kind="stable").tolist():
        here = near[d] * free
        if found.scores[d] < shown:
            break
        if here.any():
            free[here.argmax()] = False
        elif not near[d][~counted].any():
            made_up.append(Fault(position, int(found.labels[d]), found.boxes[d], float(found.scores[d])))
    hidden = (near > 0) * np.where(found.scores < shown, found.scores, 0)[:, None]
    best = hidden.max(axis=0, initial=0)
    lost = np.flatnonzero(free).tolist()
    return [Fault(position, int(truth.labels[k]), truth.boxes[k], float(best[k])) for k in lost], made_up


def _around(box: Array, frame: Array) -> Array:
    """The square around a box of an original, in pixels of the picture that `frame` brought it to."""
    x1, y1, x2, y2 = placed(box.astype(np.float64), frame.astype(np.float64))
    reach = (0.5 + _AROUND) * max(x2 - x1, y2 - y1, 8)
    x, y = (x1 + x2) / 2, (y1 + y2) / 2
    return np.array([x - reach, y - reach, x + reach, y + reach])
