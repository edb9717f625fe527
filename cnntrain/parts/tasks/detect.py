"""Detection: where in a picture things are, and of which class each is."""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from PIL import Image, ImageDraw

from cnntrain.core.arrays import Array
from cnntrain.core.boxes import BOXES, COUNTED, joined, moved, original, record, things
from cnntrain.core.description import Description
from cnntrain.core.display import Answer, Bars, Gallery, Line, Percentage, Plot, Rendering, Section, Table
from cnntrain.core.errors import printable
from cnntrain.core.moves import Move
from cnntrain.core.registry import register
from cnntrain.ops.average_precision import RECALLS, THRESHOLDS, Comparison, Found, Truth, interpolated
from cnntrain.ops.boxes import areas, highest, overlaps, suppressed_by_class
from cnntrain.ops.locations import BOX, FIXED, QUALITY, SCORES
from cnntrain.ops.sigmoid import sigmoid_and_softplus
from cnntrain.parts.tasks.base import Evaluation, Start, Task

LEAST = 0.05  # score of a detection that counts at all, as in FCOS
SHOWN = 0.3  # score from which one is shown to people
CANDIDATES = 1000  # detections of a picture, by score, among which those that overlap are suppressed
OVERLAP = 0.6  # IoU above which the lower score of a class is suppressed, as in FCOS
MOST = 100  # detections that are kept of a picture, as COCO counts them
_GALLERY = 12  # pictures
_COLOURS = ((230, 60, 60), (40, 130, 240), (20, 160, 90), (240, 150, 20), (160, 80, 220), (0, 170, 190), (220, 70, 160))
_SIDES = (0, 8, 16, 32, 64, 96, 128, 256, 512)  # pixels, bounds of the histogram of sizes


@register("detect")
@dataclass(frozen=True)
class Detect(Task):
    """The boxes and classes of the things in each picture: records of boxes (core/boxes.py); rows of ops/locations.py.

    The score of a class at a location is the square root of its sigmoid times that of the quality. Of those above
    0.05 the 1,000 highest are taken; within each class, what overlaps a higher score by more than 0.6 is suppressed,
    and the 100 highest of the picture are the answer, in pixels of the original picture.
    """

    examples: ClassVar[tuple[Description, ...]] = (Description((6, 6, 1), ("a", "b", "c"), target=BOXES),)
    target: ClassVar[str] = BOXES
    loss: ClassVar[str] = "fcos"
    usual_metrics: ClassVar[tuple[str, ...]] = ()
    follows: ClassVar[bool] = True
    renders: ClassVar[bool] = True
    mixes: ClassVar[bool] = False
    measures: ClassVar[tuple[str, ...]] = ("ap", "ap50", "ap75")

    # -- the network and its targets ------------------------------------------------------------------------------

    def outputs(self, data: Description) -> int:
        """A score for each class."""
        return len(data.classes)

    def renumbered(self, targets: Array, numbers: Array) -> Array:
        """The class of each box replaced."""
        targets = targets.copy()
        targets["labels"] = np.where(targets["labels"] >= 0, numbers[targets["labels"]], -1)
        return targets

    def moved(self, targets: Array, move: Move) -> Array:
        """Boxes go with what they are around."""
        return moved(targets, move)

    def joined(self, parts: Sequence[Array]) -> Array | None:
        """The boxes of all parts."""
        return joined(parts)

    def things(self, targets: Array) -> Array | None:
        """The boxes themselves."""
        return things(targets)

    def blank(self, n: int, data: Description) -> Array:
        """Pictures of the size they are stored with, without a box."""
        targets = np.zeros(n, record(1))
        targets["labels"], targets["frame"], targets["size"] = -1, (1, 1, 0, 0), data.shape[:2]
        return targets

    def random(self, n: int, data: Description, rng: np.random.Generator) -> Array:
        """Up to three boxes in each picture, at least a third as large."""
        height, width = data.shape[:2]
        targets = np.zeros(n, record(3))
        start, size = rng.uniform(0, 0.6, (n, 3, 2)), rng.uniform(0.33, 0.4, (n, 3, 2))
        targets["corners"] = np.concatenate([start, start + size], axis=2) * [width, height, width, height]
        targets["labels"] = rng.integers(-1, len(data.classes), (n, 3))
        targets["areas"], targets["shown"] = areas(targets["corners"]), 1
        targets["frame"], targets["size"] = (1, 1, 0, 0), (height, width)
        return targets

    def told(self, target: Any, data: Description) -> str:
        """How many of which class."""
        return _counted(target["labels"][target["labels"] >= 0], data.classes)

    # -- words ----------------------------------------------------------------------------------------------------

    def amount(self, data: Description, each: bool = False) -> str:  # noqa: ARG002  (any number each)
        """How many classes there are."""
        return f"boxes of {len(data.classes)} class{'es' * (len(data.classes) != 1)}"

    def about(self, targets: Array, data: Description) -> str:
        """The classes with the numbers of their boxes."""
        return f"boxes: {_counted(targets['labels'][targets['labels'] >= 0], data.classes)}"

    def census(self, targets: Array, data: Description) -> dict[str, Any]:
        """The boxes of each class, and the pictures without any."""
        labels = targets["labels"]
        counts = np.bincount(labels[labels >= 0], minlength=len(data.classes)).tolist()
        empty = int((labels < 0).all(axis=1).sum())
        return {"boxes": dict(zip(data.classes, counts, strict=True)), "without_boxes": empty}

    def start(self, batch: int) -> Start:  # noqa: ARG002  (the contract's signature)
        """AdamW, and the best epoch by average precision."""
        optimizer = "optimizer: {type: adamw, lr: 1e-3, weight_decay: 0.05}"
        return Start("loss: fcos", optimizer, (), "val/ap", "score for each class", shifts=True)

    # -- answers --------------------------------------------------------------------------------------------------

    def situated(self, outputs: Array, led: Move) -> Array:
        """The same with boxes where they lie in the picture that was `led` to the network, cut off at its borders."""
        outputs = outputs.copy()
        pairs = outputs[:, BOX].reshape(1, -1, 2).astype(np.float64)
        height, width = led.before
        outputs[:, BOX] = led.inverse().points(pairs).reshape(-1, 4).clip(0, [width, height, width, height])
        return outputs

    def answer(self, outputs: Array, data: Description, top: int = 1) -> Answer:  # noqa: ARG002  (boxes have no ranks)
        """Class, score and box of everything found, the surest first; for people how many from a score of 0.3 on."""
        found = decoded(outputs)
        sure = found.labels[found.scores >= SHOWN]
        rows = [
            (data.classes[label], float(score), *(round(float(side), 2) for side in box))
            for label, score, box in zip(found.labels.tolist(), found.scores, found.boxes, strict=True)
        ]
        document = {"boxes": [{"class": row[0], "score": row[1], "box": list(row[2:])} for row in rows]}
        return Answer(_counted(sure, data.classes), document, ("class", "score", "x1", "y1", "x2", "y2"), tuple(rows))

    def rendered(self, picture: Array, outputs: Array, led: Move, data: Description) -> tuple[Rendering, ...]:
        """The boxes with class and score, on the picture."""
        return (Rendering("", _drawn(picture, _sure(decoded(self.situated(outputs, led))), data.classes)),)

    def compared(self, picture: Array, outputs: Array, target: Any, led: Move, data: Description) -> Array:
        """The true boxes, and beside them those that were found."""
        there = target["labels"] >= 0
        true = Found(target["corners"][there], np.ones(int(there.sum())), target["labels"][there])
        found = _sure(decoded(self.situated(outputs, led)))
        return np.concatenate([_drawn(picture, each, data.classes) for each in (true, found)], axis=1)

    # -- judgement ------------------------------------------------------------------------------------------------

    def page(self, data: Description) -> dict[str, Any] | None:
        """Boxes as `decoded` finds them; shown from a score of 0.3 on."""
        limits = {"least": LEAST, "shown": SHOWN, "candidates": CANDIDATES, "overlap": OVERLAP, "most": MOST}
        colours = [list(colour) for colour in _COLOURS]
        return {"as": "boxes", "names": list(data.classes), "colours": colours, "fixed": FIXED, **limits}

    def evaluated(self, data: Description) -> tuple[str, ...]:  # noqa: ARG002  (the contract's signature)
        """None that adds up over samples."""
        return ()

    def kept(self, outputs: Array, targets: Array) -> Array:
        """What was found in each picture and what is there, in pixels of the original: records (n,)."""
        rows = np.zeros(len(outputs), _kept(targets.dtype))
        rows["truth"], rows["labels"] = targets, -1
        for row, sample, target in zip(rows, outputs, targets, strict=True):
            height, width = target["size"]
            sample = sample.copy()
            placed = original(sample[:, BOX].astype(np.float64), target["frame"])
            sample[:, BOX] = placed.clip(0, [width, height, width, height])
            found = decoded(sample)
            m = len(found.scores)
            row["boxes"][:m], row["scores"][:m], row["labels"][:m] = found.boxes, found.scores, found.labels
        return rows

    def judged(self, outputs: Array, targets: Array) -> Array:
        """The same."""
        return self.kept(outputs, targets)

    def measured(self, judged: Array, data: Description) -> dict[str, float]:
        """Average precision as COCO has it: over ten overlaps, at 0.5 and at 0.75."""
        comparison = compared(judged, data)
        each = np.array([comparison.precisions(label)[0] for label in range(len(data.classes))])
        known = each[~np.isnan(each).any(axis=1)]
        picks = (slice(None), slice(0, 1), slice(5, 6))
        values = [float(known[:, pick].mean()) if len(known) else float("nan") for pick in picks]
        return dict(zip(self.measures, values, strict=True))

    def breakdown(self, judged: Array, data: Description) -> dict[str, Any]:
        """COCO's twelve numbers, None where there is nothing they could be of; and a row for each class."""
        comparison = compared(judged, data)
        summary = {name: _known(value) for name, value in comparison.summary().items()}
        return summary | {"per_class": per_class(comparison, data.classes)}

    def report(self, evaluation: Evaluation) -> list[Section]:
        """How each class fares, precision over recall, the sizes of boxes, and the pictures with the worst mistakes."""
        judged = _Judged(evaluation)
        return [_classes(judged), _curves(judged), _sizes(judged), _mistakes(judged, evaluation.split)]

    def mistakes(self, evaluation: Evaluation) -> Array:
        """The pictures with the most boxes missed or made up, from a score of 0.3 on and an overlap of 0.5."""
        return _Judged(evaluation).mistakes


def decoded(outputs: Array) -> Found:
    """What the rows (locations, ...) of one sample say is there: at most MOST boxes, the surest first."""
    scores, _ = sigmoid_and_softplus(outputs[:, SCORES])
    quality, _ = sigmoid_and_softplus(outputs[:, QUALITY, None])
    each = np.sqrt(scores * quality)
    chosen = highest(each.ravel(), LEAST, CANDIDATES)
    location, labels = np.divmod(chosen, each.shape[1])
    boxes, values = outputs[location, BOX], each.ravel()[chosen]
    kept = suppressed_by_class(boxes, values, labels, OVERLAP)[:MOST]
    return Found(boxes[kept], values[kept], labels[kept])


def _kept(truth: np.dtype[Any]) -> np.dtype[Any]:
    """The type of what is kept of a picture: boxes found, of label -1 where there are no more, and its target."""
    return np.dtype(
        [("boxes", np.float32, (MOST, 4)), ("scores", np.float32, (MOST,)), ("labels", np.int32, (MOST,)),
         ("truth", truth)]
    )  # fmt: skip


def compared(judged: Array, data: Description) -> Comparison:
    """What was found and what is there in all pictures, in pixels of the originals."""
    found, truth = [], []
    for row in judged:
        there, target = row["labels"] >= 0, row["truth"]
        found.append(Found(row["boxes"][there], row["scores"][there], row["labels"][there]))
        real = target["labels"] >= 0
        corners = original(target["corners"][real].astype(np.float64), target["frame"].astype(np.float64))
        truth.append(Truth(corners, target["labels"][real], target["roles"][real], target["areas"][real]))
    return Comparison(found, truth, len(data.classes))


def per_class(comparison: Comparison, classes: Sequence[str]) -> list[dict[str, Any]]:
    """For each class: its boxes, average precision of COCO, at 0.5 and of VOC, and the score of the best F1."""
    rows = []
    for label, name in enumerate(classes):
        averages, _ = comparison.precisions(label)
        score, f1 = comparison.best_f1(label)
        boxes = sum(int(((t.labels == label) & (t.roles == COUNTED)).sum()) for t in comparison.truth)
        numbers = {"ap": float(averages.mean()), "ap50": float(averages[0]), "voc_ap50": comparison.voc(label)}
        numbers |= {"best_f1": f1, "at_score": score}
        rows.append({"class": name, "boxes": boxes} | {key: _known(value) for key, value in numbers.items()})
    return rows


class _Judged:
    """What follows from an evaluation, computed when it is first asked for."""

    def __init__(self, evaluation: Evaluation) -> None:
        self.classes, self.rows, self.data = evaluation.data.classes, evaluation.outputs, evaluation.data

    @functools.cached_property
    def comparison(self) -> Comparison:
        """Everything found beside everything there."""
        return compared(self.rows, self.data)

    @functools.cached_property
    def faults(self) -> tuple[Array, Array]:
        """The boxes missed, and those made up, in each picture (n,)."""
        missed, made_up = np.zeros((2, len(self.rows)), np.int64)
        for number, (found, truth) in enumerate(zip(self.comparison.found, self.comparison.truth, strict=True)):
            missed[number], made_up[number] = _faults(_sure(found), truth, len(self.classes))
        return missed, made_up

    @property
    def mistakes(self) -> Array:
        """Positions of the pictures with faults, the most first."""
        total = self.faults[0] + self.faults[1]
        order = np.argsort(-total, kind="stable")
        return order[total[order] > 0]


def _faults(found: Found, truth: Truth, classes: int) -> tuple[int, int]:
    """How many boxes of a picture were missed, and how many of those found are wrong, at an overlap of 0.5."""
    comparison = Comparison([found], [truth], classes)
    missed = made_up = 0
    for label in range(classes):
        matches = comparison.matches(label, least=THRESHOLDS[:1])
        counted = ~matches.ignored[0]
        missed += matches.wanted - int((matches.hit[0] & counted).sum())
        made_up += int((~matches.hit[0] & counted).sum())
    return missed, made_up


def _classes(judged: _Judged) -> Section:
    """A row for each class."""
    rows = []
    for row in per_class(judged.comparison, judged.classes):
        shares = [Percentage(row[key]) for key in ("ap", "ap50", "voc_ap50", "best_f1")]
        score = "–" if row["at_score"] is None else f"{row['at_score']:.3f}"
        rows.append([row["class"], f"{row['boxes']:,}", *shares, score])
    head = ["class", "boxes", "AP", "AP50", "AP50 of VOC", "best F1", "from score"]
    note = (
        "AP: average precision, the mean over overlaps of 0.50 to 0.95 as COCO has it; AP50: at 0.5. The best F1 at an "
        "overlap of 0.5 is reached by taking what has the score beside it, or a higher one."
    )
    return Section("Classes", [Table(head, rows, right={1, 2, 3, 4, 5, 6})], note)


def _curves(judged: _Judged) -> Section:
    """Precision over recall of every class at an overlap of 0.5, and of all."""
    lines, rows = [], []
    for label, name in enumerate(judged.classes):
        matches = judged.comparison.matches(label, least=THRESHOLDS[:1])
        if matches.wanted:
            precision = interpolated(*matches.curve(0))
            lines.append(Line(RECALLS, precision))
            rows.append([name, *(f"{value:.3f}" for value in precision[::10])])
    head = ["class", *(f"{recall:.1f}" for recall in RECALLS[::10])]
    numbers = Table(head, rows, right=set(range(1, 12)))
    title = "precision over recall"
    plot = Plot("precision_recall", title, ("recall", "precision"), ((0, 1), (0, 1.02)), lines, numbers)
    return Section("Precision and recall", [plot], "A line for each class, at an overlap of 0.5.", half=True)


def _sizes(judged: _Judged) -> Section:
    """How many true boxes there are of which size, and what share of them was found."""
    sides, hit = [np.empty(0)], [np.empty(0, bool)]
    for found, truth in zip(judged.comparison.found, judged.comparison.truth, strict=True):
        real = truth.roles == COUNTED
        sure = _sure(found)
        near = overlaps(truth.boxes[real].astype(np.float64), sure.boxes.astype(np.float64))
        same = truth.labels[real][:, None] == sure.labels[None]
        sides.append(np.sqrt(areas(truth.boxes[real])))
        hit.append((same & (near >= THRESHOLDS[0])).any(axis=1))
    place = np.searchsorted(_SIDES, np.concatenate(sides), side="right") - 1
    counts = np.bincount(place, minlength=len(_SIDES))
    shares = np.bincount(place, np.concatenate(hit), minlength=len(_SIDES)) / np.maximum(counts, 1)
    words = [*(f"{a} to {b}" for a, b in itertools.pairwise(_SIDES)), f"{_SIDES[-1]} and more"]
    there = counts > 0
    rows: list[list[str | Percentage]] = [
        [words[i], f"{counts[i]:,}", Percentage(float(shares[i]))] for i in np.flatnonzero(there).tolist()
    ]
    bars = Bars(np.flatnonzero(there).astype(np.float64), shares[there], 1.0)
    title = f"share found, by the root of the area: {', '.join(map(str, _SIDES))} pixels"
    limits = ((0, len(_SIDES)), (0, 1.02))
    numbers = Table(["pixels", "boxes", "found"], rows, right={1, 2})
    plot = Plot("sizes", title, ("size", "found"), limits, [bars], numbers)
    return Section("Sizes", [plot], f"Found: overlapped by 0.5 by its class, from a score of {SHOWN} on.", half=True)


def _mistakes(judged: _Judged, split: str) -> Section:
    """The pictures with the most faults."""
    positions, (missed, made_up) = judged.mistakes[:_GALLERY], judged.faults
    captions = [(f"{missed[i]} missed, {made_up[i]} made up",) for i in positions.tolist()]
    nothing = f"None: in every picture of {split} just the boxes that are there were found."
    note = f"The true boxes, and beside them those found from a score of {SHOWN} on."
    gallery = Gallery("mistakes", "worst mistakes", positions, captions, nothing)
    return Section("Worst mistakes", [gallery], note if len(positions) else "")


def _sure(found: Found) -> Found:
    """What is shown to people."""
    sure = found.scores >= SHOWN
    return Found(found.boxes[sure], found.scores[sure], found.labels[sure])


def _drawn(picture: Array, found: Found, classes: Sequence[str]) -> Array:
    """Boxes on a copy of a picture, each in the colour of its class; with class and score where scores are below 1."""
    image = Image.fromarray(np.ascontiguousarray(picture))
    pen = ImageDraw.Draw(image)
    thick = max(1, round(min(image.size) / 240))
    for box, score, label in zip(found.boxes[::-1], found.scores[::-1], found.labels[::-1], strict=True):
        colour = _COLOURS[int(label) % len(_COLOURS)]
        x1, y1, x2, y2 = (float(side) for side in box)
        pen.rectangle((x1, y1, max(x1, x2 - 1), max(y1, y2 - 1)), outline=colour, width=thick)
        words = printable(classes[int(label)]) + (f" {score:.2f}" if score < 1 else "")
        words = words.encode("latin-1", "replace").decode("latin-1")  # what Pillow's own font has
        area = pen.textbbox((x1, y1), words)
        up = min(area[3] - y1, y1)
        pen.rectangle((area[0] - 1, area[1] - up - 1, area[2] + 1, area[3] - up), fill=colour)
        pen.text((x1, y1 - up), words, fill=(255, 255, 255))
    return np.asarray(image)


def _counted(labels: Array, classes: Sequence[str]) -> str:
    """How many of which class, in words."""
    counts = Counter(labels.tolist())
    return ", ".join(f"{counts[k]:,} {printable(classes[k])}" for k in sorted(counts)) or "nothing"


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
