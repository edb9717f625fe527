"""How each class fares and what it is taken for: the same numbers as text, JSON and CSV, and scikit-learn's."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest

from cnntrain.cli import mistakes
from cnntrain.ops.confused import Confused
from cnntrain.parts.tasks.classify import per_class

CLASSES = ("cat", "dog", 'a, "b"')
CONFUSION = [[4.0, 1.0, 0.0], [2.0, 3.0, 0.0], [0.0, 0.0, 0.0]]  # nothing is of the third, or taken for it


def evaluated(matrix, names=CLASSES):
    """What an evaluation says of samples with this confusion matrix."""
    counts = np.array(matrix, np.int64)
    confused = Confused(np.repeat(np.arange(counts.size), counts.ravel()), len(names))
    return {"confusion": confused.matrix().astype(float).tolist(), "per_class": per_class(names, confused)}


def test_each_class_has_the_figures_of_scikit_learn():
    """classification_report of scikit-learn 1.9 says 0.8, 0.6667, 0.7273 and 0.6, 0.75, 0.6667 for this matrix."""
    rows = evaluated(CONFUSION)["per_class"]
    assert [row["samples"] for row in rows] == [5, 5, 0]
    assert [rows[0][key] for key in ("recall", "precision", "f1")] == pytest.approx([0.8, 4 / 6, 8 / 11])
    assert [rows[1][key] for key in ("recall", "precision", "f1")] == pytest.approx([0.6, 0.75, 2 / 3])
    assert [rows[2][key] for key in ("recall", "precision", "f1")] == [None, None, None]


def test_as_text(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert mistakes.text(evaluated(CONFUSION)).splitlines() == [
        "class   samples  recall  precision      f1",
        "------  -------  ------  ---------  ------",
        "cat           5  0.8000     0.6667  0.7273",
        "dog           5  0.6000     0.7500  0.6667",
        'a, "b"        0       -          -       -',
        "",
        'true \\ predicted  cat  dog  a, "b"',
        "----------------  ---  ---  ------",
        "cat                 4    1       .",
        "dog                 2    3       .",
        'a, "b"              .    .       .',
    ]


def test_a_long_name_is_folded(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    result = {"per_value": [{"name": name, "mae": 0.5, "rmse": 534367360341.3333} for name in ("short", "long " * 36)]}
    lines = mistakes.text(result).splitlines()
    assert max(map(len, lines)) <= 80
    assert "5.34367e+11" in lines[2]


def test_a_matrix_too_wide_becomes_the_most_frequent_mistakes(monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    lines = mistakes.text(evaluated(CONFUSION)).splitlines()
    assert lines[6:] == [
        "class  taken for  samples",
        "-----  ---------  -------",
        "dog    cat              2",
        "cat    dog              1",
    ]
    right = [[5.0, 0, 0], [0, 5.0, 0], [0, 0, 0]]
    assert len(mistakes.text(evaluated(right)).splitlines()) == 5  # nothing was mistaken
    many = np.ones((60, 60))
    lines = mistakes.text(evaluated(many, [str(i) for i in range(60)])).splitlines()
    assert len(lines) == 62 + 1 + 2 + mistakes.LISTED


def test_as_csv():
    head, *rows = csv.reader(io.StringIO(mistakes.as_csv(evaluated(CONFUSION))))
    assert head == [
        "class",
        "samples",
        "recall",
        "precision",
        "f1",
        "predicted:cat",
        "predicted:dog",
        'predicted:a, "b"',
    ]
    assert [row[0] for row in rows] == list(CLASSES)
    assert [[float(cell) for cell in row[5:]] for row in rows] == CONFUSION
    assert rows[2][2:5] == ["", "", ""]
    assert float(rows[0][4]) == 8 / 11


def test_eval_prints_all_three_alike(cnntrain, finished):
    document = json.loads(cnntrain("eval", finished, "--json").out)
    text = cnntrain("eval", finished).out
    assert text.endswith(mistakes.text(document) + "\n")
    assert cnntrain("eval", finished, "--csv").out == mistakes.as_csv(document)
    assert cnntrain("eval", finished, "--csv", "--json").code == 2
