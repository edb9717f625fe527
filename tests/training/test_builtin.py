"""The weights that come with tiny32: what the file is, that a config names them, and that nothing else may."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cnntrain.config.load import load, load_text
from cnntrain.core.description import Description
from cnntrain.core.errors import ConfigError
from cnntrain.network import build
from cnntrain.parts.models.tiny import Tiny32
from cnntrain.rundir.checkpoint import read
from cnntrain.training.warm_start import WarmStart, warm_start
from tests.support.builtin import FILE, NOTICE

ROOT = Path(__file__).parents[2]
TEXT = """\
data: {{source: {{type: image_folder, root: x, size: {side}}}}}
model: {{{model}}}
train: {{epochs: 1}}
"""


def started(side: int, model: str) -> WarmStart | None:
    loaded = load_text(TEXT.format(side=side, model=model), "x.yaml")
    return warm_start(loaded, build.network(loaded, Description((side, side, 3), ("a", "b", "c"))))


def test_the_file_is_small_says_whose_data_made_it_and_holds_no_more_than_weights() -> None:
    saved = read(FILE)
    assert FILE.stat().st_size < 1_200_000
    assert saved.meta["notice"] == NOTICE
    assert all(name.startswith("param/") for name in saved.arrays)
    assert saved.meta["environment"]["blas"]


def test_it_was_made_by_the_config_that_ships() -> None:
    shipped = load([ROOT / "configs/pretrained-tiny32.yaml"]).experiment
    made = read(FILE).meta["config"]
    for key in ("seed", "optimizer.lr", "optimizer.weight_decay", "train.epochs", "train.batch_size", "schedule.type"):
        then, now = made, shipped
        for part in key.split("."):
            then = then[part]
            now = now.name_in_config if part == "type" else getattr(now, part)
        assert then == now, key
    (normalize,) = shipped.data.eval_transforms
    assert (normalize.mean, normalize.std) == (Tiny32.mean, Tiny32.std)


@pytest.mark.parametrize("side", [32, 96])
def test_all_but_the_head_is_loaded_at_any_size(side: int) -> None:
    warm = started(side, "preset: tiny32, init_from: {checkpoint: builtin, ignore: [head]}")
    assert warm is not None
    assert warm.ignored == ("head.weight", "head.bias")
    assert len(warm.arrays) == 5 * 5
    assert all(np.isfinite(array).all() for array in warm.arrays.values())


@pytest.mark.parametrize("model", ["preset: resnet20", "layers: [flatten, {type: dense, units: auto}]"])
def test_another_network_has_none(model: str) -> None:
    with pytest.raises(ConfigError, match=r"builtin weights are those of preset tiny32. Use it, or name a checkpoint"):
        started(32, f"{model}, init_from: {{checkpoint: builtin}}")
