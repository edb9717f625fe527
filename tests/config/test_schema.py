from __future__ import annotations

import math
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest

from cnntrain.config import schema
from cnntrain.config.fields import Duration, Pattern, Range, annotations_of
from cnntrain.config.load import load
from cnntrain.core.errors import ConfigError
from cnntrain.sweep import space
from tests.support.configs import SMALL, complaints, loaded, replaced


@pytest.mark.parametrize(
    ("addition", "complaint"),
    [
        ("  steps: 5\n", "10:3 train needs exactly one of 'epochs', 'steps' and 'samples'"),
        ("  until: {metric: loss}\n", "11:10 until needs exactly one of 'at_most' and 'at_least'"),
        ("  until: {metric: loss, at_most: 1, at_least: 2}\n", "11:10 until needs exactly one of"),
        ("checkpoint: {every: 0ep}\n", "11:21 every must be greater than zero, got 0ep"),
    ],
)
def test_rules_across_keys(addition: str, complaint: str) -> None:
    assert complaints(SMALL + addition)[0].startswith(complaint)


def test_train_needs_an_end() -> None:
    message = complaints(replaced("epochs: 2", "batch_size: 2"))[0]
    assert message.endswith("exactly one of 'epochs', 'steps' and 'samples'")


@pytest.mark.parametrize(
    ("model", "found"),
    [
        ("{init_from: {checkpoint: a.npz}}", ""),
        ("{preset: lenet5, layers: [flatten]}", "; found 'layers' at {0}:3 and 'preset' at {0}:3: keep one of them"),
    ],
)
def test_a_model_is_its_layers_or_a_ready_one(model: str, found: str) -> None:
    text = SMALL[: SMALL.index("model:")] + f"model: {model}\n" + SMALL[SMALL.index("train:") :]
    assert complaints(text)[0] == "3:8 model needs exactly one of 'layers' and 'preset'" + found.format("test.yaml")


def test_what_an_override_has_no_place_beside_is_named_with_what_takes_it_out(tmp_path: Path) -> None:
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    with pytest.raises(ConfigError) as refused:
        load([path], ["train.steps=5"])
    message = str(refused.value).splitlines()[0]
    assert message == (
        "--set:1:13: train needs exactly one of 'epochs', 'steps' and 'samples'; "
        f"found 'epochs' at {path}:10 and 'steps' at --set:1: train.epochs=null takes 'epochs' out"
    )
    assert load([path], ["train.steps=5", "train.epochs=null"]).experiment.train.steps == 5


def _beyond(annotation: Any) -> Iterator[Any]:
    """Values that a field does not take, one for each of its bounds."""
    base, *marks = typing.get_args(annotation) if typing.get_origin(annotation) is Annotated else (annotation,)
    yield from (int(mark.low) - 1 if base is int else math.nan for mark in marks if isinstance(mark, Range))
    yield from ("" for mark in marks if isinstance(mark, Pattern))
    if typing.get_origin(base) in (typing.Union, types.UnionType):
        for inner in typing.get_args(base):
            yield from _beyond(inner)


def test_sections_have_the_bounds_of_the_file_in_python_too() -> None:
    """All that check themselves; an experiment is what the reader has made."""
    modules = {module.__name__: module for module in (schema, space)}
    found = [cls for module in modules.values() for cls in vars(module).values() if hasattr(cls, "__post_init__")]
    tried = set()
    for section in {cls for cls in found if cls.__module__ in modules} - {schema.Experiment}:
        for name, annotation in annotations_of(section).items():
            for value in _beyond(annotation):
                built = object.__new__(section)
                vars(built).update(dict.fromkeys(annotations_of(section)) | {name: value})
                with pytest.raises(ValueError, match=f"^{name} must be "):
                    built.__post_init__()
                tried.add(section)
    assert {schema.TrainConfig, schema.EarlyStopping, schema.Until, space.Spread, space.Pruning} <= tried


def test_everything_but_data_model_and_train_has_a_default() -> None:
    experiment = loaded(SMALL).experiment
    assert experiment.seed == 0
    assert experiment.loss.name_in_config == "cross_entropy"
    assert experiment.optimizer.name_in_config == "sgd"
    assert experiment.schedule.name_in_config == "constant"
    assert experiment.init.weights.name_in_config == "he_normal"
    assert experiment.checkpoint.every == Duration(1, "ep")
    assert experiment.data.val is None
