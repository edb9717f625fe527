"""The graph: names, connections, shapes and counts of the nodes a config's layers become."""

from __future__ import annotations

import pytest

from cnntrain.core.errors import ConfigError
from cnntrain.core.registry import make
from cnntrain.network.graph import BATCH, Graph
from tests.network.graph.record import BROKEN, message
from tests.support.networks import declared, everything, graph_of, plain

d = declared
SAME = {"kernel_size": 3, "padding": "same"}


def names(graph: Graph) -> list[str]:
    return [node.name for node in graph.nodes]


def sources(graph: Graph) -> dict[str, tuple[str, ...]]:
    """What each node reads, by name."""
    return {
        node.name: tuple("input" if i == BATCH else graph.nodes[i].name for i in node.inputs) for node in graph.nodes
    }


# -- names -----------------------------------------------------------------------------------------------------------


def test_nodes_are_called_by_name_or_by_type_and_number():
    layers = [d("relu"), d("tanh"), d("relu", name="middle"), d("relu"), d("flatten"), d("dense", units=2, name="head")]
    assert names(graph_of(layers)) == ["relu_1", "tanh_1", "middle", "relu_2", "flatten_1", "head"]


def test_numbers_skip_a_name_given_by_hand():
    assert names(graph_of([d("relu"), d("tanh", name="relu_2"), d("relu")])) == ["relu_1", "relu_2", "relu_3"]


def test_structures_are_scopes_with_numbers_of_their_own():
    conv = d("conv2d", filters=2, **SAME)
    layers = [
        conv,
        d("residual", body=(conv, d("relu"), conv), name="block"),
        d("residual", body=(d("relu"),), activation=make("layers", "relu")),
        d("parallel", branches=((conv, d("relu")), (d("relu"),)), name="fork"),
        d("relu"),
    ]
    assert names(graph_of(layers)) == [
        "conv2d_1",
        "block.conv2d_1",
        "block.relu_1",
        "block.conv2d_2",
        "block.add_1",
        "residual_1.relu_1",
        "residual_1.add_1",
        "residual_1.relu_2",
        "fork.1.conv2d_1",
        "fork.1.relu_1",
        "fork.2.relu_1",
        "fork.concat_1",
        "relu_1",
    ]


def test_repetitions_are_numbered_and_nest():
    inner = d("repeat", n=2, body=(d("relu"), d("relu", name="last")), name="inner")
    found = names(graph_of([d("repeat", n=2, body=(inner,)), d("repeat", n=1, body=(d("relu"),))]))
    one = ["inner.1.relu_1", "inner.1.last", "inner.2.relu_1", "inner.2.last"]
    scopes = ["repeat_1.1.", "repeat_1.2."]
    assert found == [scope + name for scope in scopes for name in one] + ["repeat_2.1.relu_1"]


def test_the_same_layers_give_the_same_names():
    found = names(graph_of(everything()))
    assert found == names(graph_of(everything()))
    assert len(set(found)) == len(found)


# -- connections -----------------------------------------------------------------------------------------------------


def test_a_layer_reads_the_one_before_it():
    assert sources(graph_of([d("relu"), d("tanh")])) == {"relu_1": ("input",), "tanh_1": ("relu_1",)}


def test_from_reads_earlier_layers_the_input_and_structures():
    layers = [
        d("conv2d", filters=2, name="a", **SAME),
        d("repeat", n=2, body=(d("relu"),), name="twice"),
        d("tanh", from_="a"),
        d("add", from_=("tanh_1", "twice", "input")),
        d("concat", from_=("twice.1.relu_1", "add_1")),
    ]
    found = sources(graph_of(layers))
    assert found["tanh_1"] == ("a",)
    assert found["add_1"] == ("tanh_1", "twice.2.relu_1", "input")  # a structure's output is its last node
    assert found["concat_1"] == ("twice.1.relu_1", "add_1")


def test_from_looks_in_its_own_scope_first_and_then_around_it():
    body = (d("relu", name="a"), d("tanh", name="own"), d("add", from_=("own", "a", "outside")))
    layers = [d("relu", name="a"), d("relu", name="outside"), d("repeat", n=2, body=body, name="r")]
    found = sources(graph_of(layers))
    assert found["r.1.add_1"] == ("r.1.own", "r.1.a", "outside")
    assert found["r.2.add_1"] == ("r.2.own", "r.2.a", "outside")


def test_what_follows_a_from_reads_it():
    layers = [d("relu", name="a"), d("tanh", name="b"), d("sigmoid", from_="a"), d("add", from_=("b", "sigmoid_1"))]
    found = sources(graph_of([*layers, d("relu")]))
    assert found["relu_1"] == ("add_1",)


def test_a_residual_block_may_begin_the_network():
    graph = graph_of([d("residual", body=(d("conv2d", filters=2, **SAME),))])
    assert sources(graph)["residual_1.add_1"] == ("residual_1.conv2d_1", "input")


def test_an_empty_branch_hands_its_input_through():
    found = sources(graph_of([d("relu"), d("parallel", branches=((), (d("tanh"),)))]))
    assert found["parallel_1.concat_1"] == ("relu_1", "parallel_1.2.tanh_1")


def test_auto_is_the_number_of_classes_wherever_it_stands():
    layers = [d("conv2d", filters="auto", kernel_size=1), d("global_avg_pool"), d("dense", units="auto")]
    graph = graph_of(layers, classes=7)
    assert [node.shape for node in graph.nodes] == [(8, 8, 7), (7,), (7,)]
    assert graph.nodes[2].layer.units == 7
    assert layers[2].part.units == "auto"  # the config stays as it was written


# -- what cannot be --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", sorted(BROKEN.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_message_is_the_recorded_one(config, monkeypatch):
    monkeypatch.chdir(BROKEN)
    recorded = config.with_suffix(".txt").read_text()
    assert message(config.name) == recorded
    assert recorded.startswith(f"{config.name}:")


def test_every_message_belongs_to_a_network():
    files = list(BROKEN.iterdir())
    assert sorted(p.stem for p in files if p.suffix == ".txt") == sorted(p.stem for p in files if p.suffix == ".yaml")
    assert len(files) >= 50


def test_a_name_taken_by_a_number_is_an_error_for_who_comes_later():
    with pytest.raises(ConfigError, match=r"the name 'relu_1' is taken by the layer at test\.yaml:1:1"):
        graph_of([d("relu"), d("tanh", name="relu_1")])


@pytest.mark.parametrize("body", [(), (d("relu"),), (d("repeat", n=2**31 - 1, body=()),)])
def test_a_network_without_end_is_refused(body):
    """Before it fills the memory: a file, a checkpoint's config say, can ask for 2**31 repetitions of repetitions."""
    with pytest.raises(ConfigError, match="the network has over 10,000 layers and lists of layers: repeat them less"):
        graph_of([d("relu"), d("repeat", n=2**31 - 1, body=body)])


# -- counts ----------------------------------------------------------------------------------------------------------


def resnet(n: int) -> Graph:
    """The CIFAR-10 network of He et al. 2015, section 4.2, with 6n + 2 weighted layers and shortcuts of option A."""
    relu = make("layers", "relu")

    def stage(filters: int, stride: int) -> list:
        def body(stride: int) -> tuple:
            first = d("conv2d", filters=filters, kernel_size=3, stride=stride, padding=1, bias=False)
            return (
                first,
                d("batch_norm"),
                d("relu"),
                d("conv2d", filters=filters, bias=False, **SAME),
                d("batch_norm"),
            )

        first = d("residual", body=body(stride), shortcut="pad", activation=relu)
        rest = d("repeat", n=n - 1, body=(d("residual", body=body(1), activation=relu),))
        return [first, rest]

    stem = [d("conv2d", filters=16, bias=False, **SAME), d("batch_norm"), d("relu")]
    head = [d("global_avg_pool"), d("dense", units="auto")]
    return graph_of([*stem, *stage(16, 1), *stage(32, 2), *stage(64, 2), *head], (32, 32, 3), 10)


@pytest.mark.parametrize(("n", "millions"), [(3, "0.27"), (5, "0.46"), (7, "0.66"), (9, "0.85"), (18, "1.7")])
def test_the_residual_networks_of_he_have_as_many_parameters_as_their_table_6_says(n, millions):
    count = resnet(n).parameter_count()
    assert f"{count / 1e6:.{len(millions) - 2}f}" == millions
    blocks = {16: 2 * n, 32: 2 * n - 1, 64: 2 * n - 1}  # 3x3 convolutions that keep the width
    kernels = 9 * (3 * 16 + 16 * 32 + 32 * 64) + sum(9 * c * c * many for c, many in blocks.items())
    norms = 2 * (16 + 2 * n * (16 + 32 + 64))
    assert count == kernels + norms + 64 * 10 + 10
    assert sum(node.layer.name_in_config in ("conv2d", "dense") for node in resnet(n).nodes) == 6 * n + 2


def test_resnet20_takes_40_551_040_multiply_adds():
    """Its convolutions and dense layer, by their shapes; published counts say 40.6M or 0.041G."""
    graph = resnet(3)
    work = sum(f for f, node in zip(graph.flops(), graph.nodes, strict=True) if "weight" in node.params)
    alike = 32 * 32 * 16 * 9 * 16  # of a convolution that keeps its width, in every stage the same
    macs = 32 * 32 * 16 * 9 * 3 + 6 * alike + 2 * (alike // 2 + 5 * alike) + 64 * 10
    assert macs == 40_551_040
    assert work == 2 * macs + 10  # the biases of the dense layer


def test_lenet5_has_as_many_parameters_as_its_fully_connected_form():
    """LeCun et al. 1998 on 28x28 digits with padding, every filter of C3 seeing all six maps: 61,706."""
    layers = [
        d("conv2d", filters=6, kernel_size=5, padding=2),  # 5 * 5 * 6 + 6 = 156
        d("tanh"),
        d("avg_pool2d", kernel_size=2),
        d("conv2d", filters=16, kernel_size=5),  # 5 * 5 * 6 * 16 + 16 = 2,416
        d("tanh"),
        d("avg_pool2d", kernel_size=2),
        d("conv2d", filters=120, kernel_size=5),  # 5 * 5 * 16 * 120 + 120 = 48,120
        d("tanh"),
        d("flatten"),
        d("dense", units=84),  # 10,164
        d("tanh"),
        d("dense", units="auto"),  # 850
    ]
    graph = graph_of(layers, (28, 28, 1), 10)
    assert graph.parameter_count() == 156 + 2_416 + 48_120 + 10_164 + 850 == 61_706
    shapes = [node.shape for node in graph.nodes if node.layer.name_in_config not in ("tanh", "flatten")]
    assert shapes == [(28, 28, 6), (14, 14, 6), (10, 10, 16), (5, 5, 16), (1, 1, 120), (84,), (10,)]


def test_the_lenet_of_caffe_has_431080_parameters():
    """examples/mnist/lenet_train_test.prototxt: 20 and 50 filters of 5x5, max pooling, 500 and 10 units."""
    conv, pool = {"kernel_size": 5}, d("max_pool2d", kernel_size=2)
    layers = [d("conv2d", filters=20, **conv), pool, d("conv2d", filters=50, **conv), pool, d("flatten")]
    layers += [d("dense", units=500), d("relu"), d("dense", units="auto")]
    assert graph_of(layers, (28, 28, 1), 10).parameter_count() == 431_080


def test_statistics_are_no_parameters_of_a_network_but_lie_in_its_layout():
    graph = graph_of([d("conv2d", filters=3, kernel_size=1, bias=False), d("batch_norm", name="norm")])
    assert graph.parameter_count() == 2 * 3 + 3 + 3
    assert set(graph.layout.entries) == {
        "conv2d_1.weight",
        "norm.scale",
        "norm.shift",
        "norm.running_mean",
        "norm.running_var",
    }


@pytest.mark.parametrize(
    ("layer", "flops"),
    [
        (d("conv2d", filters=4, **SAME), 64 * 4 * (2 * 3 * 3 * 2 + 1)),
        (d("conv2d", filters=4, kernel_size=3, groups=2, bias=False), 36 * 4 * 2 * 3 * 3 * 1),
        (d("conv2d", filters=4, kernel_size=1, stride=2, bias=False), 16 * 4 * 2 * 2),
        (d("max_pool2d", kernel_size=2), 4 * 4 * 2 * 4),
        (d("batch_norm"), 8 * 8 * 2 * 3),
        (d("relu"), 8 * 8 * 2),
        (d("flatten"), 0),
    ],
    ids=lambda value: value.part.name_in_config if hasattr(value, "part") else str(value),
)
def test_the_work_of_a_layer_is_counted_for_one_sample(layer, flops):
    assert graph_of([layer]).flops() == (flops,)  # of 8x8x2


def test_the_work_of_dense_and_add():
    graph = graph_of([d("flatten"), d("dense", units=5, name="a"), d("add", from_=("a", "a", "a"))])
    assert graph.flops() == (0, 5 * (2 * 128 + 1), 2 * 5)


# -- layout and shard ------------------------------------------------------------------------------------------------


def test_frozen_and_measured_parameters_lie_behind_the_trained_ones():
    layers = [
        d("conv2d", filters=3, kernel_size=3, freeze=True, name="frozen"),
        d("batch_norm", name="norm"),
        d("flatten"),
        d("dense", units=2, name="slow", lr_mult=0.1),
        d("dense", units=2, name="head"),
    ]
    graph = graph_of(layers)
    trained = {name for name, entry in graph.layout.entries.items() if entry.offset < graph.layout.trained}
    assert trained == {"norm.scale", "norm.shift", "slow.weight", "slow.bias", "head.weight", "head.bias"}
    assert {(span.role, span.lr_mult) for span in graph.layout.spans} == {
        ("norm", 1.0),
        ("weight", 0.1),
        ("weight", 1.0),
        ("bias", 0.1),
        ("bias", 1.0),
    }
    assert [node.trained for node in graph.nodes] == [False, True, False, True, True]
    assert [node.coupled for node in graph.nodes] == [False, True, False, False, False]


def test_a_frozen_batch_norm_does_not_need_the_whole_batch():
    graph = graph_of([d("batch_norm", freeze=True)])
    assert not graph.nodes[0].coupled


def _mlp(units: int) -> list:
    return [d("flatten"), d("dense", units=units), d("relu"), d("dense", units="auto")]


@pytest.mark.parametrize(
    ("layers", "shape", "shard"),
    [
        ([d("conv2d", filters=64, **SAME)] * 2, (64, 64, 64), 8),  # 300 MFLOP a sample and node
        (_mlp(1000), (28, 28, 1), 128),  # hardly anything but parameters
        (plain(), (8, 8, 2), 128),  # so little work that many samples are wanted
        ([d("conv2d", filters=32, **SAME)], (64, 64, 16), 16),  # 38 MFLOP: 13 samples for some milliseconds
        ([d("conv2d", filters=32, **SAME)] * 2, (64, 64, 16), 16),  # 57 MFLOP a node: 9 samples
    ],
    ids=["convolutions", "dense", "tiny", "between", "two"],
)
def test_the_shard_follows_from_the_shapes(layers, shape, shard):
    graph = graph_of(layers, shape)
    assert graph.shard == shard
    assert graph_of(layers, shape).shard == shard


def test_a_batch_of_resnet20_has_a_shard_for_each_of_eight_workers():
    graph = resnet(3)
    assert graph.shard == 32
    assert {size: graph.shard_for(size) for size in (1, 2, 4, 7, 8, 15, 16, 32, 64, 127, 128, 255, 256, 1000)} == {
        1: 8, 2: 1, 4: 2, 7: 2, 8: 4, 15: 4, 16: 8, 32: 8, 64: 8, 127: 8, 128: 16, 255: 16, 256: 32, 1000: 32,
    }  # fmt: skip


def test_a_shard_of_a_small_batch_holds_the_views_of_a_sample():
    graph = resnet(3)
    assert [graph.shard_for(8, views) for views in (1, 4, 6)] == [4, 4, 8]


def test_where_that_were_little_work_a_batch_has_two_shards():
    graph = graph_of(_mlp(1000), (28, 28, 1))
    assert {size: graph.shard_for(size) for size in (1, 8, 16, 31, 32, 63, 64, 128, 256, 1000)} == {
        1: 8, 8: 8, 16: 8, 31: 8, 32: 16, 63: 16, 64: 32, 128: 64, 256: 128, 1000: 128,
    }  # fmt: skip


def test_arrays_that_fill_a_cache_are_of_16_samples():
    graph = graph_of([d("conv2d", filters=16, **SAME), d("batch_norm"), d("relu")], (40, 40, 3))
    assert graph.shard == 16
