"""Classification: which one of several classes a picture shows."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from cnntrain.core.arrays import Array
from cnntrain.core.description import CLASSES, Description
from cnntrain.core.display import Answer, Bars, Gallery, Line, Matrix, Percentage, Plot, Section, Table, narrow, percent
from cnntrain.core.registry import register
from cnntrain.ops.argmax import taken_for
from cnntrain.ops.softmax import softmax
from cnntrain.parts.tasks.base import Evaluation, Explained, Start, Task

BINS = 15  # of confidence, as many as the metric calibration_error has by default
SHOWN = 24  # mistakes
_LISTED = 12  # classes that are named in a comment
_PAIRS = 12  # of classes most often confused


@register("classify")
@dataclass(frozen=True)
class Classify(Task):
    """One of several classes for each sample: labels, scores for every class, the largest is the answer.

    Probabilities are the softmax of the outputs, whatever the loss.
    """

    examples: ClassVar[tuple[Description, ...]] = (Description((6, 6, 1), ("a", "b", "c")),)
    target: ClassVar[str] = CLASSES
    loss: ClassVar[str] = "cross_entropy"
    shares: ClassVar[Literal["softmax", "sigmoid", ""]] = "softmax"
    metrics: ClassVar[tuple[str, ...]] = ("accuracy", "error")
    usual_metrics: ClassVar[tuple[str, ...]] = ("accuracy",)

    def outputs(self, data: Description) -> int:
        """A score for each class."""
        return len(data.classes)

    def groups(self, data: Description) -> tuple[str, ...]:
        """The classes."""
        return data.classes

    def labels(self, targets: Array, data: Description) -> Array | None:  # noqa: ARG002  (the contract's signature)
        """The labels are the targets."""
        return targets

    def mixable(self, targets: Array, data: Description) -> Array:
        """Labels as rows (n, classes) of shares, float32: 1 for the label's class."""
        rows = np.zeros((len(targets), len(data.classes)), np.float32)
        rows[np.arange(len(targets)), targets] = 1
        return rows

    def renumbered(self, targets: Array, numbers: Array) -> Array:
        """Each label replaced."""
        return numbers[targets]

    def blank(self, n: int, data: Description) -> Array:  # noqa: ARG002  (the contract's signature)
        """The first class for all."""
        return np.zeros(n, np.int64)

    def random(self, n: int, data: Description, rng: np.random.Generator) -> Array:
        """Any class."""
        return rng.integers(0, len(data.classes), n)

    def names(self, targets: Array, data: Description) -> list[str | None]:
        """The class of each sample."""
        return [data.classes[label] for label in targets]

    def told(self, target: Any, data: Description) -> str:
        """The class; of a mixture, the two largest shares."""
        if np.ndim(target) == 0:
            return data.classes[int(target)]
        held = [(float(share), name) for share, name in zip(target, data.classes, strict=True) if share > 0]
        shares = sorted(held, reverse=True)
        return "+".join(f"{share:.2f} {name}" for share, name in shares[:2])

    def amount(self, data: Description, each: bool = False) -> str:  # noqa: ARG002  (one class each)
        """How many classes there are."""
        return f"{len(data.classes)} classes"

    def about(self, targets: Array, data: Description) -> str:
        """The classes with their counts."""
        counts = np.bincount(targets, minlength=len(data.classes))
        if len(data.classes) > _LISTED:
            return f"{len(data.classes)} classes of {counts.min():,} to {counts.max():,}"
        listed = ", ".join(f"{name} {count:,}" for name, count in zip(data.classes, counts, strict=True))
        return f"{len(data.classes)} classes: {listed}"

    def start(self, batch: int) -> Start:
        """Gradient descent with momentum, and the best epoch by accuracy."""
        lr = 0.05 * batch / 64
        optimizer = f"optimizer: {{type: sgd, lr: {lr:g}, momentum: 0.9, nesterov: true, weight_decay: 5e-4}}"
        return Start("", optimizer, (), "val/accuracy", "score for each class", shifts=True)

    def answer(self, outputs: Array, data: Description, top: int = 1) -> Answer:
        """The likeliest classes, and the probability of every class."""
        shares, _ = softmax(outputs.astype(np.float64))
        order = np.argsort(-shares, kind="stable")[:top]
        guesses = [{"class": data.classes[i], "probability": float(shares[i])} for i in order]
        everything = dict(zip(data.classes, shares.tolist(), strict=True))
        ranks = ["", *(f"_{number}" for number in range(2, len(guesses) + 1))]
        columns = [f"{key}{rank}" for rank in ranks for key in ("class", "probability")]
        cells = [cell for guess in guesses for cell in guess.values()]
        return Answer(
            "  ".join(f"{guess['class']} {guess['probability']:.4f}" for guess in guesses),
            {"class": guesses[0]["class"], "top": guesses, "probabilities": everything},
            (*columns, *(f"p:{name}" for name in data.classes)),
            ((*cells, *everything.values()),),
        )

    def evaluated(self, data: Description) -> tuple[str, ...]:
        """Accuracy and the confusion matrix, and top-5 accuracy where there are more than 5 classes."""
        return ("accuracy", "error", *(("top_k",) if len(data.classes) > 5 else ()), "confusion")

    def breakdown(self, values: dict[str, Any], data: Description) -> dict[str, Any]:
        """Of each class: samples, how many of them were found (recall), how many found were of it, and F1."""
        return {"per_class": per_class(data.classes, values["confusion"])}

    def reported(self, data: Description) -> tuple[str, ...]:
        """The usual ones that are one number."""
        several = ("top_k",) if len(data.classes) > 5 else ()
        agreement = ("balanced_accuracy", "f1", "cohen_kappa", "mcc")
        return ("accuracy", *several, *agreement, "log_loss", "brier", "calibration_error")

    def verdict(self, evaluation: Evaluation) -> str:
        """How many are taken for another class."""
        wrong = ~_Judged(evaluation).right
        return f"{int(wrong.sum()):,} of them are taken for another class ({percent(float(wrong.mean()))})."

    def report(self, evaluation: Evaluation) -> list[Section]:
        """Calibration, confusion, how each class fares, and the worst mistakes."""
        judged = _Judged(evaluation)
        return [_calibration(judged), _confusion(judged), _classes(judged), _mistakes(judged, evaluation.split)]

    def mistakes(self, evaluation: Evaluation) -> Array:
        """The samples taken for another class, those whose class was thought unlikeliest first."""
        return _Judged(evaluation).mistakes

    def explained(self, evaluation: Evaluation, right: int, wrong: int) -> Explained | None:
        """Of different classes the surest right ones, then the worst wrong ones; the score of the class answered."""
        judged = _Judged(evaluation)
        hits = np.flatnonzero(judged.right)
        surest = hits[np.argsort(-judged.probabilities[hits].max(axis=1), kind="stable")]
        _, firsts = np.unique(judged.labels[surest], return_index=True)
        count = min(right, len(firsts))
        spread = firsts[np.linspace(0, len(firsts) - 1, count).round().astype(int)] if len(firsts) else []
        chosen = np.concatenate([surest[spread], judged.mistakes[:wrong]]).astype(np.int64)
        return Explained(chosen, judged.predicted[chosen], [judged.caption(i) for i in chosen.tolist()])


class _Judged:
    """What follows from an evaluation, computed when it is first asked for."""

    def __init__(self, evaluation: Evaluation) -> None:
        self.classes, self.labels, self.outputs = evaluation.data.classes, evaluation.targets, evaluation.outputs

    @functools.cached_property
    def logs(self) -> Array:
        """The logarithms of the probabilities (n, classes), float64."""
        return softmax(self.outputs.astype(np.float64))[1]

    @functools.cached_property
    def probabilities(self) -> Array:
        """The softmax of the outputs (n, classes), float64."""
        shares: Array = np.exp(self.logs)
        return shares

    @functools.cached_property
    def predicted(self) -> Array:
        """The likeliest class of each sample (n,); a wrong one where an output is NaN."""
        return taken_for(self.outputs, self.labels)

    @property
    def right(self) -> Array:
        """Which samples were taken for what they are (n,)."""
        found: Array = self.predicted == self.labels
        return found

    @functools.cached_property
    def confusion(self) -> Array:
        """How many samples of each class (row) were taken for each class (column)."""
        k = len(self.classes)
        return np.bincount(self.labels * k + self.predicted, minlength=k * k).reshape(k, k)

    @functools.cached_property
    def mistakes(self) -> Array:
        """Positions of the wrongly judged samples, the worst first: by -log p(true class)."""
        losses = -self.logs[np.arange(len(self.labels)), self.labels]
        order = np.argsort(-losses, kind="stable")
        return order[~self.right[order]]

    def caption(self, position: int) -> tuple[str, ...]:
        """What a sample was taken for and how surely, and what it is."""
        said, true = int(self.predicted[position]), int(self.labels[position])
        shares, names = self.probabilities[position], self.classes
        answer = f"{names[said]} · {percent(shares[said])}"
        return (answer, "right", "") if said == true else (answer, f"is {names[true]} · {percent(shares[true])}", "")


def bins(probabilities: Array, right: Array) -> Array:
    """Of each bin of confidence the samples, their mean confidence and their accuracy: (3, BINS), 0 where empty.

    A boundary belongs to the bin below, as in the metric calibration_error.
    """
    confidence = probabilities.max(axis=1)
    place = np.searchsorted(np.linspace(0, 1, BINS + 1)[1:-1], confidence)
    counts, sure, hits = (np.bincount(place, what, minlength=BINS) for what in (None, confidence, right))
    return np.stack([counts, sure / np.maximum(counts, 1), hits / np.maximum(counts, 1)])


def _calibration(judged: _Judged) -> Section:
    """The reliability diagram (of the samples the network is 80 % sure of, are 80 % right?), and its numbers."""
    counts, sure, hits = bins(judged.probabilities, judged.right)
    there = counts > 0
    diagonal = np.array([0, 1])
    drawn = (
        Line(diagonal, diagonal, reference=True),
        Bars((np.arange(BINS) / BINS)[there], hits[there], 1 / BINS),
        Line(sure[there], hits[there], marked=True),
    )
    rows = [
        [f"{percent(i / BINS)} to {percent((i + 1) / BINS)}", f"{int(counts[i]):,}", f"{sure[i]:.4f}", f"{hits[i]:.4f}"]
        for i in range(BINS)
        if counts[i]
    ]
    numbers = Table(["confidence", "samples", "mean confidence", "accuracy"], rows, right={1, 2, 3})
    limits = ((0, 1), (0, 1.02))
    plot = Plot("calibration", "confidence and accuracy", ("confidence", "accuracy"), limits, drawn, numbers)
    note = "Where accuracy lies below the diagonal, the network is surer of itself than it should be."
    return Section("Calibration", [plot], note, half=True)


def _confusion(judged: _Judged) -> Section:
    """The matrix, and the pairs most often confused."""
    matrix, classes = judged.confusion, judged.classes
    off = np.where(np.eye(len(matrix), dtype=bool), 0, matrix)
    order = np.argsort(-off, axis=None, kind="stable")[:_PAIRS]
    pairs = [divmod(int(place), len(matrix)) for place in order]
    rows = [
        [classes[i], classes[j], f"{off[i, j]:,}", percent(off[i, j] / matrix[i].sum())] for i, j in pairs if off[i, j]
    ]
    header = ["true", "taken for", "samples", "of the class"]
    content: list[Matrix | Table] = [
        Matrix("confusion", "confusion", matrix, classes),
        Table(header, rows, right={2, 3}, title="Most often confused"),
    ]
    note = (
        "A row holds the samples of one class, in the columns they were taken for; a right answer is on the diagonal."
    )
    return Section("Confusion", content, note, half=narrow(classes))


def _classes(judged: _Judged) -> Section:
    """Samples, recall, precision and F1 of every class."""
    rows = [
        [row["class"], f"{row['samples']:,}", *(Percentage(row[key]) for key in ("recall", "precision", "f1"))]
        for row in per_class(judged.classes, judged.confusion)
    ]
    note = "Recall: the share of a class that was found. Precision: the share of what was taken for it that is it."
    table = Table(["class", "samples", "recall", "precision", "F1"], rows, right={1, 2, 3, 4})
    return Section("Classes", [table], note, half=narrow(judged.classes))


def _mistakes(judged: _Judged, split: str) -> Section:
    """The samples of which the network was surest and wrong."""
    positions = judged.mistakes[:SHOWN]
    captions = [judged.caption(position) for position in positions.tolist()]
    nothing = f"None: every sample of {split} was judged rightly."
    note = "In bold what each was taken for and how surely; below what it is, and how likely the network thought that."
    gallery = Gallery("mistakes", "worst mistakes", positions, captions, nothing)
    return Section("Worst mistakes", [gallery], note if len(positions) else "")


def per_class(classes: tuple[str, ...], confusion: Any) -> list[dict[str, Any]]:
    """Of each class: samples, how many of them were found (recall), how many found were of it (precision), and F1."""
    matrix = np.array(confusion)
    return [
        {
            "class": name,
            "samples": int(matrix[i].sum()),
            "recall": _share(matrix[i, i], matrix[i].sum()),
            "precision": _share(matrix[i, i], matrix[:, i].sum()),
            "f1": _share(2 * matrix[i, i], matrix[i].sum() + matrix[:, i].sum()),
        }
        for i, name in enumerate(classes)
    ]


def _share(part: float, whole: float) -> float | None:
    return float(part / whole) if whole else None
