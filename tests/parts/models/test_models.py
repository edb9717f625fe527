"""Ready models: the parameter counts and shapes of their papers or of torchvision, and losses that fall."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

from cnntrain.config.load import load_text
from cnntrain.core import registry
from cnntrain.core.description import Description
from cnntrain.core.errors import ConfigError, Mark
from cnntrain.engine.engine import Engine
from cnntrain.engine.fixed import Fixed
from cnntrain.engine.pool import Pool
from cnntrain.network import build
from cnntrain.network.graph import Graph, weave
from tests.parts.test_catalogue import CATALOGUE
from tests.support.golden import GOLDEN
from tests.support.networks import engine_of, random_batch


def split(channels: int, filters: int) -> int:
    """The parameters of a (2+1)D convolution and the norm after it (Tran et al. 2018, section 3.5)."""
    middle = 27 * channels * filters // (9 * channels + 3 * filters)
    return 9 * channels * middle + 2 * middle + 3 * middle * filters + 2 * filters


R2PLUS1D = (
    sum(split(*widths) for widths in [(3, 16), (16, 16), (16, 16), (16, 32), (32, 32), (32, 64), (64, 64)])
    + (16 * 32 + 2 * 32 + 32 * 64 + 2 * 64)  # shortcuts
    + 650  # the last layer
)
CLIP = (4, 16, 16, 3)
CELLS = (388, 388, 1)  # what U-Net's paper makes of a tile of 572x572
MNIST, CIFAR, CROPPED, IMAGENET = (28, 28, 1), (32, 32, 3), (28, 28, 3), (224, 224, 3)

SIDES = [  # preset, size, what is told
    (
        "fcos_small",
        "[250, 320]",
        r"^t\.yaml:2:\d+: fcos_small .* multiples of 32, got 250x320: .* 224x320 or 256x320, by",
    ),
    ("fcos_small", "20", r"^t\.yaml:2:\d+: fcos_small .* multiples of 32, got 20x20: give them 32x32, by 'size'"),
    (
        "{type: unet, width: 4, depth: 3}",
        "100",
        r"^t\.yaml:2:\d+: unet needs .* multiples of 8, got 100x100: .* 96x96 or",
    ),
    (
        "{type: unet, width: 4, depth: 2, padding: valid}",
        "42",
        r"^t\.yaml:2:\d+: unet needs .* 4 more than a multiple of 4, got 42x42: give them 40x40 or 44x44",
    ),
]

COUNTS = [  # name, fields, input, classes, parameters (statistics not counted)
    ("linear", {}, MNIST, 10, 7_850),  # 784 * 10 + 10
    ("mlp", {}, MNIST, 10, 266_610),  # LeNet-300-100, of Han et al. (2015): 266,200 weights and 410 biases
    # LeCun et al. (1998), section II.B: 156 + 48,120 + 10,164; the full second convolution has 2,416 instead of 1,516,
    # poolings nothing instead of 12 and 32, the output 850
    ("lenet5", {}, MNIST, 10, 156 + 2_416 + 48_120 + 10_164 + 850),
    # 27*32 + 9*(32*64 + 64*64 + 64*128 + 128*128) + 2*(32 + 2*64 + 2*128) + 128*10 + 10
    ("tiny32", {}, CIFAR, 10, 279_466),
    ("lenet_caffe", {}, MNIST, 10, 431_080),  # Caffe's mnist example, 1.7 MB of float32
    ("cifar10_quick", {}, CIFAR, 10, 145_578),  # Caffe's model zoo: kernels 2,400, 25,600, 51,200, 65,536, 640
    ("cifar10_full", {}, CIFAR, 10, 89_578),  # the same convolutions, and 10,240 + 10
    (
        "alexnet_small",
        {},
        CIFAR,
        10,  # by hand: the convolutions of torchvision's widths with 3x3 kernels, and 256 * 3 * 3 last features
        1_792 + 110_784 + 663_936 + 884_992 + 590_080 + (2_304 + 1) * 1_024 + 1_025 * 1_024 + 10_250,
    ),
    ("all_cnn_c", {}, CIFAR, 10, 1_369_738),  # Springenberg et al. (2015), table 3: "about 1.4 M"
    ("nin", {}, CIFAR, 10, 966_986),  # Lin et al. (2014), Caffe's model zoo: "0.97 M"
    ("vgg11", {}, CIFAR, 10, 9_231_114),  # kuangliu/pytorch-cifar, VGG('VGG11'), and so on
    ("vgg13", {}, CIFAR, 10, 9_416_010),
    ("vgg16", {}, CIFAR, 10, 14_728_266),
    ("vgg19", {}, CIFAR, 10, 20_040_522),
    ("vgg11", {"grid": 7, "hidden": (4096, 4096)}, IMAGENET, 1000, 132_868_840),  # torchvision vgg11_bn, and so on
    ("vgg13", {"grid": 7, "hidden": (4096, 4096)}, IMAGENET, 1000, 133_053_736),
    ("vgg16", {"grid": 7, "hidden": (4096, 4096)}, IMAGENET, 1000, 138_365_992),
    ("vgg19", {"grid": 7, "hidden": (4096, 4096)}, IMAGENET, 1000, 143_678_248),
    # 3 * 9 * 32, 32 * 9 * 64, 64 * 9 * 64, 64 * 9 * 128, 128 * 9 * 128, norms of 416 channels, 129 * 10
    ("tiny32", {}, CIFAR, 10, 864 + 18_432 + 36_864 + 73_728 + 147_456 + 832 + 1_290),
    ("resnet20", {}, CIFAR, 10, 269_722),  # He et al. (2015), table 6: 0.27 M; option A, and so on
    ("resnet32", {}, CIFAR, 10, 464_154),  # 0.46 M
    ("resnet44", {}, CIFAR, 10, 658_586),  # 0.66 M
    ("resnet56", {}, CIFAR, 10, 853_018),  # 0.85 M
    ("resnet110", {}, CIFAR, 10, 1_727_962),  # 1.7 M
    ("resnet20", {"shortcut": "conv"}, CIFAR, 10, 269_722 + 16 * 32 + 2 * 32 + 32 * 64 + 2 * 64),  # option B
    ("resnet18", {}, IMAGENET, 1000, 11_689_512),  # torchvision resnet18, and so on
    ("resnet34", {}, IMAGENET, 1000, 21_797_672),
    ("resnet50", {}, IMAGENET, 1000, 25_557_032),
    ("resnet18", {"stem": "cifar"}, CIFAR, 10, 11_173_962),  # kuangliu/pytorch-cifar ResNet18
    ("wide_resnet", {}, CIFAR, 10, 36_479_194),  # Zagoruyko and Komodakis (2016), table 4: 36.5 M
    ("wide_resnet", {"depth": 16, "widen": 4}, CIFAR, 10, 2_748_890),  # 2.7 M
    # kuangliu/pytorch-cifar PreActResNet18 has 11,171,146, and leaves out the paper's last norm of 512 channels
    ("preact_resnet18", {}, CIFAR, 10, 11_171_146 + 2 * 512),
    ("squeezenet", {}, IMAGENET, 1000, 1_235_496),  # torchvision squeezenet1_1
    ("mobilenet_v1", {}, IMAGENET, 1000, 4_231_976),  # Howard et al. (2017), table 8: 4.2 M
    ("mobilenet_v2", {}, IMAGENET, 1000, 3_504_872),  # torchvision mobilenet_v2
    ("densenet_bc", {}, CIFAR, 10, 176_122),  # andreasveit/densenet-pytorch, 40 and 12 with bottleneck, 0.5 reduction
    ("densenet_bc", {"depth": 100}, CIFAR, 10, 769_162),  # Huang et al. (2017), table 2: 0.8 M
    # Zhang et al. (2017), table 1: 1,649,402, where each of the 1,712 filters has a shift, and here also a scale
    ("inception_small", {}, CROPPED, 10, 1_649_402 + 1_712),
    ("convnext_femto", {}, IMAGENET, 1000, 5_217_784),  # timm's results: 5.22 M
    # Ronneberger et al. (2015) print no count; their figure 1 gives 31.0 M: 3x3 and 2x2 convolutions and the 1x1, each
    # with its biases, summed by hand in `figure_1`
    # by hand: kernels of 27 taps, a scale and a shift for each filter, the last layer
    ("c3d_small", {}, CLIP, 10, 27 * (3 * 16 + 16 * 32 + 32 * 64 + 64 * 128) + 2 * 240 + 1_290),
    ("r2plus1d_small", {}, CLIP, 10, R2PLUS1D),
    ("tsm_resnet20", {}, CLIP, 10, 269_722),  # those of resnet20: a shift has none (Lin et al. 2019)
    ("fcos_small", {"width": 16, "strides": (8,)}, (64, 64, 3), 3, 353_104),  # by hand: tests/test_configs.py
    ("fcos_small", {}, (64, 64, 3), 3, 1_556_128),
    ("unet", {"padding": "valid"}, CELLS, 2, 31_030_658),
    ("unet", {}, (64, 64, 1), 2, 31_030_658),  # padding has no parameters
    ("unet", {"width": 32, "norm": "batch_norm"}, (64, 64, 3), 1, 7_763_041),  # mateuszbuda/brain-segmentation-pytorch
]

SMALL = [  # trained in the normal run: name, fields, input, learning rate
    ("linear", {}, MNIST, 0.05),
    ("mlp", {}, MNIST, 0.05),
    ("lenet5", {}, MNIST, 0.05),
    ("lenet_caffe", {}, MNIST, 0.005),
    ("cifar10_quick", {}, CIFAR, 0.05),
    ("cifar10_full", {}, CIFAR, 0.5),
    ("resnet20", {}, CIFAR, 0.05),
    ("wide_resnet", {"depth": 10, "widen": 1}, CIFAR, 0.05),
    ("densenet_bc", {"depth": 10}, CIFAR, 0.05),
    ("c3d_small", {}, CLIP, 0.02),
    ("r2plus1d_small", {}, CLIP, 0.02),
    ("tsm_resnet20", {}, CLIP, 0.02),
]
RUNS = [  # every one, by the smallest image it takes
    *SMALL,
    ("alexnet_small", {"hidden": 64}, CIFAR, 0.001),
    ("all_cnn_c", {}, CIFAR, 0.01),
    ("nin", {}, CIFAR, 0.01),
    *((f"vgg{depth}", {}, CIFAR, 0.01) for depth in (11, 13, 16, 19)),
    *((f"resnet{depth}", {}, (16, 16, 3), 0.02) for depth in (32, 44, 56, 110)),
    *((f"resnet{depth}", {}, (64, 64, 3), 0.001) for depth in (18, 34, 50)),
    ("preact_resnet18", {}, (16, 16, 3), 0.01),
    ("squeezenet", {"stem_stride": 1}, CIFAR, 0.01),
    ("mobilenet_v1", {"stem_stride": 1}, CIFAR, 0.01),
    ("mobilenet_v2", {"stem_stride": 1}, CIFAR, 0.01),
    ("inception_small", {}, CROPPED, 0.01),
    ("convnext_femto", {"patch": 1, "drop_path": 0.1}, (16, 16, 3), 0.01),
    ("unet", {"width": 4, "norm": "batch_norm", "dropout": 0.1}, CIFAR, 0.01),
]


def graph_of(name: str, fields: dict, shape: tuple[int, ...], classes: int) -> Graph:
    return weave(registry.make("models", name, **fields).layers(), shape, classes)


def ids(rows: list[tuple]) -> list[str]:
    return ["-".join([name, *(f"{key}={value}" for key, value in fields.items())]) for name, fields, *_ in rows]


def test_every_model_of_the_catalogue_is_counted_and_run() -> None:
    """One beyond it may go without; whoever knows a published count adds it."""
    elsewhere = {"fcos_small", "tiny32"}  # tests/parts/tasks/test_detect.py and training/test_builtin.py run them
    assert {row[0] for row in COUNTS} == {row[0] for row in RUNS} | elsewhere
    assert set(CATALOGUE["models"].split()) - {row[0] for row in COUNTS} == set()


@pytest.mark.parametrize(("name", "fields", "shape", "classes", "count"), COUNTS, ids=ids(COUNTS))
def test_has_as_many_parameters_as_published(name, fields, shape, classes, count):
    graph = graph_of(name, fields, shape, classes)
    assert graph.parameter_count() == count
    locations = sum((64 // stride) ** 2 for stride in fields.get("strides", (8, 16)))
    maps = {"unet": (*shape[:2], classes), "fcos_small": (locations, 11)}
    assert graph.output_shape == maps.get(name, (classes,))


def figure_1() -> int:
    """The parameters of the arrows in figure 1 of Ronneberger et al. (2015)."""
    widths = [64, 128, 256, 512, 1024]
    threes = [(1, 64), (64, 64)]
    for above, below in itertools.pairwise(widths):  # down; and up again, from both sides of the skip
        threes += [(above, below), (below, below), (below, above), (above, above)]
    twos = [(below, above) for above, below in itertools.pairwise(widths)]
    return sum(9 * a * b + b for a, b in threes) + sum(4 * a * b + b for a, b in twos) + 64 * 2 + 2


def test_the_count_of_unet_is_that_of_its_figure() -> None:
    assert figure_1() == 31_030_658


def test_unet_has_the_sizes_of_its_figure() -> None:
    sizes = [node.shape[:2] for node in graph_of("unet", {"padding": "valid"}, CELLS, 2).nodes]
    rows = [size[0] for size in sizes]
    down = [572, 570, 568, 284, 282, 280, 140, 138, 136, 68, 66, 64, 32, 30, 28]
    up = [56, 54, 52, 104, 102, 100, 200, 198, 196, 392, 390, 388]
    assert rows[0] == 572
    assert rows[-1] == 388
    assert {*down, *up} == set(rows)


@pytest.mark.parametrize(
    ("name", "shape", "inner"),
    [  # the size of the last image, as the papers draw it
        ("resnet20", CIFAR, (8, 8, 64)),
        ("resnet50", IMAGENET, (7, 7, 2048)),
        ("vgg16", IMAGENET, (7, 7, 512)),
        ("wide_resnet", CIFAR, (8, 8, 640)),
        ("squeezenet", IMAGENET, (13, 13, 1000)),
        ("mobilenet_v1", IMAGENET, (7, 7, 1024)),
        ("mobilenet_v2", IMAGENET, (7, 7, 1280)),
        ("densenet_bc", CIFAR, (8, 8, 132)),
        ("inception_small", CROPPED, (7, 7, 336)),
        ("convnext_femto", IMAGENET, (7, 7, 384)),
        ("all_cnn_c", CIFAR, (6, 6, 1000)),
        ("nin", CIFAR, (8, 8, 1000)),
    ],
)
def test_images_shrink_as_published(name, shape, inner):
    shapes = [node.shape for node in graph_of(name, {}, shape, 1000).nodes]
    assert [s for s in shapes if len(s) == 3 and s[0] >= inner[0]][-1] == inner


THEIRS = json.loads((GOLDEN / "models.json").read_text())  # what torchvision and timm themselves say


@pytest.mark.parametrize("theirs", THEIRS)
def test_equals_the_network_of_torchvision_or_timm(theirs):
    expected, ours = THEIRS[theirs], dict(THEIRS[theirs]["ours"])
    fields = {key: tuple(value) if isinstance(value, list) else value for key, value in ours.items() if key != "type"}
    graph = graph_of(ours["type"], fields, IMAGENET, 1000)
    trained = [param for node in graph.nodes for param in node.params.values() if param.role != "statistic"]
    assert (graph.parameter_count(), len(trained)) == (expected["parameters"], expected["tensors"])
    assert list(graph.output_shape) == expected["output"]
    sizes = {node.shape[:2] for node in graph.nodes if len(node.shape) == 3}
    assert sizes - {(1, 1)} == {tuple(size) for size in expected["sizes"]} - {(1, 1)}


def losses(
    name: str, fields: dict, shape: tuple[int, ...], lr: float, steps: int, samples: int = 4
) -> tuple[list[float], Engine]:
    """The loss of `steps` plain gradient steps on one small batch, the same values dropped in each."""
    layers = list(registry.make("models", name, **fields).layers())
    with Pool(1) as pool:
        engine = engine_of(layers, pool, shape=shape, classes=3, shard=4, metrics=())
        batch, trained, found = random_batch(samples, shape, 3), engine.graph.layout.trained, []
        if len(engine.graph.output_shape) == 3:
            masks = np.random.default_rng(1).integers(0, 3, (samples, *shape[:2])).astype(np.uint8)
            batch = Fixed(batch.x, masks)
        for _ in range(steps):
            found.append(engine.tally.mean_loss(engine.step([batch], step=0)))
            engine.params[:trained] -= lr * engine.grads[:trained]
    return found, engine


def check_that_all_of_it_learns(engine: Engine) -> None:
    """Every trained parameter has a gradient, and a finite one."""
    gradients = engine.graph.layout.views(engine.grads)
    trained = [name for name, entry in engine.graph.layout.entries.items() if entry.param.role != "statistic"]
    assert [name for name in trained if not gradients[name].any()] == []
    assert np.isfinite(engine.grads[: engine.graph.layout.trained]).all()


@pytest.mark.parametrize(("name", "fields", "shape", "lr"), SMALL, ids=ids(SMALL))
def test_three_steps_lower_the_loss(name, fields, shape, lr):
    found, engine = losses(name, fields, shape, lr, 4)
    assert found[3] < found[0]
    check_that_all_of_it_learns(engine)


@pytest.mark.parametrize(("name", "fields", "shape", "lr"), RUNS[len(SMALL) :], ids=ids(RUNS[len(SMALL) :]))
def test_the_large_ones_run_forward_and_backward(name, fields, shape, lr):
    smaller = tuple(min(extent, 32) for extent in shape)
    found, engine = losses(name, fields, smaller, lr, 1, samples=2)
    assert 0 < found[0] < 30
    check_that_all_of_it_learns(engine)


@pytest.mark.soak
@pytest.mark.parametrize(("name", "fields", "shape", "lr"), RUNS[len(SMALL) :], ids=ids(RUNS[len(SMALL) :]))
def test_three_steps_lower_the_loss_of_the_large_ones(name, fields, shape, lr):
    found, _ = losses(name, fields, shape, lr, 4)
    assert min(found[1:]) < found[0]


CONFIG = """\
data: {source: synthetic}
train: {epochs: 1}
model:
  preset: PRESET
"""


def test_a_config_names_one_bare_or_with_its_keys() -> None:
    bare = load_text(CONFIG.replace("PRESET", "resnet20"), "a.yaml").experiment.model
    assert bare.preset == registry.make("models", "resnet20")
    keyed = load_text(CONFIG.replace("PRESET", "{type: wide_resnet, depth: 16, widen: 4}"), "a.yaml").experiment.model
    assert keyed.preset == registry.make("models", "wide_resnet", depth=16, widen=4)
    assert keyed.layers is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("wide_resnett", "unknown ready model 'wide_resnett'; did you mean 'wide_resnet'?"),
        ("{type: wide_resnet, depth: 15}", "depth must be 6 n + 4"),
        ("{type: resnet20, depth: 20}", "unknown key 'depth' of resnet20"),
        ("resnet20\n  layers: [relu]", "model needs exactly one of 'layers' and 'preset'"),
    ],
)
def test_what_is_wrong_with_one_is_located(text, message):
    with pytest.raises(ConfigError) as caught:
        load_text(CONFIG.replace("PRESET", text), "a.yaml")
    assert message in str(caught.value)
    assert str(caught.value).startswith(("a.yaml:4:", "a.yaml:3:"))


@pytest.mark.parametrize(("preset", "size", "message"), SIDES)
def test_sides_that_do_not_fit_are_refused_at_the_size(preset, size, message):
    target = "boxes" if preset == "fcos_small" else "mask"
    source = "voc, root: x" if target == "boxes" else "masks, pictures: x, masks: y, classes: [a, b]"
    text = f"data:\n  source: {{type: {source}, size: {size}}}\n"
    loaded = load_text(f"{text}model: {{preset: {preset}}}\ntrain: {{epochs: 1}}\n", "t.yaml")
    height, width = (int(side) for side in (size.strip("[]").split(",") * 2)[:2])
    with pytest.raises(ConfigError, match=message):
        build.network(loaded, Description((height, width, 3), ("a", "b"), target=target))


def test_every_node_stands_where_the_config_names_the_model() -> None:
    where = Mark("a.yaml", 4, 11)
    graph = weave(registry.make("models", "densenet_bc", depth=10).entries(where), CIFAR, 10)
    assert {node.where for node in graph.nodes} == {where}
