"""Write tests/golden/metrics from scikit-learn and torchmetrics: python -m tests.golden.make_metrics."""

from __future__ import annotations

import warnings

import numpy as np
from sklearn import metrics
from sklearn.calibration import calibration_curve

from tests.support.golden import save

CLASSES = 6


def main() -> None:
    """One file a case: equal weights, other weights, and a network that never names the rarer classes."""
    rng = np.random.default_rng(1)
    n = 60
    labels = rng.integers(0, CLASSES, n)
    outputs = rng.standard_normal((n, CLASSES))
    outputs[np.arange(n), labels] += 1
    classification("equal", outputs, labels, np.ones(n))
    classification("weighted", outputs, labels, rng.integers(0, 2001, n) / 1000)
    few = labels % 3  # the last three classes are never true, the last two never predicted either
    classification("few", np.where(np.arange(CLASSES) < 4, outputs, -9), few, rng.integers(0, 2001, n) / 1000)
    two_classes(rng, n)
    regression(rng, n)
    several_labels(rng, n)
    of_masks()


def of_masks() -> None:
    """Random masks, of which some pixels are ignored and some classes do not occur, by torchmetrics."""
    import torch
    from torchmetrics.functional.classification import (
        multiclass_accuracy,
        multiclass_f1_score,
        multiclass_jaccard_index,
    )

    scores = {"mean_iou": multiclass_jaccard_index, "dice": multiclass_f1_score}
    for seed, (occur, answered) in enumerate([(6, 6), (3, 4), (1, 1), (4, 2)]):
        rng = np.random.default_rng(seed)
        masks = rng.integers(0, occur, (5, 4, 6)).astype(np.uint8)
        outputs = rng.standard_normal((5, 4, 6, CLASSES)) - 99 * (np.arange(CLASSES) >= answered)
        masks[rng.random(masks.shape) < 0.2] = 255
        masks[4] = 255
        labels = torch.tensor(masks.astype(np.int64))
        said, ones = torch.tensor(outputs.argmax(-1)), np.ones(5)
        how = {"num_classes": CLASSES, "ignore_index": 255}
        for part, score in scores.items():
            for average in ("macro", "micro", "weighted"):
                value = float(score(said, labels, average=average, **how))
                write(f"{average}-masks-{seed}", {part: ({"average": average}, value)}, outputs, masks, ones)
        value = float(multiclass_accuracy(said, labels, average="micro", **how))
        write(f"masks-{seed}", {"pixel_accuracy": ({}, value)}, outputs, masks, ones)


def classification(case: str, outputs: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> None:
    """Every metric of predicted classes and probabilities."""
    predicted = outputs.argmax(1)
    every = list(range(CLASSES))
    w = {"sample_weight": weights}
    p = softmax(outputs)
    results = {
        "accuracy": ({}, metrics.accuracy_score(labels, predicted, **w)),
        "error": ({}, metrics.zero_one_loss(labels, predicted, **w)),
        "confusion": ({}, metrics.confusion_matrix(labels, predicted, labels=every, **w)),
        "top_k": ({"k": 3}, metrics.top_k_accuracy_score(labels, outputs, k=3, labels=every, **w)),
        "balanced_accuracy": ({}, balanced_accuracy(labels, predicted, weights)),
        "cohen_kappa": ({}, metrics.cohen_kappa_score(labels, predicted, **w)),
        "mcc": ({}, metrics.matthews_corrcoef(labels, predicted, **w)),
        "log_loss": ({}, metrics.log_loss(labels, p, labels=every, **w)),
        "brier": ({}, metrics.brier_score_loss(labels, p, labels=every, **w)),
        "calibration_error": ({}, calibration(p, labels, weights)),
    }
    write(case, results, outputs, labels, weights)
    scores = {"precision": metrics.precision_score, "recall": metrics.recall_score, "f1": metrics.f1_score}
    for part, score in scores.items():
        for average in ("macro", "micro", "weighted", "per_class"):
            how = {"average": None, "labels": every} if average == "per_class" else {"average": average}
            value = score(labels, predicted, zero_division=0, **how, **w)
            write(f"{average}-{case}", {part: ({"average": average}, value)}, outputs, labels, weights)


def balanced_accuracy(labels: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> float:
    """Without the warning scikit-learn gives of classes that are predicted and never true."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(metrics.balanced_accuracy_score(labels, predicted, sample_weight=weights))


def calibration(p: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> float:
    """Expected calibration error by scikit-learn's reliability diagram, which knows no weights: samples repeated."""
    repeats = np.round(weights * 1000).astype(int)
    confidence, right = np.repeat(p.max(1), repeats), np.repeat(p.argmax(1) == labels, repeats)
    accuracy, mean = calibration_curve(right, confidence, n_bins=15)
    counts = np.histogram(confidence, np.linspace(0, 1, 16))[0]
    return float(np.abs(accuracy - mean) @ counts[counts > 0] / counts.sum())


def two_classes(rng: np.random.Generator, n: int) -> None:
    """AUC with scores in the middles of its bins, where histograms lose nothing; many are tied."""
    labels = rng.integers(0, 2, n)
    score = (rng.integers(-20, 20, n) + 10 * labels + 0.5) * 64 / 1024
    outputs = np.stack([np.zeros(n), score], axis=1)
    weights = rng.uniform(0, 2, n)
    value = metrics.roc_auc_score(labels, score, sample_weight=weights)
    write("two", {"auc": ({}, value)}, outputs, labels, weights)
    write("each", {"auc": ({"average": "per_class"}, [value, value])}, outputs, labels, weights)


def regression(rng: np.random.Generator, n: int) -> None:
    """Two target values a sample."""
    outputs, targets, weights = rng.standard_normal((n, 2)), rng.standard_normal((n, 2)), rng.uniform(0, 2, n)
    results = {
        "mae": ({}, metrics.mean_absolute_error(targets, outputs, sample_weight=weights)),
        "mse": ({}, metrics.mean_squared_error(targets, outputs, sample_weight=weights)),
        "r2": ({}, metrics.r2_score(targets, outputs, sample_weight=weights)),
    }
    write("regression", results, outputs, targets, weights)


def several_labels(rng: np.random.Generator, n: int) -> None:
    """Three yes-or-no labels a sample, the last of which is never true nor predicted."""
    targets = (rng.random((n, 3)) < [0.5, 0.2, 0]).astype(float)
    outputs = rng.standard_normal((n, 3)) + 2 * targets - [1, 1, 9]
    weights = rng.integers(0, 2001, n) / 1000
    said, w = outputs > 0, {"sample_weight": weights}
    write("labels", {"binary_accuracy": ({}, 1 - hamming(targets, said, weights))}, outputs, targets, weights)
    for average in ("micro", "macro"):
        value = metrics.f1_score(targets, said, average=average, zero_division=0, **w)
        write(f"{average}-labels", {"binary_f1": ({"average": average}, value)}, outputs, targets, weights)


def hamming(targets: np.ndarray, said: np.ndarray, weights: np.ndarray) -> float:
    """scikit-learn's, of labels as 0 and 1."""
    return float(metrics.hamming_loss(targets.astype(int), said.astype(int), sample_weight=weights))


def softmax(outputs: np.ndarray) -> np.ndarray:
    """Probabilities of logits."""
    p = np.exp(outputs - outputs.max(1, keepdims=True))
    return p / p.sum(1, keepdims=True)


def write(case: str, results: dict, outputs: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> None:
    """One file for each part."""
    for part, (settings, value) in results.items():
        save(
            "metrics",
            f"{part}-{case}",
            part,
            settings,
            value=value,
            outputs=outputs,
            targets=targets,
            weights=weights,
        )


if __name__ == "__main__":
    main()
