"""Tagging: several yes-or-no questions about each picture, each answered by itself."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from cnntrain.core.arrays import Array
from cnntrain.core.counts import counted
from cnntrain.core.description import Description
from cnntrain.core.display import Percentage, Section, Table, percent
from cnntrain.core.errors import printable
from cnntrain.core.letters import isolated
from cnntrain.core.registry import register
from cnntrain.ops.ranking import Ranking
from cnntrain.ops.sigmoid import sigmoid
from cnntrain.parts.tasks.base import OWN, Evaluation, OfValues, Scoring, Start, Supposed, share
from cnntrain.parts.tasks.calibration import calibration


@register("tag")
@dataclass(frozen=True)
class Tag(OfValues):
    """Several labels for each sample: targets of 1 for yes and 0 for no, outputs that are logits.

    Probabilities of yes are the sigmoids of the outputs.
    """

    examples: ClassVar[tuple[Description, ...]] = (Description((6, 6, 1), (), 3),)
    loss: ClassVar[str] = "binary_cross_entropy"
    measures: ClassVar[Mapping[str, str]] = {
        "mean_ap": "Average precision of each label, the mean over the labels that occur.",
        "mean_auc": "Area under the ROC curve of each label, the mean over those that some samples have and some lack.",
    }
    shares: ClassVar[Literal["softmax", "sigmoid", ""]] = "sigmoid"
    usual_metrics: ClassVar[tuple[str, ...]] = ("binary_accuracy", "binary_f1")
    worst: ClassVar[str] = "Under each, the probabilities of yes farthest from the truth, 1 for yes and 0 for no."

    def answered_by(self, loss: Scoring) -> bool:
        """Whether the loss asks yes-or-no questions."""
        return loss.yes_or_no

    def recognizes(self, targets: Array) -> bool:
        """Whether all values are 0 or 1."""
        return bool(np.isin(targets, (0, 1)).all())

    def check_targets(self, targets: Array) -> None:
        """Values have to be in [0, 1]; those in between are answers between no and yes."""
        outside = ~((targets >= 0) & (targets <= 1))
        if outside.any():
            row, column = (int(place[0]) for place in np.nonzero(outside))
            raise ValueError(
                f"tag needs 1 for yes and 0 for no, sample {row:,} has {targets[row, column]:g} as value {column + 1}: "
                "use regress for other numbers"
            )

    def values(self, outputs: Array) -> Array:
        """Probabilities of yes."""
        return sigmoid(outputs)

    def about(self, targets: Array, data: Description) -> str:  # noqa: ARG002  (the contract's signature)
        """How many labels."""
        return f"{data.values} yes-or-no labels each"

    def amount(self, data: Description, each: bool = False) -> str:
        """How many labels there are."""
        return counted(data.values, "label") + " each" * each

    def told(self, target: Any, data: Description) -> str:
        """The labels that it has; of a mixture, each with its share."""
        shares = zip(self.called(data), target.tolist(), strict=True)
        named = [(isolated(printable(name)), share) for name, share in shares if share > 0]
        return ", ".join(name if share == 1 else f"{name} {share:.2g}" for name, share in named) or "none"

    def written(self, value: float) -> str:
        """A probability, with four digits."""
        return f"{value:.4g}"

    def start(self, batch: int) -> Start:  # noqa: ARG002  (the contract's signature)
        """Binary cross-entropy, and the best epoch by it."""
        loss = "loss: binary_cross_entropy # each label by itself: yes or no"
        optimizer = "optimizer: {type: adamw, lr: 1e-3}"
        return Start(loss, optimizer, ("binary_accuracy",), "val/loss", "for each label", shifts=False)

    def apart(self, outputs: Array, targets: Array) -> Array:
        """True yes, false yes, false no; a target above 0.5 means yes."""
        said, meant = outputs > 0, targets > 0.5
        return np.stack([said & meant, said & ~meant, ~said & meant]).astype(np.float64)

    def supposed(self, outputs: Array, data: Description, truth: str | None) -> Supposed | None:
        """Yes where the output is above 0, no elsewhere; of several answers none can be named."""
        super().supposed(outputs, data, truth)
        return Supposed((outputs > 0).astype(np.float32), OWN)

    def figures_of(self, sums: Sequence[float], weight: float) -> dict[str, Any]:  # noqa: ARG002  (counts say it all)
        """Samples with a yes, how many of them were found (recall), how many found were one (precision), and F1."""
        hit, wrong, missed = sums
        return {
            "samples": int(hit + missed),
            "recall": share(hit, hit + missed),
            "precision": share(hit, hit + wrong),
            "f1": share(2 * hit, 2 * hit + wrong + missed),
        }

    def rows(self, outputs: Array, targets: Array, data: Description) -> list[dict[str, Any]]:
        """The figures of each label, with its average precision and its area under the ROC curve."""
        figures = super().rows(outputs, targets, data)
        return [row | ranks for row, ranks in zip(figures, _ranked(outputs, targets), strict=True)]

    def judged(self, outputs: Array, targets: Array) -> Array:
        """Outputs and targets, (n, 2, units)."""
        return np.stack([outputs.reshape(targets.shape), targets], axis=1)

    def measured(self, judged: Array, data: Description) -> dict[str, float]:  # noqa: ARG002  (the contract's signature)
        """Both means; NaN without a label they could be of."""
        ranks = _ranked(judged[:, 0], judged[:, 1])
        known = {f"mean_{key}": [row[key] for row in ranks if row[key] is not None] for key in ("ap", "auc")}
        return {name: sum(values) / len(values) if values else math.nan for name, values in known.items()}

    def breakdown(self, judged: Array, data: Description) -> dict[str, Any]:
        """A row for each label."""
        return {"per_value": self.rows(judged[:, 0], judged[:, 1], data)}

    def evaluated(self, data: Description) -> tuple[str, ...]:  # noqa: ARG002  (the contract's signature)
        """The share of right answers, and F1 over all of them."""
        return ("binary_accuracy", "binary_f1")

    def each(self, figures: list[dict[str, Any]]) -> Section:
        """Recall, precision, F1, average precision and area under the ROC curve of each label."""
        shares = ("recall", "precision", "f1", "ap", "auc")
        rows = [[row["name"], f"{row['samples']:,}", *(Percentage(row[key]) for key in shares)] for row in figures]
        note = (
            "Samples: those that have the label. Recall: the share of them that was found. Precision: the share of "
            "those found that have it. A probability above 0.5 is a yes. AP: the mean precision over all thresholds, "
            "each with the recall it adds. AUC: how often a sample with the label is given a higher probability of it "
            "than one without."
        )
        table = Table(["label", "samples", "recall", "precision", "F1", "AP", "AUC"], rows, right={1, 2, 3, 4, 5, 6})
        return Section("Labels", [table], note)

    def report(self, evaluation: Evaluation) -> list[Section]:
        """Whether probabilities are to be trusted, how each label fares, and the worst of the wrong answers."""
        targets = evaluation.targets
        said = self.values(evaluation.outputs).astype(np.float64).ravel()
        below = "the share of yes lies below the diagonal, probabilities are too high"
        axes = ("probability", "share of yes")
        return [calibration(said, targets.ravel() > 0.5, axes, "answers", below), *super().report(evaluation)]

    def verdict(self, evaluation: Evaluation) -> str:
        """How many samples have a wrong answer."""
        wrong = _wrong(evaluation)
        found = int(wrong.sum())
        have = "has" if found == 1 else "have"
        return f"{found:,} of them {have} a wrong answer ({percent(found / len(wrong))})." if len(wrong) else ""

    def mistakes(self, evaluation: Evaluation) -> Array:
        """The samples with a wrong answer, those with the largest squared errors of probabilities first."""
        order = super().mistakes(evaluation)
        return order[_wrong(evaluation)[order]]


def _ranked(outputs: Array, targets: Array) -> list[dict[str, Any]]:
    """How well each label is ranked: its average precision and its area under the ROC curve."""
    ranked = (Ranking.of(scores, meant) for scores, meant in zip(outputs.T, targets.T > 0.5, strict=True))
    return [{"ap": ranking.average_precision, "auc": ranking.area_under_roc} for ranking in ranked]


def _wrong(evaluation: Evaluation) -> Array:
    """Which samples have a yes that should be a no, or a no that should be a yes: bool, (n,)."""
    targets = evaluation.targets
    wrong: Array = ((evaluation.outputs.reshape(targets.shape) > 0) != (targets > 0.5)).any(axis=1)
    return wrong
