"""The largest output of each sample, and what becomes of a sample that has none because one of them is NaN."""

from __future__ import annotations

import numpy as np

from cnntrain.core.arrays import Array
from cnntrain.ops.scores import largest


def undecided(outputs: Array) -> Array:
    """The samples with a NaN among their outputs, bool (n,).

    In every metric that counts they are wrong, whatever the label; one that is a mean of numbers is NaN with them.
    """
    return np.asarray(np.isnan(largest(outputs))[:, 0])


def taken_for(outputs: Array, labels: Array) -> Array:
    """The class of each sample's largest output, the first of equal ones, (n,); undecided ones count as a wrong one.

    That is the first that is not the label's, so that the rows of a confusion matrix hold all samples, and whatever
    follows from it agrees with accuracy. Where there is only one class, there is no wrong one: it is that class, of
    which `correct` says that it was not found.
    """
    wrong = np.minimum(labels == 0, outputs.shape[1] - 1)
    classes: Array = np.where(undecided(outputs), wrong, outputs.argmax(axis=1))
    return classes


def correct(outputs: Array, labels: Array) -> Array:
    """Whether the largest output, the first of equal ones, is the label's: bool (n,); False for undecided samples."""
    right: Array = (outputs.argmax(axis=1) == labels) & ~undecided(outputs)
    return right
