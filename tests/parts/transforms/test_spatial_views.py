"""Views of images in evaluation: what they show, that the mean of their outputs counts, and where they are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cnntrain.checks.contracts.transform import draws, photos
from cnntrain.core import registry
from cnntrain.core.errors import ConfigError
from cnntrain.engine.pool import Pool
from cnntrain.trained.inference import Trained
from tests.support.experiments import TINY, run, write

IMAGES = photos(3)


def moved(by: int) -> np.ndarray:
    """The images moved down and to the right, their border mirrored."""
    wide = np.pad(IMAGES, ((0, 0), (2, 2), (2, 2), (0, 0)), "reflect")
    return wide[:, 2 - by : 10 - by, 2 - by : 14 - by]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, [IMAGES[:, :, ::-1], IMAGES]),
        ({"mirror": False, "shift": 1}, [moved(-1), IMAGES, moved(1)]),
        ({"shift": 2}, [x[:, :, ::-1] for x in (IMAGES, moved(-2), moved(2))] + [IMAGES, moved(-2), moved(2)]),
    ],
)
def test_what_is_seen(fields: dict[str, int], expected: list[np.ndarray]) -> None:
    part = registry.make("transforms", "spatial_views", **fields)
    seen = part.apply(IMAGES, draws(range(3))).reshape(3, part.views, *IMAGES.shape[1:])
    for view, wanted in enumerate(expected):
        np.testing.assert_array_equal(seen[:, view], wanted)
    np.testing.assert_array_equal(seen[:, part.views // 2], IMAGES)
    clips = IMAGES.reshape(1, *IMAGES.shape)
    np.testing.assert_array_equal(part.applied(clips, lambda _: draws(range(1)))[part.views // 2], IMAGES)


def test_the_mean_of_the_outputs_counts(tmp_path: Path) -> None:
    images = np.random.default_rng(1).random((5, 8, 8, 1), np.float32)
    seen = [images, np.ascontiguousarray(images[:, :, ::-1])]
    outputs = {}
    for views in ("", ", spatial_views"):
        run(
            write(tmp_path, TINY),
            tmp_path / f"run{views}",
            ("train.epochs=1", f"data.eval_transforms=[{{type: normalize, from: dataset}}{views}]"),
        )
        with Pool(2) as pool:
            trained = Trained(tmp_path / f"run{views}" / "checkpoints" / "last.npz", pool)
            outputs[views] = [trained.outputs(view) for view in seen]
    np.testing.assert_allclose(outputs[", spatial_views"][0], np.mean(outputs[""], axis=0), atol=1e-6)


def test_one_view_is_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is one view"):
        run(write(tmp_path, TINY), tmp_path / "run", ("data.eval_transforms=[{type: spatial_views, mirror: false}]",))
