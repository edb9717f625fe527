"""Build: what a config says about data, network and first parameters, and where it is told that it does not fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cnntrain.config.load import Loaded, load_text
from cnntrain.config.schema import InitConfig, InitRule
from cnntrain.core.arrays import Array
from cnntrain.core.description import Description
from cnntrain.core.errors import ConfigError, DataError
from cnntrain.core.registry import make
from cnntrain.data import build_data
from cnntrain.network import build
from cnntrain.network.graph import Graph
from cnntrain.training import job, rates
from tests.support.networks import declared, graph_of

d = declared

TEXT = """\
data:
  source: {type: synthetic, size: 8, channels: 3, classes: 3, samples: 50}
  val: 0.2
  train_transforms: [hflip]
  eval_transforms: []
model:
  layers:
    - flatten
    - {type: dense, units: auto}
train: {epochs: 3, batch_size: 7}
"""


def loaded(*changes: tuple[str, str]) -> Loaded:
    """The config above with some of its text exchanged."""
    text = TEXT
    for old, new in changes:
        assert text.count(old) == 1
        text = text.replace(old, new)
    return load_text(text, "test.yaml")


def network(*changes: tuple[str, str]) -> build.Network:
    config = loaded(*changes)
    description = build_data.describe(config)
    assert description is not None
    return build.network(config, description)


def refusal(*changes: tuple[str, str]) -> str:
    """`line:column message` of the one thing wrong with a network."""
    with pytest.raises(ConfigError) as raised:
        network(*changes)
    (problem,) = raised.value.problems
    return f"{problem.where.line}:{problem.where.column} {problem.message}"


# -- the network -----------------------------------------------------------------------------------------------------


def test_a_network_follows_from_the_config_and_the_data():
    found = network(("[hflip]", "[haar]"), ("eval_transforms: []", "eval_transforms: [haar]"))
    assert found.image_shape == (8, 8, 3)
    assert found.graph.input_shape == (4, 4, 12)
    assert found.graph.output_shape == (3,)
    assert found.classes == ("0", "1", "2")
    assert found.loss == make("losses", "cross_entropy")
    assert [metric.name_in_config for metric in found.tally.metrics] == ["accuracy", "error"]


def test_the_shard_is_what_the_config_says_up_to_a_batch():
    """In evaluation, too, for a sample's bits depend on it."""
    found = [
        network(("batch_size: 7", text)).graph.shard
        for text in ("batch_size: 7", "batch_size: 7, shard: 5", "batch_size: 7, shard: 1000", "batch_size: 16")
    ]
    assert found == [8, 5, 7, 8]


def test_lists_of_transforms_must_end_in_one_shape():
    assert refusal(("eval_transforms: []", "eval_transforms: [haar]")) == (
        "5:20 training images become (8, 8, 3), evaluation images (4, 4, 12): "
        "give both lists the transforms that change the shape"
    )


def test_a_rate_that_was_forgotten_in_one_list_is_told_and_not_the_shapes_it_leads_to():
    source = "{type: vowels, samples: 50, features: waveform, sample_rate: 8000, duration: 0.5}"
    found = refusal(
        ("{type: synthetic, size: 8, channels: 3, classes: 3, samples: 50}", source),
        ("[hflip]", "[{type: log_mel, sample_rate: 8000}]"),
        ("eval_transforms: []", "eval_transforms: [log_mel]"),
    )
    assert found == "5:21 log_mel has sample_rate 16,000, the sounds have 8,000: give both the same"


def test_a_transform_that_cannot_take_its_image_is_named_at_its_place():
    found = refusal(("train_transforms: [hflip]", "train_transforms: [{type: random_crop, padding: 0, size: 9}]"))
    assert found == (
        "4:22 random_crop: cannot cut 9x9 out of a 8x8 image padded by 0: make size smaller or padding larger"
    )
    second = refusal(("train_transforms: [hflip]", "train_transforms: [hflip, {type: gaussian_blur, kernel_size: 21}]"))
    assert second == "4:29 gaussian_blur: a 8x8 image is too small for kernel_size 21"


@pytest.mark.parametrize(
    ("layer", "init", "said"),
    [
        (
            "",
            "weights: dirac",
            "9:7 dense_1.weight: dirac needs the kernels of a convolution, got a parameter of shape",
        ),
        (", init: dirac", "", "9:7 dense_1.weight: dirac needs the kernels"),
        ("", "biases: orthogonal", "9:7 dense_1.bias: orthogonal needs a matrix or a kernel"),
    ],
)
def test_an_initializer_that_cannot_fill_a_parameter_is_told_at_the_layer(layer: str, init: str, said: str) -> None:
    found = refusal(("units: auto", f"units: auto{layer}"), ("train: {", f"init: {{{init}}}\ntrain: {{"))
    assert found.startswith(said)
    assert found.endswith("say with `init.rules` which layers this one is for")


def test_too_few_outputs_are_told_at_the_last_layer_or_at_the_loss_where_one_is_written():
    wrong = ("units: auto", "units: 4")
    message = "the network ends with 4 outputs, the data has 3 classes: give the last dense layer 'units: auto'"
    assert refusal(wrong) == f"9:7 {message}"
    assert refusal(wrong, ("train: {", "loss: {type: mse}\ntrain: {")) == f"10:7 {message}"


def test_an_image_cannot_be_scored():
    assert refusal(("    - flatten\n    - {type: dense, units: auto}", "    - relu")) == (
        "8:7 cross_entropy needs features, got (8, 8, 3): put flatten or global_avg_pool before"
    )


def test_a_loss_for_classes_refuses_values():
    with pytest.raises(ConfigError, match=r"target values: use mse, or, if .* one-hot .*y\.argmax\(1\)"):
        build.network(loaded(), Description((8, 8, 3), (), values=3))
    found = build.network(loaded(("train: {", "loss: mse\ntrain: {")), Description((8, 8, 3), (), values=2))
    assert found.graph.output_shape == (2,)
    assert found.tally.metrics == ()


@pytest.mark.parametrize("name", ["accuracy", "confusion", "f1", "auc", "log_loss"])
def test_a_metric_of_classes_refuses_values(name):
    values = Description((8, 8, 3), (), values=2)
    config = loaded(("train: {", f"loss: mse\ntrain: {{metrics: [mae, {name}], "))
    with pytest.raises(ConfigError, match=f"{name} needs classes, the data has target values: use mae or mse"):
        build.network(config, values)
    config = loaded(("train: {", "loss: mse\ntrain: {metrics: [loss, mae, mse], "))
    assert [metric.label() for metric in build.network(config, values).tally.metrics] == ["mae", "mse"]


def test_the_loss_among_the_metrics_is_measured_once():
    found = network(("batch_size: 7", "batch_size: 7, metrics: [loss, {type: top_k, k: 2}]"))
    assert [metric.label() for metric in found.tally.metrics] == ["top2"]
    assert list(found.tally.values(found.tally.zeros())) == ["loss", "top2"]


# -- data ------------------------------------------------------------------------------------------------------------


def test_a_share_of_the_training_samples_validates():
    data = build_data.read_data(loaded())
    assert data.val is data.train
    assert sorted([*data.train_indices, *data.val_indices]) == list(range(50))
    assert len(data.val_indices) == 10
    assert np.array_equal(build_data.read_data(loaded()).val_indices, data.val_indices)


def test_the_seed_chooses_who_validates():
    first, other = (build_data.read_data(loaded(("train: {", f"seed: {seed}\ntrain: {{"))) for seed in (0, 1))
    assert not np.array_equal(first.val_indices, other.val_indices)


def test_a_source_of_its_own_validates():
    val = "val: {type: synthetic, size: 8, channels: 3, classes: 3, samples: 9, seed: 5}"
    data = build_data.read_data(loaded(("val: 0.2", val)))
    assert len(data.train_indices) == 50
    assert data.val is not None
    assert len(data.val) == len(data.val_indices) == 9


def test_without_val_and_without_a_split_nobody_validates():
    config = loaded(("  val: 0.2\n", ""))
    data = build_data.read_data(config)
    assert data.val is None
    assert len(data.val_indices) == 0
    assert not build_data.validates(config.experiment)
    assert build_data.validates(loaded().experiment)


def test_a_source_with_a_validation_split_uses_it(tmp_path):
    rng = np.random.default_rng(0)
    arrays: dict[str, Array] = {}
    for split, count in (("train", 12), ("val", 6)):
        arrays[f"x_{split}"] = rng.integers(0, 255, (count, 4, 4), dtype=np.uint8)
        arrays[f"y_{split}"] = np.arange(count) % 3
    np.savez(tmp_path / "data.npz", **arrays)
    synthetic = "{type: synthetic, size: 8, channels: 3, classes: 3, samples: 50}"
    config = loaded((synthetic, f"{{type: npz, path: {tmp_path}/data.npz}}"), ("  val: 0.2\n", ""))
    data = build_data.read_data(config)
    assert build_data.validates(config.experiment)
    assert data.val is not None
    assert np.array_equal(data.val.pixels[..., 0], arrays["x_val"])
    assert len(data.train_indices) == 12


def test_validation_samples_of_another_kind_are_refused():
    val = "val: {type: synthetic, size: 9, channels: 3, classes: 3}"
    with pytest.raises(DataError, match="validation samples are 9x9x3 of 3 classes, training samples 8x8x3"):
        build_data.read_data(loaded(("val: 0.2", val)))


def test_a_share_that_is_nobody_is_an_error_at_its_place():
    with pytest.raises(ConfigError, match=r"^test\.yaml:3:8: a share of 0\.001 of 50 samples is none"):
        build_data.read_data(loaded(("val: 0.2", "val: 0.001")))


def test_transforms_are_measured_on_the_training_samples_alone():
    normalize = "[{type: normalize, from: dataset}]"
    data = build_data.measured(
        build_data.read_data(loaded(("[hflip]", normalize), ("eval_transforms: []", f"eval_transforms: {normalize}")))
    )
    mean = data.train.pixels[data.train_indices].mean(axis=(0, 1, 2)) / 255
    for (transform,) in (data.train_transforms, data.eval_transforms):
        np.testing.assert_allclose(transform.mean, mean, rtol=1e-6)


def test_the_horizon_is_counted_in_epochs_or_in_steps():
    assert rates.horizon(loaded().experiment, 6, 60).total_steps == 18
    assert rates.horizon(loaded(("epochs: 3", "steps: 11")).experiment, 6, 60).total_steps == 11


# -- first parameters ------------------------------------------------------------------------------------------------


def values(graph: Graph, init: InitConfig | None = None, seed: int = 0) -> dict[str, Array]:
    """The first values of every parameter."""
    flat = np.zeros(graph.layout.size)
    build.initialize(graph, init or InitConfig(), seed, flat)
    return graph.layout.views(flat)


def constant(value: float) -> Any:
    return make("initializers", "constant", value=value)


def test_by_default_weights_are_he_normal_and_biases_zero():
    graph = graph_of([d("flatten"), d("dense", units=200, name="a"), d("dense", units=300, name="b")], (10, 10, 1))
    found = values(graph)
    assert found["a.weight"].std() == pytest.approx((2 / 100) ** 0.5, rel=0.02)
    assert found["b.weight"].std() == pytest.approx((2 / 200) ** 0.5, rel=0.02)
    assert not found["a.bias"].any()


def test_a_declared_start_wins_over_every_rule():
    graph = graph_of([d("batch_norm", name="norm")])
    rule = InitRule("*", constant(7), constant(7))
    found = values(graph, InitConfig(weights=constant(7), biases=constant(7), rules=(rule,)))
    assert found["norm.scale"].tolist() == found["norm.running_var"].tolist() == [1, 1]
    assert found["norm.shift"].tolist() == found["norm.running_mean"].tolist() == [0, 0]


def test_a_layers_own_init_wins_over_the_last_matching_rule_and_that_over_the_default():
    layers = [
        d("conv2d", filters=2, kernel_size=1, name="stem"),
        d("repeat", n=2, name="stage", body=(d("conv2d", filters=2, kernel_size=1, name="conv"),)),
        d("conv2d", filters=2, kernel_size=1, name="own", init=constant(8), bias_init=constant(9)),
    ]
    rules = (
        InitRule("stage.*", weights=constant(3), biases=constant(4)),
        InitRule("*.2.conv", weights=constant(5)),  # says nothing of biases
        InitRule("own", weights=constant(6)),
        InitRule("Stem", weights=constant(7)),  # names are as they are written
    )
    found = values(graph_of(layers), InitConfig(weights=constant(1), biases=constant(2), rules=rules))
    assert {name: view.flat[0] for name, view in found.items()} == {
        "stem.weight": 1,
        "stem.bias": 2,
        "stage.1.conv.weight": 3,
        "stage.1.conv.bias": 4,
        "stage.2.conv.weight": 5,
        "stage.2.conv.bias": 4,
        "own.weight": 8,
        "own.bias": 9,
    }


def test_a_rule_names_a_whole_node():
    graph = graph_of([d("conv2d", filters=2, kernel_size=1, name="stem2")])
    init = InitConfig(weights=constant(1), rules=(InitRule("stem", constant(3)),))
    assert values(graph, init)["stem2.weight"].flat[0] == 1


def test_adding_a_layer_leaves_the_values_of_the_others_alone():
    stem, head = d("conv2d", filters=3, kernel_size=3, name="stem"), d("conv2d", filters=2, kernel_size=1, name="head")
    before = values(graph_of([stem, head]))
    after = values(graph_of([stem, d("conv2d", filters=3, kernel_size=3, name="new"), d("batch_norm"), head]))
    for name, view in before.items():
        assert np.array_equal(view, after[name])
    assert before["stem.weight"].any()


def test_values_are_a_function_of_the_seed_and_differ_between_parameters():
    conv = {"filters": 2, "kernel_size": 3, "padding": 1}
    graph = graph_of([d("conv2d", name="a", **conv), d("conv2d", name="b", **conv)])
    found = values(graph, seed=4)
    assert np.array_equal(found["a.weight"], values(graph, seed=4)["a.weight"])
    assert not np.array_equal(found["a.weight"], values(graph, seed=5)["a.weight"])
    assert not np.array_equal(found["a.weight"], found["b.weight"])


def test_float32_and_float64_networks_start_from_the_same_numbers():
    graph = graph_of([d("conv2d", filters=3, kernel_size=3)])
    narrow = np.zeros(graph.layout.size, np.float32)
    build.initialize(graph, InitConfig(), 0, narrow)
    assert np.array_equal(graph.layout.views(narrow)["conv2d_1.weight"], values(graph)["conv2d_1.weight"].astype("f4"))


def test_gaps_between_tensors_stay_zero():
    graph = graph_of([d("conv2d", filters=3, kernel_size=3, name="conv")])
    flat = np.zeros(graph.layout.size)
    build.initialize(graph, InitConfig(biases=constant(1)), 0, flat)
    assert np.count_nonzero(flat) == graph.parameter_count() < flat.size


# -- batches ---------------------------------------------------------------------------------------------------------


def test_a_last_batch_without_variance_is_an_error_at_the_layer():
    text = TEXT.replace("    - flatten\n", "    - flatten\n    - {type: batch_norm, name: norm}\n")
    config = load_text(text.replace("batch_size: 7", "batch_size: 13"), "test.yaml")  # 40 = 13 + 13 + 13 + 1
    data = build_data.read_data(config)
    found = build.network(config, data.description)
    with pytest.raises(ConfigError, match=r"^test\.yaml:9:7: norm would get a batch with one value.*the last has 1\."):
        job.check_batches(found, build_data.loader(config.experiment, data))
    config = load_text(text, "test.yaml")
    job.check_batches(found, build_data.loader(config.experiment, data))  # batches of 7 end with one of 5
