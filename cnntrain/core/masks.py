"""Masks say of every pixel of a picture which class it belongs to: uint8 (height, width), in the picture's own grid."""

from __future__ import annotations

import numpy as np

from cnntrain.core.arrays import Array

MASKS = "mask"  # Description.target of samples whose targets are masks (n, height, width)
IGNORED = 255  # the value of a pixel that is of no class: it is not learned from, and not judged
MOST = 255  # classes: there can be no more besides that value


def palette(classes: int) -> Array:
    """The colours of Pascal VOC for `classes` classes, uint8 (classes, 3): bits of the label spread over the channels.

    Black is class 0; 255, what VOC ignores, would be (224, 224, 192) (VOC devkit, `VOClabelcolormap`, 2007).
    """
    labels = np.arange(classes)
    colours = np.zeros((classes, 3), np.uint8)
    for bit in range(8):
        for channel in range(3):
            colours[:, channel] |= ((labels >> (3 * bit + channel) & 1) << (7 - bit)).astype(np.uint8)
    return colours
