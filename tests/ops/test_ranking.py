"""Rankings against scikit-learn's figures and against what they mean, pair by pair."""

from __future__ import annotations

import numpy as np
import pytest

from cnntrain.ops.ranking import Ranking


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
    ranking = Ranking.of(np.array(scores, np.float32), np.array(meant, bool))
    assert ranking.average_precision == (ap if ap is None else pytest.approx(ap, abs=1e-15))
    assert ranking.area_under_roc == (auc if auc is None else pytest.approx(auc, abs=1e-15))


@pytest.mark.parametrize("kinds", [3, 1000])
def test_what_they_mean(kinds: int) -> None:
    """Of many samples, with many ties and with few."""
    rng = np.random.default_rng(kinds)
    scores, meant = rng.integers(0, kinds, 200).astype(np.float32), rng.random(200) < 0.3
    ranking = Ranking.of(scores, meant)
    pairs = scores[meant][:, None] - scores[~meant]
    assert ranking.area_under_roc == pytest.approx(((pairs > 0) + (pairs == 0) / 2).mean(), abs=1e-12)
    precisions = [meant[scores >= score].mean() for score in scores[meant]]
    assert ranking.average_precision == pytest.approx(np.mean(precisions), abs=1e-12)
