"""Average precision of detections, as COCO and as Pascal VOC define it, and what else follows from the same matches.

Everything here is about whole splits: no part of it adds up over samples.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cnntrain.core.arrays import Array
from cnntrain.core.boxes import COUNTED, CROWD
from cnntrain.ops.boxes import overlaps, shares

THRESHOLDS = np.linspace(0.5, 0.95, 10)  # overlaps from which a box counts as found
RECALLS = np.linspace(0, 1, 101)  # at which precision is read
AREAS = {"all": (0.0, 1e10), "small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}
MOST = (1, 10, 100)  # detections of a picture and class, the highest scores first
SCORES = np.arange(1, 100) / 100  # among which an operating point is chosen


@dataclass(frozen=True)
class Found:
    """What was detected in one picture: boxes float (m, 4), scores (m,), labels (m,)."""

    boxes: Array
    scores: Array
    labels: Array


@dataclass(frozen=True)
class Truth:
    """What is in one picture: boxes float (m, 4), labels (m,), roles (m,), areas (m,) of the things in the boxes."""

    boxes: Array
    labels: Array
    roles: Array
    areas: Array


@dataclass(frozen=True)
class Matches:
    """How the detections of one class fared in all pictures, in the order of their scores, for each threshold.

    scores   (n,) from the highest; of equal ones those of earlier pictures first
    hit      (thresholds, n): matched with a box
    ignored  (thresholds, n): neither right nor wrong
    wanted   how many boxes there were to be found
    """

    scores: Array
    hit: Array
    ignored: Array
    wanted: int

    def counts(self, threshold: int) -> tuple[Array, Array]:
        """How many detections up to each were right and how many wrong, (n,), at the threshold of this number."""
        counted = ~self.ignored[threshold]
        right = np.cumsum(self.hit[threshold] & counted, dtype=np.float64)
        return right, np.cumsum(~self.hit[threshold] & counted, dtype=np.float64)

    def curve(self, threshold: int) -> tuple[Array, Array]:
        """Recall and precision (n,) after each detection, at the threshold of this number."""
        right, wrong = self.counts(threshold)
        recall = right / self.wanted if self.wanted else np.full(len(right), math.nan)
        return recall, right / (right + wrong + np.spacing(1))


class Comparison:
    """The detections of a split beside the truth, matched as COCO matches them (Lin et al. 2014; pycocotools).

    In each picture and class, the detections, from the highest score on, each take the free box that they overlap
    most, if they overlap it by the threshold. Boxes that need not be found (crowds, difficult ones, those
    whose area is out of range) come after all others, and a detection that takes one is ignored; a crowd may be
    taken any number of times, by the share of the detection that lies in it. A detection that takes nothing is
    wrong, or ignored where its own area is out of range.
    """

    def __init__(self, found: Sequence[Found], truth: Sequence[Truth], classes: int) -> None:
        self.found, self.truth, self.classes = found, truth, classes

    @functools.cached_property
    def _pictures(self) -> dict[int, list[int]]:
        """The numbers of the pictures in which a class is, or was detected: of many classes, few are in any picture."""
        pictures: dict[int, list[int]] = {}
        for number, (found, truth) in enumerate(zip(self.found, self.truth, strict=True)):
            for label in np.union1d(found.labels, truth.labels).tolist():
                pictures.setdefault(label, []).append(number)
        return pictures

    def matches(self, label: int, most: int = MOST[-1], area: str = "all", least: Array = THRESHOLDS) -> Matches:
        """The detections of a class, the `most` of each picture with the highest scores; boxes of a range of areas."""
        scores, hit, ignored, wanted = [np.empty(0)], [_none(least)], [_none(least)], 0
        for number in self._pictures.get(label, ()):
            found, truth = self.found[number], self.truth[number]
            own = np.flatnonzero(found.labels == label)
            own = own[np.argsort(-found.scores[own], kind="stable")[:most]]
            there = np.flatnonzero(truth.labels == label)
            low, high = AREAS[area]
            spared = (truth.roles[there] != COUNTED) | (truth.areas[there] < low) | (truth.areas[there] > high)
            wanted += int(len(there) - spared.sum())
            there, spared = there[np.argsort(spared, kind="stable")], np.sort(spared)
            boxes = found.boxes[own].astype(np.float64)
            crowd = truth.roles[there] == CROWD
            taken, took_spared = _taken(boxes, truth.boxes[there].astype(np.float64), spared, crowd, least)
            sizes = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
            scores.append(found.scores[own])
            hit.append(taken)
            ignored.append(took_spared | (~taken & ((sizes < low) | (sizes > high))))
        joined = np.concatenate(scores)
        order = np.argsort(-joined, kind="stable")
        return Matches(
            joined[order], np.concatenate(hit, axis=1)[:, order], np.concatenate(ignored, axis=1)[:, order], wanted
        )

    def precisions(self, label: int, most: int = MOST[-1], area: str = "all") -> tuple[Array, Array]:
        """For each threshold the average precision and the recall of a class, (10,) each; NaN without boxes of it."""
        matches = self.matches(label, most, area)
        if not matches.wanted:
            return np.full(len(THRESHOLDS), math.nan), np.full(len(THRESHOLDS), math.nan)
        curves = [matches.curve(threshold) for threshold in range(len(THRESHOLDS))]
        averages = np.array([interpolated(*curve).mean() for curve in curves])
        return averages, np.array([recall[-1] if len(recall) else 0.0 for recall, _ in curves])

    def summary(self) -> dict[str, float]:
        """COCO's twelve numbers: means over classes that occur, NaN where none does.

        ap, ap50 and ap75; ap_small, ap_medium and ap_large, by the areas of boxes; ar1, ar10 and ar100, the mean
        recall with so many detections of a picture; ar_small, ar_medium and ar_large.
        """
        everything = [self.precisions(label) for label in range(self.classes)]
        averages = np.array([each for each, _ in everything]).reshape(-1, len(THRESHOLDS))
        result = {"ap": _mean(averages), "ap50": _mean(averages[:, 0]), "ap75": _mean(averages[:, 5])}
        by_area = {
            name: [self.precisions(label, area=name) for label in range(self.classes)]
            for name in AREAS
            if name != "all"
        }
        result |= {f"ap_{name}": _mean([each for each, _ in rows]) for name, rows in by_area.items()}
        for most in MOST:
            rows = everything if most == MOST[-1] else [self.precisions(k, most) for k in range(self.classes)]
            result[f"ar{most}"] = _mean([each for _, each in rows])
        return result | {f"ar_{name}": _mean([each for _, each in rows]) for name, rows in by_area.items()}

    def voc(self, label: int, least: float = 0.5) -> float:
        """The average precision of a class as Pascal VOC has defined it since 2010; NaN without boxes of it.

        Every detection is compared with the box it overlaps most, taken or not, of its class: right if by more than
        `least` and as the first, ignored if that box is difficult or a crowd, else wrong. The area under the curve of
        precision, made non-increasing, is taken exactly (Everingham et al. 2010).
        """
        scores, right, counted, wanted = [np.empty(0)], [np.empty(0, bool)], [np.empty(0, bool)], 0
        of_picture: list[Array] = [np.empty(0, np.int64)]
        best: list[Array] = [np.empty(0, np.int64)]
        for number in self._pictures.get(label, ()):
            found, truth = self.found[number], self.truth[number]
            own, there = np.flatnonzero(found.labels == label), np.flatnonzero(truth.labels == label)
            wanted += int((truth.roles[there] == COUNTED).sum())
            near, where = np.zeros(len(own)), np.full(len(own), -1)
            if len(there) and len(own):
                each = overlaps(found.boxes[own].astype(np.float64), truth.boxes[there].astype(np.float64))
                near, where = each.max(axis=1), each.argmax(axis=1)
            near_enough = near > least
            spared = np.zeros(len(own), bool)
            spared[near_enough] = truth.roles[there[where[near_enough]]] != COUNTED
            scores.append(found.scores[own])
            right.append(near_enough & ~spared)
            counted.append(~spared)
            of_picture.append(np.full(len(own), number))
            best.append(where)
        if not wanted:
            return math.nan
        order = np.argsort(-np.concatenate(scores), kind="stable")
        hit, pairs = (
            np.concatenate(right)[order],
            np.stack([np.concatenate(of_picture), np.concatenate(best)])[:, order],
        )
        claimed = pairs[:, hit]
        _, firsts = np.unique(claimed, axis=1, return_index=True) if claimed.size else (None, np.empty(0, np.int64))
        first = np.zeros(claimed.shape[1], bool)
        first[firsts] = True
        hit[hit] = first
        keep = np.concatenate(counted)[order]
        above = np.cumsum(hit[keep], dtype=np.float64)
        recall, precision = above / wanted, above / np.arange(1, len(above) + 1)
        return area_under(recall, precision)

    def best_f1(self, label: int) -> tuple[float, float]:
        """The score from which on the detections of a class have the largest F1 at an overlap of 0.5, and that F1.

        NaN and 0 where nothing was found, NaN and NaN without boxes of the class.
        """
        matches = self.matches(label, least=THRESHOLDS[:1])
        if not matches.wanted:
            return math.nan, math.nan
        right, wrong = matches.counts(0)
        last = np.append(matches.scores[1:] != matches.scores[:-1], True)[: len(right)]
        f1 = np.where(last, 2 * right / (right + wrong + matches.wanted), 0)  # a threshold does not part equal scores
        if not f1.any():
            return math.nan, 0.0
        place = int(f1.argmax())
        return float(matches.scores[place]), float(f1[place])

    def best_mean_f1(self) -> tuple[float, float]:
        """The one of SCORES from which on the F1 at an overlap of 0.5, as a mean over classes that occur, is largest;
        and that F1.

        Of several equal ones it is the middle one. NaN and 0 where nothing is right, NaN and NaN without boxes.
        """
        each = [found for found in map(self._f1, range(self.classes)) if found is not None]
        if not each:
            return math.nan, math.nan
        mean = np.mean(each, axis=0)
        best = np.flatnonzero(mean == mean.max())
        return float(SCORES[best[len(best) // 2]]) if mean.any() else math.nan, float(mean.max())

    def _f1(self, label: int) -> Array | None:
        """The F1 of a class from each of SCORES on; None without boxes of it."""
        matches = self.matches(label, least=THRESHOLDS[:1])
        if not matches.wanted:
            return None
        taken = np.searchsorted(-matches.scores, -SCORES, side="right")
        right, wrong = (np.append(0, counts)[taken] for counts in matches.counts(0))
        f1: Array = 2 * right / (right + wrong + matches.wanted)
        return f1


def interpolated(recall: Array, precision: Array) -> Array:
    """Precision at COCO's recalls (101,): the largest at that recall or a later one, 0 beyond the last."""
    falling = np.maximum.accumulate(precision[::-1])[::-1]
    place = np.searchsorted(recall, RECALLS, side="left")
    return np.append(falling, 0.0)[np.minimum(place, len(falling))]


def area_under(recall: Array, precision: Array) -> float:
    """The area under precision over recall, after precision was made non-increasing."""
    falling = np.maximum.accumulate(precision[::-1])[::-1]
    return float((np.diff(recall, prepend=0.0) * falling).sum())


def _none(least: Array) -> Array:
    return np.empty((len(least), 0), bool)


def _mean(values: Sequence[Array] | Array) -> float:
    """The mean of those that are defined; NaN where none is."""
    flat = np.concatenate([np.ravel(each) for each in values]) if len(values) else np.empty(0)
    known = flat[~np.isnan(flat)]
    return float(known.mean()) if len(known) else math.nan


def _taken(boxes: Array, truth: Array, spared: Array, crowd: Array, least: Array) -> tuple[Array, Array]:
    """Which detections, in order, take a box at each threshold, and which take a spared one: (thresholds, n) each.

    `truth` has the spared ones last. Of equal overlaps the last box is taken, as pycocotools does.
    """
    taken, took_spared = np.zeros((2, len(least), len(boxes)), bool)
    if not len(boxes) or not len(truth):
        return taken, took_spared
    near = np.where(crowd, shares(boxes, truth), overlaps(boxes, truth))
    enough = np.minimum(least, 1 - 1e-10)
    free = np.ones((len(least), len(truth)), bool)
    counted = int(len(truth) - spared.sum())
    rows = np.arange(len(least))
    for d in np.flatnonzero((near >= enough.min()).any(axis=1)).tolist():
        for start, stop, what in ((0, counted, taken), (counted, len(truth), took_spared)):
            if start == stop:
                continue
            here = np.where(free[:, start:stop], near[d, start:stop], -1.0)
            place = stop - 1 - here[:, ::-1].argmax(axis=1)
            takes = (here.max(axis=1) >= enough) & ~taken[:, d]
            what[takes, d] = True
            free[rows[takes], place[takes]] = crowd[place[takes]]
    return taken | took_spared, took_spared
