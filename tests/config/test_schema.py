from __future__ import annotations

import pytest

from cnntrain.config.fields import Duration
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


def test_everything_but_data_model_and_train_has_a_default() -> None:
    experiment = loaded(SMALL).experiment
    assert experiment.seed == 0
    assert experiment.loss.name_in_config == "cross_entropy"
    assert experiment.optimizer.name_in_config == "sgd"
    assert experiment.schedule.name_in_config == "constant"
    assert experiment.init.weights.name_in_config == "he_normal"
    assert experiment.checkpoint.every == Duration(1, "ep")
    assert experiment.data.val is None
