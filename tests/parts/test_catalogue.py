"""The catalogue is whole, and every part in it is documented, exemplified and proven; the listings tell it as it is."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, make_dataclass
from typing import Annotated, Literal

import pytest

from cnntrain.checks.contracts import part
from cnntrain.cli import main
from cnntrain.config.catalogue import entry, keys, shown, sources
from cnntrain.config.fields import Duration, Finite, NonNegative, Pair, Rate, annotations_of, unbounded
from cnntrain.config.schema import Experiment, TrainedOptions
from cnntrain.core import registry
from cnntrain.parts.optimizers.base import Lookahead, Optimizer
from tests.support.golden import proven
from tests.support.pages import ROOT

CATALOGUE = {
    "layers": """
        conv2d depthwise_conv2d conv_transpose2d dense flatten identity max_pool2d avg_pool2d global_avg_pool
        global_max_pool adaptive_avg_pool2d batch_norm layer_norm group_norm instance_norm rms_norm lrn scale relu relu6
        leaky_relu prelu elu selu gelu silu mish softplus tanh hard_tanh sigmoid hard_sigmoid hard_swish softmax
        log_softmax dropout spatial_dropout2d alpha_dropout drop_path gaussian_noise add multiply concat upsample
        zero_pad2d crop2d pixel_shuffle reshape""",
    "structures": "sequential residual parallel repeat squeeze_excite",
    "initializers": """
        zeros ones constant uniform normal truncated_normal glorot_uniform glorot_normal he_uniform he_normal
        lecun_uniform lecun_normal variance_scaling orthogonal dirac torch_default""",
    "losses": """
        cross_entropy binary_cross_entropy focal mse mae huber smooth_l1 hinge squared_hinge kl_div distillation""",
    "optimizers": "sgd adagrad adam adamw rmsprop adadelta nadam radam adamax lion lars lamb muon",
    "schedules": """
        constant step multistep exponential linear polynomial inverse_time inverse_sqrt cosine cosine_restarts
        one_cycle cyclic wsd piecewise plateau sequence""",
    "regularizers": "l1 l2 l1_l2 max_norm",
    "averages": "ema swa",
    "models": """
        linear mlp lenet5 lenet_caffe cifar10_quick cifar10_full alexnet_small all_cnn_c nin vgg11 vgg13 vgg16 vgg19
        resnet20 resnet32 resnet44 resnet56 resnet110 resnet18 resnet34 resnet50 wide_resnet preact_resnet18 squeezenet
        mobilenet_v1 mobilenet_v2 densenet_bc inception_small convnext_femto""",
    "transforms": """
        scale normalize resize center_crop pad to_grayscale to_rgb random_crop random_resized_crop hflip vflip
        random_rotation random_affine color_jitter invert solarize posterize autocontrast gaussian_blur gaussian_noise
        random_erasing cutout trivial_augment_wide rand_augment mixup cutmix zca_whiten lcn haar dense_sift""",
    "metrics": """
        loss accuracy error top_k balanced_accuracy precision recall f1 confusion auc log_loss brier calibration_error
        cohen_kappa mcc mae mse""",
}
PROVEN = ("layers", "losses", "optimizers", "schedules", "metrics")  # by golden files
COMPOSED = {"losses": {"sum"}, "metrics": {"loss"}}  # of parts that have theirs; their own tests prove the composition
BY_DEFINITION = {  # parts so plain that there is nobody to name
    "layers": {
        "add",
        "concat",
        "flatten",
        "max_pool1d",
        "max_pool2d",
        "avg_pool1d",
        "avg_pool2d",
        "reshape",
        "sigmoid",
        "tanh",
        "upsample",
    },
    "structures": {"repeat", "sequential"},
    "initializers": {"constant", "ones", "zeros", "truncated_normal"},
    "losses": set(),
    "optimizers": set(),
    "schedules": {"constant", "piecewise"},
    "regularizers": set(),
    "averages": set(),
    "models": {"linear"},
    "transforms": {"scale", "gain", "power_spectrogram", "time_shift"},
    "metrics": {"accuracy", "confusion", "error", "log_loss", "loss", "precision", "recall", "top_k"},
}
PARTS = [
    pytest.param(kind, name, cls, id=f"{kind}-{name}")
    for kind in registry.KINDS
    for name, cls in registry.parts(kind).items()
]
CATALOGUED = [param for param in PARTS if param.values[0] in CATALOGUE]


@pytest.mark.parametrize("kind", list(CATALOGUE))
def test_every_name_of_the_catalogue_is_registered(kind):
    assert set(CATALOGUE[kind].split()) - set(registry.parts(kind)) == set()


@pytest.mark.parametrize(("kind", "name", "cls"), PARTS)
def test_has_a_docstring_of_its_own(kind, name, cls):
    part.says_what_it_is(cls)


@pytest.mark.parametrize(("kind", "name", "cls"), PARTS)
def test_is_a_dataclass_itself(kind, name, cls):
    part.is_a_dataclass_itself(cls)


@pytest.mark.parametrize(("kind", "name", "cls"), PARTS)
def test_has_keys_of_its_own(kind, name, cls):
    part.has_keys_of_its_own(cls)


@pytest.mark.parametrize(("kind", "name", "cls"), PARTS)
def test_says_of_every_number_what_it_may_be(kind, name, cls):
    part.bounds_its_numbers(cls)


def test_so_does_every_other_section_of_a_config():
    assert [name for name, annotation in annotations_of(Experiment).items() if unbounded(annotation)] == []


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (float, True),
        (int | None, True),
        (tuple[float, float], True),
        (tuple[int, ...] | Literal["auto"], True),
        (tuple[NonNegative, float], True),
        (Annotated[float, "seconds"], True),
        (Finite, False),
        (Pair, False),
        (tuple[Rate, Rate] | None, False),
        (Literal[1, 2], False),
        (bool, False),
        (str, False),
        (Duration, False),
        (Lookahead, False),
        (make_dataclass("Loose", [("lr", float)]), True),
    ],
)
def test_a_number_without_bounds_is_seen_wherever_it_stands(annotation, expected):
    assert unbounded(annotation) == expected


def test_an_optimizer_with_a_bare_learning_rate_is_named():
    cls = dataclass(frozen=True)(type("Bare", (Optimizer,), {"__annotations__": {"lr": float}, "lr": 0.1}))
    with pytest.raises(AssertionError, match=r"Bare\.lr does not say what it may be: write Annotated\[float"):
        part.bounds_its_numbers(cls)


@pytest.mark.parametrize(("kind", "name", "cls"), CATALOGUED)
def test_names_its_source(kind, name, cls):
    assert bool(entry(cls)["source"]) or name in BY_DEFINITION[kind], "name the paper and its year, or the program"


@pytest.mark.parametrize(("kind", "name", "cls"), [param for param in CATALOGUED if param.values[0] in PROVEN])
def test_has_examples(kind, name, cls):
    assert cls.examples


@pytest.mark.parametrize("kind", PROVEN)
def test_every_part_of_the_catalogue_has_a_golden_file_and_every_file_a_part(kind):
    """A part beyond the catalogue is proven by the contract tests over its examples; numbers of others are welcome."""
    assert set(CATALOGUE.get(kind, "").split()) - COMPOSED.get(kind, set()) - proven(kind) == set()
    assert proven(kind) - set(registry.parts(kind)) == set()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ReLU (Nair and Hinton 2010), so dx = dy.", ["Nair and Hinton 2010"]),
        (
            "Residual (He et al. 2015).\n\nAlso He et al.\n2015, and Hu et al. 2018.",
            ["He et al. 2015", "Hu et al. 2018"],
        ),
        ("AdaGrad (Duchi, Hazan and Singer 2011).", ["Duchi, Hazan and Singer 2011"]),
        ("With a pivot (Chan, Golub, LeVeque 1983).", ["Chan, Golub, LeVeque 1983"]),
        ("Laplace 1774; PyTorch's L1Loss.", ["Laplace 1774"]),
        ("As PyTorch does it, not Keras.", ["PyTorch", "Keras"]),
        ("The small one of Zhang et al. (2017, Understanding).", ["Zhang et al. 2017"]),
        ("y = 2010 * x.", []),
    ],
)
def test_sources_are_found_in_a_docstring(text, expected):
    assert sources(text) == expected


@pytest.mark.parametrize(("kind", "name", "cls"), PARTS)
def test_an_entry_says_what_the_class_says(kind, name, cls):
    described = entry(cls)
    assert described["name"] == name
    assert (ROOT / described["file"]).is_file()
    assert "\n" not in described["meaning"]
    assert json.loads(json.dumps(described)) == described
    required = [field["name"] for field in described["fields"] if field["required"]]
    assert all(key in keys(described) for key in required)
    if cls.options is TrainedOptions:
        assert {"name", "from", "init", "freeze", "lr_mult"} <= {
            f["name"] for f in described["fields"] if f["of"] == "place"
        }


def test_what_all_parts_of_a_kind_take_is_told_apart():
    adam = entry(registry.lookup("optimizers", "adam"))
    assert "lr=0.001" in keys(adam)  # its own default
    assert "weight_decay=0" in keys(adam, "kind")
    assert "weight_decay=0.01" in keys(entry(registry.lookup("optimizers", "adamw")))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "null"),
        (True, "true"),
        (1e-08, "1e-08"),
        (2.0, "2"),
        ([0.9, 0.999], "[0.9, 0.999]"),
        ({"type": "relu"}, "relu"),
        ({"type": "constant", "value": 0.5}, "{type: constant, value: 0.5}"),
        ("same", "same"),
    ],
)
def test_defaults_are_shown_as_a_config_writes_them(value, expected):
    assert shown(value) == expected


@pytest.mark.parametrize("kind", list(registry.KINDS))
def test_list_names_every_part_with_keys_and_file_in_80_columns(kind, capsys):
    assert main(["list", kind]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    text = " ".join(" ".join(lines).split())
    for name, cls in registry.parts(kind).items():
        assert any(line.startswith(f"{name} ") for line in lines)
        assert entry(cls)["file"] in text
        assert all(key in text for key in keys(entry(cls)))


@pytest.mark.parametrize("columns", [70, 120])
def test_list_fills_the_terminal(monkeypatch, capsys, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    assert main(["list", "layers"]) == 0
    assert columns - 25 < max(map(len, capsys.readouterr().out.splitlines())) <= columns


@pytest.mark.parametrize("kind", list(registry.KINDS))
def test_list_names_each_source_once(kind, monkeypatch, capsys):
    """Where the meaning does; and else before the file."""
    monkeypatch.setenv("COLUMNS", "1000")
    assert main(["list", kind]) == 0
    shown = "\n" + capsys.readouterr().out.replace("(", "")
    for name, cls in registry.parts(kind).items():
        (told,) = re.findall(rf"^{name} .*\n(?: .*\n)*", shown, re.MULTILINE)
        times = {
            source: max(entry(cls)["meaning"].replace("(", "").count(source), 1) for source in entry(cls)["source"]
        }
        assert {source: told.count(source) for source in times} == times


def test_list_of_one_part_tells_its_text_and_every_key(capsys):
    assert main(["list", "layers", "batch_norm"]) == 0
    told = capsys.readouterr().out
    lines = told.splitlines()
    assert lines[0] == "batch_norm (cnntrain/parts/layers/batch_norm.py)"
    text = entry(registry.lookup("layers", "batch_norm"))["text"]
    assert " ".join(text.split()) in " ".join(told.split())  # however wide the terminal is
    assert any(line.split()[:2] == ["momentum", "0.1"] for line in lines)


def test_list_as_json_is_the_same(capsys):
    assert main(["list", "optimizers", "adam", "--json"]) == 0
    (described,) = json.loads(capsys.readouterr().out)
    assert described == json.loads(json.dumps(entry(registry.lookup("optimizers", "adam"))))
    assert described["source"][0] == "Kingma and Ba 2015"


def test_an_unknown_part_draws_a_hint(capsys):
    assert main(["list", "layers", "conv2"]) == 2
    assert "did you mean 'conv2d'?" in capsys.readouterr().err
