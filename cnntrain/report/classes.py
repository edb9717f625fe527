"""The per-class table: how often each class is found, and how often rightly so."""

from __future__ import annotations

import numpy as np

from cnntrain.metrics.base import divided
from cnntrain.report.confusion import narrow
from cnntrain.report.html import Markup, element, section, table
from cnntrain.report.judged import Judged


def of(judged: Judged) -> Markup:
    """Samples, recall, precision and F1 of every class."""
    if not judged.classes:
        return Markup()
    matrix = judged.confusion.astype(np.float64)
    hit, true, taken = matrix.diagonal(), matrix.sum(axis=1), matrix.sum(axis=0)
    recall, precision, f1 = divided(hit, true), divided(hit, taken), divided(2 * hit, true + taken)
    rows = [
        [name, f"{int(true[i]):,}", _bar(recall[i], true[i]), _bar(precision[i], taken[i]), _bar(f1[i], true[i])]
        for i, name in enumerate(judged.classes)
    ]
    note = "Recall: the share of a class that was found. Precision: the share of what was taken for it that is it."
    shown = table(["class", "samples", "recall", "precision", "F1"], rows, right={1, 2, 3, 4})
    return section("Classes", shown, note=note, half=narrow(judged.classes))


def _bar(share: float, of_how_many: float) -> Markup | str:
    """A share with a bar under it; a dash where it is one of nothing."""
    if not of_how_many:
        return "–"
    return element("span", f"{share:.4f}", class_="bar", style=f"--p:{share:.4f}")
