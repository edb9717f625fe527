"""Motion: one texture drifts for some moments of each clip, and no frame or sum of frames tells where to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cnntrain.core import registry
from cnntrain.core.arrays import Array

STEPS = {
    "right": (0, 1),
    "left": (0, -1),
    "down": (1, 0),
    "up": (-1, 0),
    "still": (0, 0),
    "slow": (0, 1),
    "fast": (0, 2),
}


def made(**fields: Any) -> tuple[Array, list[str]]:
    """Clips (n, frames, h, w) about 0, and the names of their classes."""
    images = registry.make("datasets", "motion", **fields).load("train")
    return images.pixels[..., 0] / 255 - 0.5, [images.classes[label] for label in images.targets]


def drifting(clip: Array, step: tuple[int, int]) -> list[int]:
    """After which moments a clip shows what it showed, moved by the step, or the negative of that."""
    moved = np.roll(clip[:-1], step, axis=(1, 2))
    apart = np.minimum(abs(clip[1:] - moved).max(axis=(1, 2)), abs(clip[1:] + moved).max(axis=(1, 2)))
    return np.flatnonzero(apart < 0.01).tolist()


@pytest.mark.parametrize("of", ["direction", "speed"])
def test_a_texture_drifts_for_some_moments_from_any_one_on(of: str) -> None:
    clips, names = made(of=of, samples=90, noise=0.0, moving=4)
    starts = set()
    for clip, name in zip(clips, names, strict=True):
        found = [drifting(clip, step) for step in (STEPS[name], (0, -STEPS[name][1]))][: 1 + (of == "speed")]
        longest = max(found, key=len)
        assert longest == [*range(longest[0], longest[0] + 3)]
        starts.add(longest[0])
    assert starts == {*range(9)}
    with pytest.raises(ValueError, match="moving must be at most the 3 frames of a clip, got 4"):
        made(frames=3)


def test_half_of_the_moments_are_negatives_which_hides_the_drift_from_sums() -> None:
    """How two moments go together on average is the same in all classes; without negatives it is not."""
    shown = {"noise": 0.0, "moving": 12, "samples": 800}
    for negatives, told in ((0.5, False), (0.0, True)):
        clips, names = made(negatives=negatives, **shown)
        right = np.array([name == "right" for name in names])
        together = (clips[:, :-1, :, :-1] * clips[:, 1:, :, 1:]).mean(axis=(1, 2, 3))  # moved by one to the right
        difference = together[right].mean() - together[~right].mean()
        assert (abs(difference) > 5 * together.std() / np.sqrt(right.sum())) == told


def test_same_settings_same_bytes_and_classes_take_turns() -> None:
    (clips, names), (again, _) = made(samples=8), made(samples=8)
    assert clips.tobytes() == again.tobytes() != made(samples=8, seed=1)[0].tobytes()
    assert names == ["right", "left", "down", "up"] * 2
