"""A confusion matrix tells how often which class was taken for which, where classes are few enough to be shown."""

from __future__ import annotations

import numpy as np

from cnntrain.core.arrays import Array
from cnntrain.core.description import Description
from cnntrain.parts.tasks.base import Task

MOST = 100  # classes


def matrix(task: Task, judged: Array, data: Description) -> Array | None:
    """The counts (classes, classes), int64, of samples that were judged; None of too many, or where the task has none.

    A row for each true class, in the columns of what it was taken for.
    """
    found = task.breakdown(judged, data).get("confusion") if len(data.classes) <= MOST else None
    return None if found is None else np.rint(found).astype(np.int64)
