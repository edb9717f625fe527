"""What a report says of numbers: both errors of each value, and the values that are farthest off, by their names."""

from __future__ import annotations

import math

import numpy as np
import pytest
import yaml

from cnntrain.core.description import Description
from cnntrain.core.display import Gallery, Table
from cnntrain.parts.tasks.base import Evaluation
from cnntrain.parts.tasks.regress import Regress

TARGETS = np.array([[1, 10], [2, 20]], np.float32)
OUTPUTS = np.array([[1.5, 10], [2, 16]], np.float32)


def pieces(data: Description, outputs: np.ndarray, targets: np.ndarray) -> tuple[Table, Gallery]:
    values, worst = Regress().report(Evaluation(data, "val", np.arange(len(targets)), targets, outputs))
    (table,), (gallery,) = values.content, worst.content
    assert isinstance(table, Table)
    assert isinstance(gallery, Gallery)
    return table, gallery


@pytest.mark.parametrize("columns", [("age", "weight"), ()])
def test_each_value_has_its_errors_and_its_name(columns: tuple[str, ...]) -> None:
    table, gallery = pieces(Description((6, 6, 1), (), 2, columns=columns), OUTPUTS, TARGETS)
    first, second = columns or ("value_1", "value_2")
    assert [list(row) for row in table.rows] == [[first, "0.2500", f"{0.125**0.5:.4f}"], [second, "2.0000", "2.8284"]]
    assert gallery.positions.tolist() == [1, 0]
    assert gallery.captions[0] == (f"{second} 16, is 20", f"{first} 2, is 2")


@pytest.mark.parametrize(
    ("values", "mean", "std"),
    [
        ([[100_000], [300_000]], [200_000], [100_000]),
        ([[1e6 + 1, 0.25], [1e6 + 4, 0.75]], [1_000_002.5, 0.5], [1.5, 0.25]),
        ([[7], [7]], [7], [1]),
        ([[1], [math.nan], [3]], [2], [1]),
    ],
)
def test_a_first_network_ends_in_the_units_of_the_data(values, mean, std) -> None:
    targets = np.array(values, np.float32)
    ending = yaml.safe_load(Regress().ending(targets, Description((6, 6, 1), (), targets.shape[1])))
    assert ending == {"type": "denormalize", "mean": pytest.approx(mean), "std": pytest.approx(std)}
    assert Regress().ending(targets[:0], Description((6, 6, 1), (), targets.shape[1])) == ""


def test_a_single_value_needs_no_name() -> None:
    table, gallery = pieces(Description((6, 6, 1), (), 1), OUTPUTS[:, :1], TARGETS[:, :1])
    assert len(table.rows) == 1
    assert gallery.captions[0] == ("said 1.5, is 1",)


def test_large_values_keep_their_digits() -> None:
    data = Description((6, 6, 1), (), 3)
    assert Regress().told(np.array([1_059_000, 0.25, 12.5], np.float32), data) == "1,059,000 0.25 12.5"
    _, gallery = pieces(Description((6, 6, 1), (), 1), TARGETS[:, :1] * 1_059_000, TARGETS[:, :1] * 1_058_000)
    assert gallery.captions[-1] == ("said 1,059,000, is 1,058,000",)
    answer = Regress().answer(np.array([1_059_123, 9999.75, 0.125], np.float32), data)
    assert (answer.text, answer.document["values"]) == ("1,059,123  9999.75  0.125", [1_059_123, 9999.75, 0.125])


@pytest.mark.parametrize(
    ("values", "within", "eps"),
    [
        ([[-1], [1]], True, None),
        ([[7], [7]], True, None),
        ([[3e5], [4e5]], False, None),
        ([[0.01], [0.012]], False, None),
        ([[1e-6], [3e-6]], False, 1e-20),
        ([[3e5, 1e-4], [4e5, 3e-4]], False, 1e-16),
        ([[1e-20], [3e-20]], False, 1e-30),
        ([[math.nan], [math.inf]], True, None),
    ],
)
def test_how_far_values_are_from_what_a_network_says_at_first(values, within, eps) -> None:
    targets = np.array(values, np.float32)
    assert Regress().within_reach(targets) == within
    assert Regress().eps(targets) == pytest.approx(eps)
