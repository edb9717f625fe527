"""Detection: where in a picture things are, and of which class each is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from PIL import Image, ImageDraw

from cnntrain.core.arrays import Array, Shape
from cnntrain.core.boxes import BOXES, COUNTED, joined, moved, original, record, things
from cnntrain.core.counts import counted
from cnntrain.core.description import Description
from cnntrain.core.display import Annotation, Answer, Rendering, Section, cut
from cnntrain.core.errors import printable
from cnntrain.core.letters import isolated
from cnntrain.core.moves import Move
from cnntrain.core.registry import register
from cnntrain.ops.average_precision import Found
from cnntrain.ops.boxes import areas, highest, suppressed_by_class
from cnntrain.ops.detections import Detections, compared, from_score, known, per_class
from cnntrain.ops.locations import BOX, FIXED, QUALITY, SCORES
from cnntrain.ops.sigmoid import sigmoid_and_softplus
from cnntrain.parts.tasks.base import Evaluation, Start, Task
from cnntrain.reading.fonts import beside_pillows

CANDIDATES = 1000  # detections of a picture, by score, among which those that overlap are suppressed
OVERLAP = 0.6  # IoU above which the lower score of a class is suppressed, as in FCOS
MOST = 100  # detections that are kept of a picture, as COCO counts them
THIN = 0.01  # pixels of the original picture: what is cut off there to less is not in it, but in a letterbox's bar
_WHOLE = 0.99  # share of a box in view from which on it is not told as cut off
_SMALL = 128  # pixels of the longer side of pictures for which a first config has one level
_LEGIBLE = 400  # pixels, up to which the longer side of a small picture is enlarged
_LEAST, _LETTERS, _LARGE = 10, 1 / 40, 1 / 18  # letters: pixels; of a picture by itself, and of one among several
_INK = (0, 0, 0)  # black letters stand out from all of these colours, white ones do not
_COLOURS = ((230, 60, 60), (40, 130, 240), (20, 160, 90), (240, 150, 20), (160, 80, 220), (0, 170, 190), (220, 70, 160))


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
    learned_from: ClassVar[str] = "box"
    follows: ClassVar[bool] = True
    renders: ClassVar[tuple[str, ...]] = ("",)
    annotates: ClassVar[bool] = True
    remains: ClassVar[str] = (
        "a row of the outputs is a box x1 y1 x2 y2 in pixels of the input, its location x y and stride, the logit of "
        f"its quality, and those of the classes. The score of a class is sqrt(sigmoid(class) sigmoid(quality)). Cut "
        f"each box off at the edges of the picture; then, since non-maximum suppression is not done, leave out within "
        f"a class what overlaps a higher score by an IoU above {OVERLAP}. predict does so with the {CANDIDATES:,} "
        f"highest scores of a picture, from 0.05 up, and keeps {MOST} boxes"
    )
    mixes: ClassVar[bool] = False
    measures: ClassVar[Mapping[str, str]] = {
        "ap": "Average precision, the mean over classes and over overlaps of 0.50 to 0.95 as in COCO.",
        "ap50": "Average precision where an overlap of 0.5 counts as found, the mean over classes.",
        "ap75": "Average precision where only an overlap of 0.75 counts as found, the mean over classes.",
    }
    score: ClassVar[float] = 0.05  # a detection below it does not count at all, as in FCOS; see `from_score`
    shown: ClassVar[float] = 0.5  # one below this is not shown to people; see `operating_at`

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

    def cut_away(self, before: Array, after: Array) -> str:
        """The boxes that are gone, and those of which a part is."""
        left = after["labels"] >= 0
        gone = int((before["labels"] >= 0).sum()) - int(left.sum())
        parts = int((left & (after["shown"] < _WHOLE * before["shown"])).sum())
        told = [counted(gone, "box")] * bool(gone) + [f"a part of {counted(parts, 'box')}"] * bool(parts)
        return " and ".join(told)

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

    def occurrences(self, targets: Array, data: Description) -> list[int]:
        """The boxes of each class that are to be found: crowds and what is difficult teach nothing."""
        return _per_class(targets["labels"][targets["roles"] == COUNTED], data)

    def occurring(self, data: Description) -> tuple[str, ...]:
        """The classes."""
        return data.classes

    # -- words ----------------------------------------------------------------------------------------------------

    def amount(self, data: Description, each: bool = False) -> str:  # noqa: ARG002  (any number each)
        """How many classes there are."""
        return f"boxes of {counted(len(data.classes), 'class')}"

    def about(self, targets: Array, data: Description) -> str:
        """The classes with the numbers of their boxes."""
        return f"boxes: {_counted(targets['labels'][targets['labels'] >= 0], data.classes)}"

    def census(self, targets: Array, data: Description) -> dict[str, Any]:
        """The boxes of each class, and the pictures without any."""
        counts = _per_class(targets["labels"], data)
        empty = int((targets["labels"] < 0).all(axis=1).sum())
        return {"boxes": dict(zip(data.classes, counts, strict=True)), "without_boxes": empty}

    def start(self, batch: int) -> Start:  # noqa: ARG002  (the contract's signature)
        """AdamW, and the best epoch by average precision."""
        optimizer = "optimizer: {type: adamw, lr: 1e-3, weight_decay: 0.05}"
        return Start("loss: fcos", optimizer, (), "val/ap", "score for each class", shifts=True)

    def network(self, data: Description) -> tuple[str, ...]:
        """The small detector, on one level where pictures are small."""
        levels = ", strides: [8]" if max(data.shape[:2]) <= _SMALL else ""
        return (f"preset: {{type: fcos_small{levels}}} # a box and scores for every eighth pixel each way",)

    # -- answers --------------------------------------------------------------------------------------------------

    def situated(self, outputs: Array, led: Move) -> Array:
        """The same with boxes where they lie in the picture that was `led` to the network, cut off at its borders."""
        outputs = outputs.copy()
        pairs = outputs[:, BOX].reshape(1, -1, 2).astype(np.float64)
        height, width = led.before
        outputs[:, BOX] = led.inverse().points(pairs).reshape(-1, 4).clip(0, [width, height, width, height])
        return outputs

    def answer(self, outputs: Array, data: Description, top: int = 1) -> Answer:  # noqa: ARG002  (boxes have no ranks)
        """Class, score and box of everything found, the surest first; for people how many are shown."""
        found = self.answered(outputs)
        sure = self._sure(found).labels
        rows = [
            (data.classes[label], float(score), *(round(float(side), 2) for side in box))
            for label, score, box in zip(found.labels.tolist(), found.scores, found.boxes, strict=True)
        ]
        boxes = [{"class": row[0], "score": row[1], "box": list(row[2:])} for row in rows]
        words = f"{_counted(sure, data.classes)} (score {self.shown:g} or more)"
        document = {"shown_from": self.shown, "boxes": boxes}
        return Answer(words, document, ("class", "score", "x1", "y1", "x2", "y2"), tuple(rows))

    def annotation(self, outputs: Array, size: tuple[int, int], data: Description) -> Annotation:  # noqa: ARG002
        """Rows of what is shown to people; results of everything found, so that they measure what `judged` does, where
        no box of the truth is `cut_away`.
        """
        found = self.found(outputs)
        sure, sides = self._sure(self.answered(outputs)), np.array([size[1], size[0]], np.float64)
        low, high = (sure.boxes[:, ends].astype(np.float64) / sides for ends in ([0, 1], [2, 3]))
        shares = np.concatenate([(low + high) / 2, high - low], axis=1)
        rows = [
            f"{label} " + " ".join(f"{share:.6f}" for share in row)
            for label, row in zip(sure.labels, shares, strict=True)
        ]
        results = [
            {"category_id": label, "bbox": [_short(v) for v in (x1, y1, x2 - x1, y2 - y1)], "score": _short(score)}
            for label, (x1, y1, x2, y2), score in zip(found.labels.tolist(), found.boxes, found.scores, strict=True)
        ]
        return Annotation(tuple(rows), tuple(results))

    def operating_point(self, judged: Array, data: Description) -> dict[str, float]:
        """The lowest score shown to people: that at which the mean F1 of the classes is largest."""
        score, _ = compared(judged, len(data.classes)).best_mean_f1()
        return {} if np.isnan(score) else {"score": score}

    def operating_at(self, point: Mapping[str, Any]) -> Detect:
        """This task, showing what has that score or more."""
        score = point.get("score", self.shown)
        if point.keys() - {"score"} or type(score) is not float or not 0 <= score <= 1:
            raise ValueError("the operating point of a detector is a score from 0 to 1")
        return self._bounded(shown=score)

    def from_score(self, least: float) -> Detect:
        """This task, counting and showing what has that score or more."""
        return self._bounded(score=least, shown=least)

    def _bounded(self, **bounds: float) -> Detect:
        copy = replace(self)
        vars(copy).update(vars(self) | bounds)
        return copy

    def found(self, outputs: Array) -> Found:
        """What the rows (locations, ...) of one sample say is there, the surest first."""
        return decoded(outputs, self.score)

    def answered(self, outputs: Array) -> Found:
        """What is `found` in the picture itself: what is nowhere but in the bars of a letterbox is no answer.

        `judged` counts it, as made up, and an answer of a lower score may take its place among the MOST.
        """
        sides = outputs[:, BOX][:, 2:] - outputs[:, BOX][:, :2]
        return self.found(outputs[(sides >= THIN).all(axis=1)])

    def _sure(self, found: Found) -> Found:
        """What is shown to people."""
        return from_score(found, self.shown)

    def rendered(self, picture: Array, outputs: Array, led: Move, data: Description) -> tuple[Rendering, ...]:
        """The boxes with class and score, on the picture."""
        found = self._sure(self.answered(self.situated(outputs, led)))
        return (Rendering("", _drawn(picture, found, data.classes, _LETTERS)),)

    def compared(
        self, picture: Array, outputs: Array, target: Any, led: Move, data: Description, window: Array | None = None
    ) -> tuple[Array, ...]:
        """The true boxes, and beside them those that were found."""
        there = target["labels"] >= 0
        true = Found(target["corners"][there], np.ones(int(there.sum())), target["labels"][there])
        found = self._sure(self.found(self.situated(outputs, led)))
        part, (x, y) = cut(picture, window)
        return tuple(_drawn(part, _within(each, x, y, part.shape), data.classes, _LARGE) for each in (true, found))

    # -- judgement ------------------------------------------------------------------------------------------------

    def page(self, data: Description) -> dict[str, Any] | None:
        """Boxes as `decoded` finds them, and from which score on they are shown."""
        limits = {"least": self.score, "shown": self.shown, "candidates": CANDIDATES, "overlap": OVERLAP, "most": MOST}
        limits |= {"thin": THIN}
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
            found = self.found(sample)
            m = len(found.scores)
            row["boxes"][:m], row["scores"][:m], row["labels"][:m] = found.boxes, found.scores, found.labels
        return rows

    def judged(self, outputs: Array, targets: Array) -> Array:
        """The same."""
        return self.kept(outputs, targets)

    def measured(self, judged: Array, data: Description) -> dict[str, float]:
        """Average precision as COCO has it: over ten overlaps, at 0.5 and at 0.75."""
        comparison = compared(judged, len(data.classes))
        each = np.array([comparison.precisions(label)[0] for label in range(len(data.classes))])
        known = each[~np.isnan(each).any(axis=1)]
        picks = (slice(None), slice(0, 1), slice(5, 6))
        values = [float(known[:, pick].mean()) if len(known) else float("nan") for pick in picks]
        return dict(zip(self.measures, values, strict=True))

    def remeasured(self, evaluation: Evaluation) -> dict[str, float]:
        """The same: a report keeps what is judged, not outputs."""
        return self.measured(evaluation.outputs, evaluation.data)

    def breakdown(self, judged: Array, data: Description) -> dict[str, Any]:
        """COCO's twelve numbers, None where there is nothing they could be of; the largest mean F1 of the classes and
        the score it is reached from; and a row for each class.
        """
        comparison = compared(judged, len(data.classes))
        summary = {name: known(value) for name, value in comparison.summary().items()}
        score, f1 = comparison.best_mean_f1()
        suits = {"best_f1": known(f1), "at_score": known(score)}
        return summary | suits | {"per_class": per_class(comparison, data.classes)}

    def report(self, evaluation: Evaluation) -> list[Section]:
        """How each class fares, precision over recall, the sizes of boxes, single faults, and the worst pictures."""
        return self._detections(evaluation).sections(evaluation.split)

    def mistakes(self, evaluation: Evaluation) -> Array:
        """The pictures with the most boxes missed or made up, of those that are shown, at an overlap of 0.5."""
        return self._detections(evaluation).mistakes

    def _detections(self, evaluation: Evaluation) -> Detections:
        return Detections(evaluation.outputs, evaluation.data, self.shown)


def decoded(outputs: Array, least: float) -> Found:
    """What the rows (locations, ...) of one sample say is there: MOST at most, from `least` on, the surest first."""
    scores, _ = sigmoid_and_softplus(outputs[:, SCORES])
    quality, _ = sigmoid_and_softplus(outputs[:, QUALITY, None])
    each = np.sqrt(scores * quality)
    chosen = highest(each.ravel(), least, CANDIDATES)
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


def _within(found: Found, x: int, y: int, shape: Shape) -> Found:
    """What a part of the picture shows that begins at x, y and has this shape, in pixels of that part."""
    boxes = found.boxes - [x, y, x, y]
    seen = (boxes[:, 2:] > 0).all(axis=1) & (boxes[:, :2] < [shape[1], shape[0]]).all(axis=1)
    return Found(boxes[seen], found.scores[seen], found.labels[seen])


def _drawn(picture: Array, found: Found, classes: Sequence[str], letters: float) -> Array:
    """Boxes on a copy of a picture, each in the colour of its class; with class and score where scores are below 1.

    A small picture is enlarged by a whole factor, so that captions do not hide it. `letters` is their height as a share
    of its longer side.
    """
    times = max(1, _LEGIBLE // max(picture.shape[:2]))
    image = Image.fromarray(np.ascontiguousarray(picture.repeat(times, axis=0).repeat(times, axis=1)))
    pen = ImageDraw.Draw(image)
    thick = max(1, round(min(image.size) / 240))
    boxes = times * found.boxes.astype(np.float64)
    colours = [_COLOURS[int(label) % len(_COLOURS)] for label in found.labels]
    for (x1, y1, x2, y2), colour in zip(boxes[::-1].tolist(), colours[::-1], strict=True):
        pen.rectangle((x1, y1, max(x1, x2 - 1), max(y1, y2 - 1)), outline=colour, width=thick)
    lettering = beside_pillows(max(_LEAST, round(letters * max(image.size))))
    words = [
        _written(classes, int(label)) + (f" {score:.2f}" if score < 1 else "")
        for score, label in zip(found.scores, found.labels, strict=True)
    ]
    heights = [lettering.height(pen, text) for text in words]
    sizes = [
        (lettering.length(pen, text) + 2, below - above + 2)
        for text, (above, below) in zip(words, heights, strict=True)
    ]
    places = _places(sizes, boxes, image.size)
    for text, colour, (x, y), size, (above, _) in [*zip(words, colours, places, sizes, heights, strict=True)][::-1]:
        pen.rectangle((x, y, x + size[0] - 1, y + size[1] - 1), fill=colour)
        lettering.write(pen, (x + 1, y + 1 - above), text, _INK)
    return np.asarray(image)


def _places(sizes: Sequence[tuple[float, float]], boxes: Array, within: tuple[int, int]) -> list[tuple[float, float]]:
    """Where captions of these sizes (width, height) stand, each at its box and within the picture.

    Each has the first place, above its box if that is free, where it covers no caption before it, or the least of them.
    """
    taken = np.empty((0, 4))
    for (wide, high), (x1, y1, x2, y2) in zip(sizes, boxes.tolist(), strict=True):
        corners = [(x, y) for y in (y1 - high, y2, y1, y2 - high) for x in (x1, x2 - wide)]
        placed = np.clip(corners, 0, np.maximum(0, np.subtract(within, (wide, high))))
        areas = np.concatenate([placed, np.add(placed, (wide, high))], axis=1)
        shared = np.minimum(areas[:, None, 2:], taken[None, :, 2:]) - np.maximum(areas[:, None, :2], taken[None, :, :2])
        covered = shared.clip(0).prod(axis=2).sum(axis=1)
        taken = np.concatenate([taken, areas[covered.argmin()][None]])
    return [(x, y) for x, y, *_ in taken.tolist()]


def _written(classes: Sequence[str], label: int) -> str:
    """The name of a class as it can be written into a picture; its number where no font here has its letters."""
    lettering = beside_pillows()
    words = lettering.written(printable(classes[label]))
    return f"class {label}" if lettering.numbers else words


def _per_class(labels: Array, data: Description) -> list[int]:
    """How many of each class; labels below 0 are none."""
    counts: list[int] = np.bincount(labels[labels >= 0], minlength=len(data.classes)).tolist()
    return counts


def _counted(labels: Array, classes: Sequence[str]) -> str:
    """How many of which class, in words."""
    counts = Counter(labels.tolist())
    return ", ".join(f"{counts[k]:,} {isolated(printable(classes[k]))}" for k in sorted(counts)) or "nothing"


def _short(value: Any) -> float:
    """The shortest decimal number that is this float32."""
    return float(str(np.float32(value)))
