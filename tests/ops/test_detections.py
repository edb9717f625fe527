"""Detections of a split: which boxes are called missed and which made up, and how much of a picture shows one."""

from __future__ import annotations

import numpy as np

from cnntrain.core.boxes import COUNTED, CROWD, record
from cnntrain.core.description import Description
from cnntrain.ops.detections import Detections

DATA = Description((32, 32, 3), ("a", "b"), target="boxes")


def judged(true: list[tuple], found: list[tuple]) -> np.ndarray:
    """One picture, twice as large as the network's: boxes with class and role there, with class and score found."""
    kind = [("boxes", "f4", (9, 4)), ("scores", "f4", (9,)), ("labels", "i4", (9,)), ("truth", record(5))]
    row = np.zeros(1, np.dtype(kind))
    row["labels"], row["truth"]["labels"], row["truth"]["frame"] = -1, -1, (0.5, 0.5, 0, 0)
    for k, (box, label, role) in enumerate(true):
        row["truth"]["corners"][0, k] = np.array(box) / 2
        row["truth"]["labels"][0, k], row["truth"]["roles"][0, k] = label, role
    for k, (box, label, score) in enumerate(found):
        row["boxes"][0, k], row["labels"][0, k], row["scores"][0, k] = box, label, score
    return row


def test_faults_of_every_kind() -> None:
    one, two, three, far = (0, 0, 10, 10), (20, 20, 30, 30), (40, 0, 50, 10), (40, 40, 60, 60)
    true = [(one, 0, COUNTED), (two, 0, COUNTED), (three, 1, COUNTED), (far, 1, CROWD)]
    found = [
        ((0, 0, 10, 9), 0, 0.9),  # right
        (one, 0, 0.8),  # the same once more
        ((21, 21, 30, 30), 0, 0.2),  # right, but not sure enough to be shown
        (three, 0, 0.7),  # of another class
        (far, 1, 0.6),  # a crowd
    ]
    one_of = Detections(judged(true, found), DATA, 0.3)
    ((missed, made_up),) = one_of.faults
    assert [(f.label, f.box.tolist(), round(f.score, 2)) for f in missed] == [(0, [*two], 0.2), (1, [*three], 0)]
    assert [(f.label, f.box.tolist(), round(f.score, 2)) for f in made_up] == [(0, [*one], 0.8), (0, [*three], 0.7)]
    assert one_of.mistakes.tolist() == [0]
    sections = {section.title: section for section in one_of.sections("val")}
    misses, alarms = (sections[f"Worst {what}"].content[0] for what in ("misses", "false alarms"))
    assert misses.captions == [("b missed",), ("a missed", "found with 0.20")]
    assert alarms.captions == [("a 0.80 made up",), ("a 0.70 made up",)]
    np.testing.assert_allclose(alarms.windows, [[-9.5, -9.5, 14.5, 14.5], [10.5, -9.5, 34.5, 14.5]])


def test_nothing_there_and_nothing_found() -> None:
    empty = Detections(judged([], []), DATA, 0.3)
    assert empty.faults == [([], [])]
    assert not len(empty.mistakes)
    assert [len(section.content) for section in empty.sections("val")] == [1, 1, 2, 1, 1, 1]
