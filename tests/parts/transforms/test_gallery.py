"""The reference's picture of every transform: none is left out, and each can be seen to do something."""

from __future__ import annotations

import numpy as np
import pytest

from cnntrain.core import registry
from tests.parts.transforms.test_transforms import NEEDS
from tests.support import gallery
from tests.support.pages import PARTS


def test_the_reference_shows_the_picture() -> None:
    assert "](../../data/transforms.png)" in PARTS.text


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=NEEDS.get(name, ()))
        for name, part in registry.parts("transforms").items()
        if not part.of_sounds and not part.whole_clips  # type: ignore[attr-defined]
    ],
)
def test_each_can_be_seen(name: str) -> None:
    if name == "zca_whiten":
        pytest.skip("takes seconds to be measured; test_transforms.py has it")
    before, after = (np.asarray(gallery.shown(image)) for image in (gallery.scene() / 255, gallery.result(name)))
    assert before.shape != after.shape or np.abs(before.astype(int) - after).mean() > 2
