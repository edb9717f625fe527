"""Boxes: packed into records, moved with the picture, cut off and dropped by one rule, and led back."""

from __future__ import annotations

import numpy as np
import pytest

from cnntrain.core.arrays import Array
from cnntrain.core.boxes import CROWD, DIFFICULT, LEAST_SHOWN, Boxes, moved, original, packed
from cnntrain.core.moves import Move

PLAIN = np.array([[1, 1, 0, 0]], np.float32)  # a picture that the network gets as it is


def records(*corners: tuple[float, ...], size: tuple[int, int] = (10, 20)) -> Array:
    return packed([Boxes(size, np.array(corners, np.float32), np.arange(len(corners)))], PLAIN)


def shifted(x: float, y: float, random: bool = True) -> Move:
    return Move(np.array([[[1, 0, x], [0, 1, y]]], np.float64), (10, 20), (10, 20), random)


def test_records_are_padded_to_the_most() -> None:
    one = Boxes((10, 20), np.array([[1, 2, 3, 6]], np.float32), np.array([4]))
    two = Boxes(
        (8, 8),
        np.array([[0, 0, 8, 8], [2, 2, 4, 4]], np.float32),
        np.array([1, 0]),
        np.array([DIFFICULT, CROWD], np.uint8),
        np.array([50, 3], np.float32),
    )
    none = Boxes((3, 3))
    found = packed([one, two, none], np.array([[2, 3, 0, 1], [1, 1, 0, 0], [1, 1, 0, 0]], np.float32))
    assert found["corners"].shape == (3, 2, 4)
    assert found["labels"].tolist() == [[4, -1], [1, 0], [-1, -1]]
    assert found["corners"][0, 0].tolist() == [2, 7, 6, 19]
    assert found["areas"][:, 0].tolist() == [8, 50, 0]
    assert found["roles"].tolist() == [[0, 0], [DIFFICULT, CROWD], [0, 0]]
    assert found["shown"].tolist() == [[1, 0], [1, 1], [0, 0]]
    assert found["size"].tolist() == [[10, 20], [8, 8], [3, 3]]
    assert original(found["corners"][0, 0], found["frame"][0]).tolist() == [1, 2, 3, 6]


def test_a_box_moves_with_its_picture_and_is_cut_off_at_its_border() -> None:
    found = moved(records((2, 2, 12, 8)), shifted(-4, 0))
    assert found["corners"][0].tolist() == [[0, 2, 8, 8]]
    assert found["shown"][0] == pytest.approx([0.8])
    assert found["frame"][0].tolist() == [1, 1, 0, 0], "chance is not led back"


def test_a_turned_box_is_the_smallest_upright_one_around_its_corners() -> None:
    turn = Move(np.array([[[0.0, -1, 10], [1, 0, 0]]]), (10, 20), (20, 10), True)  # a quarter, clockwise
    found = moved(records((2, 1, 12, 4)), turn)
    assert found["corners"][0].tolist() == [[6, 2, 9, 12]]


@pytest.mark.parametrize(("width", "stays"), [(10 * LEAST_SHOWN - 0.05, False), (10 * LEAST_SHOWN + 0.05, True)])
def test_a_box_of_which_too_little_is_left_is_dropped(width: float, stays: bool) -> None:
    found = moved(records((0, 0, 10, 10), (12, 1, 19, 9)), shifted(width - 10, 0))
    assert found["labels"][0].tolist() == [0 if stays else -1, 1]
    assert bool(found["corners"][0, 0].any()) is stays


def test_what_is_left_counts_over_all_transforms() -> None:
    found = moved(records((0, 0, 10, 10)), shifted(-7, 0))  # 30% are left
    assert found["labels"][0].tolist() == [0]
    assert moved(found, shifted(0, -7.5))["labels"][0].tolist() == [-1], "25% of 30%"
    assert moved(records((0, 0, 10, 10)), shifted(0, -7.5))["labels"][0].tolist() == [0]


def test_a_sliver_is_dropped() -> None:
    assert moved(records((0, 0, 2, 9)), shifted(-1.2, 0))["labels"][0].tolist() == [-1], "0.8 pixels wide"
    assert moved(records((0, 0, 2, 9)), shifted(-1.2, 0, random=False))["labels"][0].tolist() == [0]


def test_an_even_move_is_led_back_exactly() -> None:
    boxes = Boxes((10, 20), np.array([[2, 1, 12, 4]], np.float32), np.array([0]))
    found = packed([boxes], np.array([[2, 2, 0, 10]], np.float32))
    halved = Move(np.array([[[0.5, 0, 3], [0, 0.5, 1]]]), (40, 40), (30, 30))
    found = moved(found, halved)
    assert found["corners"][0, 0].tolist() == [5, 7, 15, 10]
    assert original(found["corners"], found["frame"][:, None])[0, 0].tolist() == [2, 1, 12, 4]


def test_packed_boxes_are_cut_off_where_the_picture_is() -> None:
    boxes = Boxes((10, 20), np.array([[0, 0, 4, 10], [4, 2, 12, 6], [19, 0, 20, 10]], np.float32), np.arange(3))
    found = packed([boxes], np.array([[1, 1, -5, 0]], np.float32), (10, 10))  # the middle of it
    assert found["labels"][0].tolist() == [-1, 1, -1]
    assert found["corners"][0, 1].tolist() == [0, 2, 7, 6]
    assert found["shown"][0].tolist() == pytest.approx([0, 7 / 8, 0])


def test_a_move_leaves_what_it_is_given() -> None:
    before = records((2, 2, 12, 8))
    copy = before.copy()
    moved(before, shifted(-4, 0))
    assert before.tobytes() == copy.tobytes()
