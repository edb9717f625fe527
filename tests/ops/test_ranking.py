"""Rankings against scikit-learn's figures and against what they mean, pair by pair."""

from __future__ import annotations

import numpy as np
import pytest

from cnntrain.ops.ranking import area_under_roc, average_precision


@pytest.mark.parametrize(
    ("scores", "meant", "ap", "auc"),
    [
        # scikit-learn 1.9.1: average_precision_score, roc_auc_score
        ([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1], 0.8333333333333333, 0.75),
        ([0.5, 0.5, 0.5, 0.1], [1, 0, 1, 0], 0.6666666666666666, 0.75),
        ([3, 2, 1], [1, 1, 0], 1.0, 1.0),
        ([1, 2, 3], [1, 0, 0], 0.3333333333333333, 0.0),
        ([7, 7, 7, 7], [1, 0, 0, 0], 0.25, 0.5),
        ([2, 1], [1, 1], 1.0, None),
        ([2, 1], [0, 0], None, None),
        ([], [], None, None),
        ([np.nan, 1.0, 0.0], [1, 1, 0], 0.8333333333333333, 0.5),
        ([np.nan, 1.0, 0.0], [0, 1, 0], 0.5, 0.5),
        ([np.inf, -np.inf, 0.0], [1, 0, 0], 1.0, 1.0),
    ],
)
def test_figures(scores: list[float], meant: list[int], ap: float | None, auc: float | None) -> None:
    rows = np.array(scores, np.float32), np.array(meant, bool)
    assert average_precision(*rows) == (ap if ap is None else pytest.approx(ap, abs=1e-15))
    assert area_under_roc(*rows) == (auc if auc is None else pytest.approx(auc, abs=1e-15))


@pytest.mark.parametrize("kinds", [3, 1000])
def test_what_they_mean(kinds: int) -> None:
    """Of many samples, with many ties and with few."""
    rng = np.random.default_rng(kinds)
    scores, meant = rng.integers(0, kinds, 200).astype(np.float32), rng.random(200) < 0.3
    pairs = scores[meant][:, None] - scores[~meant]
    assert area_under_roc(scores, meant) == pytest.approx(((pairs > 0) + (pairs == 0) / 2).mean(), abs=1e-12)
    precisions = [meant[scores >= score].mean() for score in scores[meant]]
    assert average_precision(scores, meant) == pytest.approx(np.mean(precisions), abs=1e-12)
