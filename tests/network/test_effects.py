"""What a config sets for some layers acts on a parameter, or it is an error at its place; in new runs."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from cnntrain.config.dump import plain, to_yaml
from cnntrain.config.load import Loaded, load_text
from cnntrain.core.errors import ConfigError
from cnntrain.data import build_data
from cnntrain.network import build

TEXT = """\
data: {source: {type: synthetic, size: 8, classes: 3}}
model:
  layers:
    - {type: residual, name: stage, body: [{type: conv2d, filters: 1, kernel_size: 3, padding: same}, batch_norm]}
    - {type: conv2d, name: bare, filters: 4, kernel_size: 3, bias: false}
    - relu
    - {type: batch_norm, name: norm}
    - flatten
    - {type: dense, units: auto, name: head, init: lecun_normal}
"""


def loaded(text: str, entry: str = "") -> Loaded:
    """The config above with some more, its fifth layer replaced where another entry is given."""
    text = text if "train:" in text else f"{text}\ntrain: {{epochs: 1}}\n"
    return load_text(TEXT.replace("{type: batch_norm, name: norm}", entry or "batch_norm") + text, "test.yaml")


def built(config: Loaded) -> build.Network:
    description = build_data.describe(config)
    assert description is not None
    return build.network(config, description)


RULES = "init: {rules: ["
GROUPS = "optimizer: {type: sgd, groups: ["
PENALTIES = "train: {epochs: 1, regularize: ["

IDLE = [
    (f"{RULES}{{match: heda, weights: zeros}}]}}", "match 'heda' fits no layer with parameters; did you mean 'head'?"),
    (f"{RULES}{{match: relu_1, weights: zeros}}]}}", "match 'relu_1' fits no layer with parameters; known: bare, "),
    (f"{RULES}{{match: stage}}]}}", "the rule for 'stage' sets neither weights nor biases: give it one of them"),
    (f"{RULES}{{match: bare, biases: ones}}]}}", "match 'bare' fits only layers without biases: leave biases out"),
    (
        f"{RULES}{{match: '*norm*', biases: ones}}]}}",
        "match '*norm*' fits only biases that rules leave as they are (stage.batch_norm_1.shift, batch_norm_1.shift): "
        "`bias_init` of the layer itself sets how they start",
    ),
    (f"{RULES}{{match: head, weights: ones}}]}}", "rules leave as they are (head.weight): `init` of the layer itself"),
    (f"{GROUPS}{{match: hed, lr_mult: 2}}]}}", "'hed' fits no layer with trained parameters; did you mean 'head'?"),
    (f"{GROUPS}{{match: head}}]}}", "the group 'head' sets neither lr_mult nor weight_decay: give it one of them"),
    (
        f"{GROUPS}{{match: batch_norm_1, weight_decay: 50}}]}}",
        "weight_decay acts on weights alone, and match 'batch_norm_1' fits only parameters of role norm: leave it out",
    ),
    (f"{PENALTIES}{{type: l2, match: hed}}]}}", "'hed' fits no layer with trained parameters; did you mean 'head'?"),
    (
        f"{PENALTIES}{{type: l2, match: batch_norm_1}}]}}",
        "match 'batch_norm_1' fits only parameters of role norm: roles: [norm] reaches them",
    ),
    (
        f"{PENALTIES}{{type: l2, roles: []}}]}}",
        "roles is empty, so it acts on nothing: name some of weight, bias, norm",
    ),
]


@pytest.mark.parametrize(("text", "message"), IDLE)
def test_a_rule_that_does_nothing_is_an_error_at_its_place_and_may_stand_in_a_run_that_has_begun(text, message):
    config = loaded(text)
    with pytest.raises(ConfigError) as raised:
        built(config)
    (problem,) = raised.value.problems
    assert (problem.where.line, problem.where.column) == (10, text.index("[{") + 2)
    assert message in problem.message
    built(dataclasses.replace(config, begun=True))


@pytest.mark.parametrize(
    "text",
    [
        f"{RULES}{{match: '*', biases: zeros}}, {{match: stage, weights: ones, biases: ones}}]}}",
        f"{RULES}{{match: 'stage.*', weights: ones}}]}}",
        f"{GROUPS}{{match: '*', weight_decay: 1}}, {{match: stage, lr_mult: 0}}, {{match: head, lr_mult: 1}}]}}",
        f"{GROUPS}{{match: '*norm*', weight_decay: 0}}]}}",  # as it is without
        f"{GROUPS}{{match: head, weight_decay: 0}}, {{match: head, lr_mult: 1}}]}}",
        f"{GROUPS}{{match: h*, lr_mult: 3, weight_decay: 1}}, {{match: head, lr_mult: 1, weight_decay: 0}}]}}",
        f"{RULES}{{match: '*', weights: ones}}, {{match: stage, weights: zeros}}, {{match: bare, weights: zeros}}]}}",
        f"{PENALTIES}{{type: l1, match: stage}}, {{type: l2, match: '*norm*', roles: [bias, norm]}}]}}",
    ],
)
def test_rules_that_act_may_name_structures_and_be_overruled_by_later_ones(text):
    config = loaded(text)
    built(config)
    built(load_text(to_yaml(plain(config.experiment)), "whole.yaml"))


def test_the_name_of_a_structure_means_all_its_layers():
    config = loaded(f"{RULES}{{match: stage, weights: {{type: constant, value: 3}}}}]}}\n")
    graph = built(config).graph
    params = np.zeros(graph.layout.size)
    build.initialize(graph, config.experiment.init, 0, params)
    views = graph.layout.views(params)
    assert (views["stage.conv2d_1.weight"] == 3).all()
    assert not (views["bare.weight"] == 3).any()


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{type: conv2d, filters: 4, kernel_size: 3, bias: false, bias_init: ones}", "bias_init does nothing, since "),
        ("{type: batch_norm, affine: false, init: zeros}", "init does nothing, since as it is set this layer has no "),
        ("{type: batch_norm, affine: false, lr_mult: 3}", "lr_mult does nothing, since as it is set this layer has "),
        ("{type: layer_norm, affine: false, freeze: true}", "freeze does nothing, since as it is set this layer has "),
        ("{type: group_norm, groups: 1}", None),
        ("{type: batch_norm, affine: false, freeze: true}", None),  # which keeps its statistics
        ("{type: batch_norm, init: zeros, bias_init: ones, lr_mult: 2}", None),
    ],
)
def test_an_option_for_parameters_that_a_layer_does_not_have_is_an_error_at_the_layer(entry, message):
    if message is None:
        built(loaded("", entry))
        return
    with pytest.raises(ConfigError, match=message) as raised:
        built(loaded("", entry))
    assert raised.value.problems[0].where.line == 7
    built(dataclasses.replace(loaded("", entry), begun=True))


ONE = "{type: conv2d, filters: 1, kernel_size: 1}"


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (
            ("global_avg_pool", "{type: group_norm, groups: 4}"),
            "group_norm with groups 4 has one value a group here: every output would be the shift; use fewer groups",
        ),
        (
            (ONE, "{type: layer_norm, affine: false}"),
            "layer_norm has one channel here: every output would be 0; leave it out",
        ),
        (
            ("global_avg_pool", "{type: dense, units: 1}", "{type: group_norm, groups: 1}"),
            "group_norm with groups 1 has one value a group here: every output would be the shift; leave it out",
        ),
        (("global_avg_pool", "{type: group_norm, groups: 2}"), None),
        ((ONE, "{type: group_norm, groups: 1}"), None),
        ((ONE, "rms_norm"), None),
    ],
)
def test_a_norm_of_single_values_is_refused_in_new_runs(entries, message):
    config = loaded("", "\n    - ".join(entries))
    if message is None:
        built(config)
        return
    with pytest.raises(ConfigError) as raised:
        built(config)
    assert raised.value.problems[0].message.endswith(message)
    built(dataclasses.replace(config, begun=True))
