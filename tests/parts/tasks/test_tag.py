"""What a report says of labels: probabilities and figures by the names of the labels, and only what is wrong."""

from __future__ import annotations

import numpy as np
import pytest

from cnntrain.core.description import Description
from cnntrain.core.display import Gallery, Line, Percentage, Plot, Table
from cnntrain.parts.tasks.base import Evaluation
from cnntrain.parts.tasks.tag import Tag

DATA = Description((6, 6, 1), (), 2, columns=("hat", "glasses"))
TARGETS = np.array([[1, 1], [1, 0], [0, 0], [0, 1]], np.float32)
LOGITS = np.array([[2, -3], [1, -9], [0.5, -1], [-1, 2]], np.float32)  # wrong at (0, 1) and (2, 0)


def evaluation(logits: np.ndarray = LOGITS) -> Evaluation:
    return Evaluation(DATA, "val", np.arange(4) + 10, TARGETS, logits)


def test_labels_have_recall_precision_f1_and_how_well_they_are_ranked() -> None:
    _, labels, _ = Tag().report(evaluation())
    (table,) = labels.content
    assert isinstance(table, Table)
    assert list(table.rows[0]) == ["hat", "2", *map(Percentage, (1.0, 2 / 3, 0.8, 1.0, 1.0))]
    assert list(table.rows[1]) == ["glasses", "2", *map(Percentage, (0.5, 1.0, 2 / 3, (1 + 2 / 3) / 2, 0.75))]


@pytest.mark.parametrize("shape", [(4, 2), (4, 1, 1, 2)])
def test_means_are_over_the_labels_that_some_samples_have(shape: tuple[int, ...]) -> None:
    task = Tag()
    judged = task.judged(LOGITS.reshape(shape), TARGETS)
    assert task.measured(judged, DATA) == {"mean_ap": (1 + (1 + 2 / 3) / 2) / 2, "mean_auc": (1 + 0.75) / 2}
    assert task.remeasured(evaluation(LOGITS.reshape(shape))) == task.measured(judged, DATA)
    every = task.judged(LOGITS, np.ones_like(TARGETS))
    assert task.measured(every, DATA)["mean_ap"] == 1
    assert np.isnan(task.measured(every, DATA)["mean_auc"])
    none = task.measured(task.judged(LOGITS, np.zeros_like(TARGETS)), DATA)
    assert np.isnan([*none.values()]).all()
    rows = task.breakdown(task.judged(LOGITS, TARGETS * [1, 0]), DATA)["per_value"]
    assert [(row["name"], row["ap"], row["auc"]) for row in rows] == [("hat", 1, 1), ("glasses", None, None)]


def test_calibration_counts_every_answer() -> None:
    """Eight answers are fewer than a point needs: one point, at the mean probability and the share of yes."""
    (chart,) = Tag().report(evaluation())[0].content
    assert isinstance(chart, Plot)
    assert chart.labels == ("probability", "share of yes")
    assert chart.numbers is not None
    assert sum(int(row[1]) for row in chart.numbers.rows) == TARGETS.size
    point = chart.marks[-1]
    assert isinstance(point, Line)
    assert (*point.x, *point.y) == pytest.approx(((1 / (1 + np.exp(-LOGITS))).mean(), TARGETS.mean()))


def test_mistakes_are_wrong_answers_told_as_probabilities() -> None:
    task = Tag()
    assert task.mistakes(evaluation()).tolist() == [0, 2]
    (gallery,) = task.report(evaluation())[2].content
    assert isinstance(gallery, Gallery)
    no, yes = 1 / (1 + np.exp(3)), 1 / (1 + np.exp(-2))
    assert gallery.captions[0] == (f"glasses {no:.4g}, is 1", f"hat {yes:.4g}, is 1"), (
        "the farthest from the truth first"
    )
    assert task.verdict(evaluation()) == "2 of them have a wrong answer (50.0 %)."
    right = 9 * (2 * TARGETS - 1)
    right[0] *= -1
    assert task.verdict(evaluation(right)) == "1 of them has a wrong answer (25.0 %)."


@pytest.mark.parametrize("shape", [(4, 2), (4, 1, 1, 2)])
def test_where_nothing_is_wrong_there_are_no_mistakes(shape: tuple[int, ...]) -> None:
    right = evaluation((20 * TARGETS - 10).reshape(shape))
    (gallery,) = Tag().report(right)[2].content
    assert isinstance(gallery, Gallery)
    assert (len(gallery.positions), gallery.nothing) == (0, "None: every answer for val is right.")


@pytest.mark.parametrize(
    ("target", "told"),
    [([1, 0, 1], "red, cat"), ([0, 0, 0], "none"), ([0, 1, 0], "round"), ([0.25, 0, 1], "red 0.25, cat")],
)
def test_a_sample_is_captioned_by_the_labels_it_has(target, told) -> None:
    data = Description((6, 6, 1), (), 3, columns=("red", "round", "cat"))
    assert Tag().told(np.array(target, np.float32), data) == told
    assert Tag().amount(data, each=True) == "3 labels each"
