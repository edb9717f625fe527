"""Write tests/golden/metrics from scikit-learn: python -m tests.golden.make_metrics."""

from __future__ import annotations

import numpy as np
from sklearn import metrics

from tests.support.golden import save


def main() -> None:
    """One file a case, with and without weights."""
    rng = np.random.default_rng(1)
    n, classes = 60, 6
    labels = rng.integers(0, classes, n)
    outputs = rng.standard_normal((n, classes))
    outputs[np.arange(n), labels] += 1
    predicted = outputs.argmax(1)
    for case, weights in [("equal", np.ones(n)), ("weighted", rng.uniform(0, 2, n))]:
        arrays = {"outputs": outputs, "targets": labels, "weights": weights}
        w = {"sample_weight": weights}
        results = {
            "accuracy": ({}, metrics.accuracy_score(labels, predicted, **w)),
            "error": ({}, metrics.zero_one_loss(labels, predicted, **w)),
            "confusion": ({}, metrics.confusion_matrix(labels, predicted, **w)),
            "top_k": ({"k": 3}, metrics.top_k_accuracy_score(labels, outputs, k=3, **w)),
        }
        for part, (settings, value) in results.items():
            save("metrics", f"{part}-{case}", part, settings, value=value, **arrays)


if __name__ == "__main__":
    main()
