"""Classification: which one of several classes a picture shows."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from cnntrain.core.arrays import Array
from cnntrain.core.counts import counted
from cnntrain.core.description import CLASSES, Description
from cnntrain.core.display import Answer, Gallery, Matrix, Percentage, Section, Table, narrow, percent
from cnntrain.core.letters import isolated
from cnntrain.core.registry import did_you_mean, register
from cnntrain.ops.argmax import taken_for
from cnntrain.ops.confused import Confused, places_of
from cnntrain.ops.softmax import softmax
from cnntrain.parts.tasks.base import OWN, Evaluation, Explained, Start, Supposed, Task
from cnntrain.parts.tasks.calibration import calibration
from cnntrain.reading.folders import class_name

SHOWN = 24  # mistakes
_LISTED = 12  # classes that are named in a comment
LARGEST = 1000  # classes of which an evaluation has the whole confusion matrix
_SURE = 0.99  # of the first guess: beyond, the gradient of its loss is near to what rounding leaves
_NEVER = 1e-6  # the share of a class that no sample has
MOST = 1000  # mistakes it has instead, where there are more classes
BLOCK = 2**22  # outputs whose probabilities are held at a time, 32 MB in float64
_PAIRS = 12  # of the classes most often confused
_WIDEST, _CHOSEN = 100, 24  # classes whose matrix a report shows; how many it chooses where there are more
_LONGEST = 200  # classes a report lists


@register("classify")
@dataclass(frozen=True)
class Classify(Task):
    """One of several classes for each sample: labels; scores for every class, of which the largest is the answer.

    Probabilities are the softmax of the outputs, whatever the loss.
    """

    examples: ClassVar[tuple[Description, ...]] = (Description((6, 6, 1), ("a", "b", "c")),)
    target: ClassVar[str] = CLASSES
    loss: ClassVar[str] = "cross_entropy"
    ranks: ClassVar[bool] = True
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
        """The class; for a mixture, the two largest shares."""
        if np.ndim(target) == 0:
            return data.classes[int(target)]
        held = [(float(share), name) for share, name in zip(target, data.classes, strict=True) if share > 0]
        shares = sorted(held, reverse=True)
        return "+".join(f"{share:.2f} {name}" for share, name in shares[:2])

    def amount(self, data: Description, each: bool = False) -> str:  # noqa: ARG002  (one class each)
        """How many classes there are."""
        return counted(len(data.classes), "class")

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
        return Start("", optimizer, (), "val/accuracy", "score for each class", shifts=True, head_alone=True)

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
            "  ".join(f"{isolated(guess['class'])} {guess['probability']:.4f}" for guess in guesses),
            {"class": guesses[0]["class"], "top": guesses, "probabilities": everything},
            (*columns, *(f"p:{name}" for name in data.classes)),
            ((*cells, *everything.values()),),
        )

    def page(self, data: Description) -> dict[str, Any] | None:
        """Classes by their probability."""
        return {"as": "ranked", "names": list(data.classes)}

    def evaluated(self, data: Description) -> tuple[str, ...]:
        """Accuracy, and top-5 accuracy where there are more than 5 classes."""
        return ("accuracy", "error", *(("top_k",) if len(data.classes) > 5 else ()))

    def blind(self, targets: Array, data: Description) -> dict[str, list[float]]:
        """Always the same class: its share of the samples; and any class at random."""
        counts = np.bincount(targets, minlength=len(data.classes))
        shares = np.unique(counts[counts > 0] / max(len(targets), 1)).tolist()
        return {"accuracy": [*shares, 1 / len(data.classes)]}

    def blind_outputs(self, targets: Array, data: Description) -> Array:
        """Logits and log-odds of the classes' shares, these themselves, and nothing at all."""
        shares = np.bincount(targets, minlength=len(data.classes)) / len(targets)
        likely = np.clip(shares, _NEVER, 1 - _NEVER)  # finite without a sample of a class, or with one class alone
        return np.stack([np.log(likely), np.log(likely / (1 - likely)), shares, np.zeros_like(shares)])

    def judged(self, outputs: Array, targets: Array) -> Array:
        """Where each sample stands in the confusion matrix."""
        return places_of(targets, taken_for(outputs, targets), outputs.shape[1])

    def breakdown(self, judged: Array, data: Description) -> dict[str, Any]:
        """For each class: samples, recall, precision and F1; and the confusion matrix.

        For more than LARGEST classes, the most frequent mistakes instead: a matrix would hold millions of zeros.
        """
        confused, names = Confused(judged, len(data.classes)), data.classes
        entries: dict[str, Any] = {}
        if len(names) <= LARGEST:
            entries["confusion"] = confused.matrix().tolist()
        else:
            entries["mistakes"] = [
                {"class": names[true], "taken_for": names[guess], "samples": count}
                for true, guess, count in confused.mistakes(MOST)
            ]
        return entries | {"per_class": per_class(names, confused)}

    def reported(self, data: Description) -> tuple[str, ...]:
        """The usual ones that are one number."""
        several = ("top_k",) if len(data.classes) > 5 else ()
        agreement = ("balanced_accuracy", "f1", "cohen_kappa", "mcc")
        return ("accuracy", *several, *agreement, "log_loss", "brier", "calibration_error")

    def verdict(self, evaluation: Evaluation) -> str:
        """How many are predicted as another class."""
        wrong = ~_Judged(evaluation).right
        found = int(wrong.sum())
        are = "is" if found == 1 else "are"
        return f"{found:,} of them {are} predicted as another class ({percent(float(wrong.mean()))})."

    def report(self, evaluation: Evaluation) -> list[Section]:
        """Calibration, confusion, how each class fares, and the worst mistakes."""
        judged = _Judged(evaluation)
        return [_calibration(judged), _confusion(judged), _classes(judged), _mistakes(judged, evaluation.split)]

    def mistakes(self, evaluation: Evaluation) -> Array:
        """The samples predicted as another class, those whose true class got the lowest probability first."""
        return _Judged(evaluation).mistakes

    def supposed(self, outputs: Array, data: Description, truth: str | None) -> Supposed | None:
        """The class that is named, or that of the largest output: of the second, where hardly a gradient is left."""
        if truth is None:
            shares, _ = softmax(outputs.astype(np.float64))
            second = np.argsort(-outputs, axis=1, kind="stable")[:, 1:2]
            if second.size and shares.max() > _SURE:
                return Supposed(
                    second[:, 0], "the network's second guess: it is too sure of its first to learn from that"
                )
            return Supposed(np.asarray(np.argmax(outputs, axis=1)), OWN)
        names = [class_name(name) for name in data.classes]
        if class_name(truth) not in names:
            raise ValueError(f"no class is called {truth!r}{did_you_mean(truth, data.classes)}")
        return Supposed(np.full(len(outputs), names.index(class_name(truth))))

    def explained(self, evaluation: Evaluation, right: int, wrong: int) -> Explained | None:
        """The surest right answers, of different classes, then the worst wrong ones; with the predicted score."""
        judged = _Judged(evaluation)
        hits = np.flatnonzero(judged.right)
        surest = hits[np.argsort(-judged.confidence[hits], kind="stable")]
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
        """The logarithms of two probabilities of each sample, float64 (n, 2): of the likeliest class, of the true one.

        Block by block, because those of all classes would take twice the memory of the outputs.
        """
        logs = np.empty((len(self.labels), 2))
        block = max(1, BLOCK // max(1, self.outputs.shape[1]))
        for start in range(0, len(logs), block):
            part = softmax(self.outputs[start : start + block].astype(np.float64))[1]
            rows = np.arange(len(part))
            logs[start : start + block, 0] = part[rows, self.predicted[start : start + block]]
            logs[start : start + block, 1] = part[rows, self.labels[start : start + block]]
        return logs

    @property
    def confidence(self) -> Array:
        """The probability of the likeliest class of each sample (n,)."""
        shares: Array = np.exp(self.logs[:, 0])
        return shares

    @functools.cached_property
    def predicted(self) -> Array:
        """The likeliest class of each sample (n,); a wrong one where an output is NaN."""
        return taken_for(self.outputs, self.labels)

    @property
    def right(self) -> Array:
        """Which samples were classified correctly (n,)."""
        found: Array = self.predicted == self.labels
        return found

    @functools.cached_property
    def confused(self) -> Confused:
        """How many samples of each class were predicted as which."""
        k = len(self.classes)
        return Confused(places_of(self.labels, self.predicted, k), k)

    @functools.cached_property
    def mistakes(self) -> Array:
        """Positions of the misclassified samples, the worst first: by -log p(true class)."""
        order = np.argsort(self.logs[:, 1], kind="stable")
        return order[~self.right[order]]

    def caption(self, position: int) -> tuple[str, ...]:
        """The class predicted for a sample, with its probability, and the true class."""
        said, true = int(self.predicted[position]), int(self.labels[position])
        likeliest, own = np.exp(self.logs[position]).tolist()
        answer = f"{isolated(self.classes[said])} · {percent(likeliest)}"
        return (answer, "right" if said == true else f"is {isolated(self.classes[true])} · {percent(own)}")


def _calibration(judged: _Judged) -> Section:
    """Of the samples the network is 80 % sure of, are 80 % right?"""
    below = "accuracy lies below the diagonal, the network is overconfident"
    return calibration(judged.confidence, judged.right, ("confidence", "accuracy"), "samples", below)


def _confusion(judged: _Judged) -> Section:
    """The matrix, of many classes that of those with the most mistakes; and the pairs most often confused."""
    confused, classes = judged.confused, judged.classes
    rows = [
        [classes[i], classes[j], f"{count:,}", percent(count / confused.of_class[i])]
        for i, j, count in confused.mistakes(_PAIRS)
    ]
    shown = np.arange(len(classes)) if len(classes) <= _WIDEST else confused.worst(_CHOSEN)
    header = ["true", "taken for", "samples", "of the class"]
    content: list[Matrix | Table] = [
        Matrix("confusion", "confusion", confused.matrix(shown), tuple(classes[i] for i in shown.tolist())),
        Table(header, rows, right={2, 3}, title="Most often confused"),
    ]
    note = "A row holds the samples of one class, in the columns of the predicted classes; the diagonal is right."
    if len(shown) < len(classes):
        note += f" Only the {len(shown)} of {len(classes):,} classes with the most mistakes are shown."
    return Section("Confusion", content, note, half=narrow(classes))


def _classes(judged: _Judged) -> Section:
    """Samples, recall, precision and F1 of every class; of very many, of those with the lowest F1."""
    fared = per_class(judged.classes, judged.confused)
    if len(fared) > _LONGEST:
        known = [row for row in fared if row["samples"]]
        fared = sorted(known, key=lambda row: row["f1"])[:_LONGEST]
    rows = [
        [row["class"], f"{row['samples']:,}", *(Percentage(row[key]) for key in ("recall", "precision", "f1"))]
        for row in fared
    ]
    note = "Recall: the share of a class that was found. Precision: the share of its predictions that are right."
    if len(fared) < len(judged.classes):
        note += f" Only the {len(fared)} of {len(judged.classes):,} classes with the lowest F1 are shown."
    table = Table(["class", "samples", "recall", "precision", "F1"], rows, right={1, 2, 3, 4})
    return Section("Classes", [table], note, half=narrow(judged.classes))


def _mistakes(judged: _Judged, split: str) -> Section:
    """The misclassified samples whose true class got the lowest probability."""
    positions = judged.mistakes[:SHOWN]
    captions = [judged.caption(position) for position in positions.tolist()]
    nothing = f"None: every sample of {split} was classified correctly."
    note = "In bold, the predicted class and its probability; below, the true class and the probability given to it."
    gallery = Gallery("mistakes", "worst mistakes", positions, captions, nothing)
    return Section("Worst mistakes", [gallery], note if len(positions) else "")


def per_class(classes: tuple[str, ...], confused: Confused) -> list[dict[str, Any]]:
    """For each class: samples, how many of them were found (recall), how many found were of it (precision), and F1."""
    sums = zip(confused.found.tolist(), confused.taken_for.tolist(), confused.of_class.tolist(), strict=True)
    return [
        {
            "class": name,
            "samples": true,
            "recall": _share(found, true),
            "precision": _share(found, predicted),
            "f1": _share(2 * found, true + predicted),
        }
        for name, (found, predicted, true) in zip(classes, sums, strict=True)
    ]


def _share(part: float, whole: float) -> float | None:
    return float(part / whole) if whole else None
