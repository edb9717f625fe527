"""What a network answers for every pixel of a picture, beside what its mask says."""

from __future__ import annotations

from cnntrain.core.arrays import Array
from cnntrain.core.masks import IGNORED
from cnntrain.ops.argmax import taken_for


def answers(outputs: Array, mask: Array) -> tuple[Array, Array]:
    """True classes and answers (pixels,), without ignored pixels, for outputs (h, w, classes) and a mask (h, w)."""
    labels = mask.reshape(-1)
    counts = labels != IGNORED
    found, labels = outputs.reshape(-1, outputs.shape[-1])[counts], labels[counts]
    return labels, taken_for(found, labels)
