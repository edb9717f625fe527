from __future__ import annotations

from pathlib import Path

import pytest

from cnntrain.api.arguments import overrides
from cnntrain.checks.preflight import rehearse
from cnntrain.config.fields import Duration
from cnntrain.config.load import Loaded, load
from cnntrain.core.errors import ConfigError, UsageError
from cnntrain.core.registry import lookup
from cnntrain.sweep.cells import read_sweep
from tests.support.configs import SMALL


def overridden(folder: Path, *sets: str) -> Loaded:
    (folder / "c.yaml").write_text(SMALL + "optimizer: adam\n")
    return load([folder / "c.yaml"], sets)


def complaints(folder: Path, *sets: str) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        overridden(folder, *sets)
    return [f"{problem.where} {problem.message}" for problem in raised.value.problems]


def test_an_override_replaces_or_adds(tmp_path: Path) -> None:
    loaded = overridden(
        tmp_path,
        "train.epochs=3",
        "train.clip_norm=1e-1",
        "init.weights={type: normal, std: .5}",
        "name=a=b".replace("=b", ""),
    )
    experiment = loaded.experiment
    assert (experiment.train.epochs, experiment.train.clip_norm) == (3, 0.1)
    assert experiment.init.weights == lookup("initializers", "normal")(std=0.5)
    assert experiment.name == "a"
    assert str(loaded.where("train.clip_norm")) == "--set:2:17"


def test_the_first_equals_sign_divides(tmp_path: Path) -> None:
    assert overridden(tmp_path, "data.source.root=a=b").experiment.data.source.root == "a=b"  # type: ignore[attr-defined]


def test_an_item_of_a_list_is_named_by_number_or_name(tmp_path: Path) -> None:
    for step in ("0", "first"):
        layers = overridden(tmp_path, f"model.layers.{step}.filters=9").experiment.model.layers
        assert layers[0].part.filters == 9  # type: ignore[attr-defined]
    layers = overridden(tmp_path, "model.layers.1={type: leaky_relu, slope: 0.2}").experiment.model.layers
    assert layers[1].part == lookup("layers", "leaky_relu")(slope=0.2)


def test_a_bare_part_takes_keys(tmp_path: Path) -> None:
    assert overridden(tmp_path, "optimizer.lr=5").experiment.optimizer == lookup("optimizers", "adam")(lr=5.0)
    assert overridden(tmp_path, "model.layers.1.name=act").experiment.model.layers[1].options.name == "act"


@pytest.mark.parametrize(
    ("sets", "kind", "part"),
    [
        (["optimizer.lr=5"], "optimizers", ("sgd", {"lr": 5.0})),
        (["optimizer.lr=5", "optimizer.type=adam"], "optimizers", ("adam", {"lr": 5.0})),
        (["loss.label_smoothing=0.1"], "losses", ("cross_entropy", {"label_smoothing": 0.1})),
        (["loss.radius=2", "task=detect"], "losses", ("fcos", {"radius": 2.0})),
        (["loss.radius=2", "task=${vars.t}", "vars.t=detect"], "losses", ("fcos", {"radius": 2.0})),
        (["schedule.warmup=1ep"], "schedules", ("constant", {"warmup": Duration(1)})),
        (["init.weights.mode=fan_out"], "initializers", ("he_normal", {"mode": "fan_out"})),
    ],
)
def test_a_path_into_a_part_left_out_leads_to_its_default(tmp_path, sets, kind, part):
    (tmp_path / "c.yaml").write_text(SMALL + "loss: null\n")
    loaded = load([tmp_path / "c.yaml"], sets)
    (name, fields), section = part, sets[0].partition("=")[0].rpartition(".")[0]
    found = loaded.experiment
    for step in section.split("."):
        found = getattr(found, step)
    assert found == lookup(kind, name)(**fields)
    origins = loaded.origins()
    assert origins[sets[0].partition("=")[0]] == f"--set:1:{sets[0].index('=') + 2}"
    assert origins[f"{section}.type"] == ("--set:2:16" if name == "adam" else "default")


def test_python_and_sweeps_reach_into_defaults_alike(tmp_path):
    (tmp_path / "c.yaml").write_text(SMALL)
    (tmp_path / "s.yaml").write_text("config: c.yaml\nset: {loss.label_smoothing: 0.1}\ngrid: {optimizer.lr: [1, 2]}\n")
    cells = read_sweep(tmp_path / "s.yaml").cells
    sets = overrides({"optimizer.lr": 2, "loss.label_smoothing": 0.1})
    assert load([tmp_path / "c.yaml"], sets).experiment == cells[1].loaded.experiment
    assert cells[1].loaded.origins()["optimizer.lr"] == f"{tmp_path / 's.yaml'}:3:26"


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("optimizer.lr=-1", "--set:1:14 lr must be at least 0, got -1.0"),
        ("optimizer.betas=[0, 0]", "--set:1:11 unknown key 'betas' of sgd; known: lr, "),
        ("optimizer.typ=adam", "--set:1:11 unknown key 'typ' of sgd; did you mean 'type'?"),
        ("init.weights.std=1", "--set:1:14 unknown key 'std' of he_normal; known: mode, nonlinearity"),
        ("optimizer={lr: 1}", "--set:1:11 optimizer: a mapping without 'type' is not an optimizer"),
        ("train.average.decay=0.9", "--set:1:15 average: a mapping without 'type' is not an average"),
    ],
)
def test_what_is_wrong_within_a_default_is_cited(tmp_path, override, complaint):
    (tmp_path / "c.yaml").write_text(SMALL)
    with pytest.raises(ConfigError) as raised:
        load([tmp_path / "c.yaml"], [override])
    (found,) = [f"{problem.where} {problem.message}" for problem in raised.value.problems]
    assert found.startswith(complaint)


def test_a_file_names_the_parts_it_changes(tmp_path):
    (tmp_path / "c.yaml").write_text(SMALL + "optimizer: {lr: 1}\n")
    with pytest.raises(ConfigError, match="a mapping without 'type' is not an optimizer"):
        load([tmp_path / "c.yaml"], ["optimizer.momentum=0.5"])


def test_a_layer_by_the_name_that_the_network_gives_it_is_answered_with_its_number(tmp_path):
    assert complaints(tmp_path, "model.layers.dense_1.units=1")[0].endswith("the config none; write layers.3")


def test_a_value_apart_from_its_key_is_not_looked_for_as_a_file(tmp_path):
    (tmp_path / "c.yaml").write_text(SMALL)
    with pytest.raises(
        ConfigError, match=r"^--set:1:13: expected KEY=VALUE, got 'optimizer.lr'; write '=VALUE' right after"
    ):
        load([tmp_path / "c.yaml", "0.1"], ["optimizer.lr"])
    with pytest.raises(UsageError, match=r"the config 0.1 cannot be read"):
        load([tmp_path / "c.yaml", "0.1"], ["optimizer.lr=0.1"])


def test_the_last_one_wins(tmp_path: Path) -> None:
    assert overridden(tmp_path, "seed=1", "seed=2").experiment.seed == 2


def test_nothing_stands_for_null(tmp_path: Path) -> None:
    assert overridden(tmp_path, "train.epochs=", "train.steps=5").experiment.train.steps == 5


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("train.epochs", "--set:1:13 expected KEY=VALUE, got 'train.epochs'"),
        (
            "model.layers.relu_1.name=act",
            "--set:1:14 no item of layers has the name 'relu_1': the network gives it that ",
        ),
        ("model.layers.relu_2.name=act", "--set:1:14 no item of layers has the name 'relu_2'; known: first"),
        ("model.layers.conv2d_1.filters=1", "--set:1:14 no item of layers has the name 'conv2d_1'; known: first"),
        ("model.layers[0].filters=1", "--set:1:7 write layers.0 for layers[0]: the number of an item is a step of its"),
        ("train..epochs=1", "--set:1:7 a step of the path is empty; write it as in train.epochs=3"),
        ("=1", "--set:1:1 a step of the path is empty; write it as in train.epochs=3"),
        ("trian.epochs=1", "--set:1:1 unknown key 'trian'; did you mean 'train'?"),
        ("train.epcohs=1", "--set:1:7 unknown key 'epcohs' of train; did you mean 'epochs'?"),
        ("train.epochs=abc", "--set:1:14 epochs: expected an integer, got 'abc'"),
        ("train.epochs=0", "--set:1:14 epochs must be at least 1, got 0"),
        ("train.epochs.x=1", "--set:1:14 epochs is a single value and has no 'x'"),
        ("model.layers.4.rate=1", "--set:1:14 layers has 4 items, numbered from 0; there is no 4"),
        ("model.layers.-1.rate=1", "--set:1:14 no item of layers has the name '-1'; known: first"),
        ("model.layers.frist.filters=1", "--set:1:14 no item of layers has the name 'frist'; did you mean 'first'?"),
        ("data.eval_transforms=[hflp]", "--set:1:23 unknown transform 'hflp'; did you mean 'hflip'?"),
        ("seed=[1", "--set:1:6 not valid YAML: the '[' that begins here needs its ']'"),
        ("seed=1\x00", "--set:1:7 a config is text; found the character U+0000"),
        ("extends=a.yaml", "--set:1:1 unknown key 'extends'"),
        (".".join("a" * 60) + "=1", "--set:1:1 a path has at most 50 steps"),
        ("seed=" + "9" * 5000, "--set:1:6 seed is a number of 5000 digits; nothing here is that large"),
    ],
)
def test_a_wrong_override_is_cited(tmp_path: Path, override: str, complaint: str) -> None:
    (found,) = complaints(tmp_path, override)
    assert found.startswith(complaint)


def test_overrides_are_shown_with_a_caret_and_numbered(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        overridden(tmp_path, "seed=1", "train.epochs=abc")
    assert str(raised.value) == (
        "--set:2:14: epochs: expected an integer, got 'abc'\n    train.epochs=abc\n                 ^"
    )


def test_mistakes_of_file_and_command_line_come_together(tmp_path: Path) -> None:
    assert [
        text.split(" ")[0].removeprefix(f"{tmp_path}/") for text in complaints(tmp_path, "data.val=2", "train={}")
    ] == [
        "--set:1:10",
        "--set:2:7",
    ]


LAYERS = """
data: {source: {type: synthetic}}
model:
  layers:
    - {type: conv2d, filters: 4, kernel_size: 3}
    - {type: batch_norm, name: norm}
    - {type: residual, body: [{type: conv2d, filters: 4, kernel_size: 3, padding: same}]}
    - flatten
    - {type: dense, units: auto}
loss: {type: cross_entropy}
train: {epochs: 1, batch_size: 8}
"""


@pytest.mark.parametrize(
    "override",
    [
        "model.layers.0.kernel_size=99",  # shapes
        "model.layers.0={type: conv2d, filters: 4, kernel_size: 99}",
        "model.layers.0.groups=2",
        "model.layers.norm.from=nowhere",  # the graph
        "model.layers.2.body.0.groups=3",  # within a structure
        "model.layers.4.units=7",  # the end of the network
        "model.layers.0.filters=2000000000",  # memory
        "train.batch_size=2000000000",
    ],
)
@pytest.mark.parametrize("lines", ["", "seed=3"])
def test_what_is_wrong_with_a_value_set_within_a_part_quotes_the_command_line(tmp_path, override, lines):
    (tmp_path / "c.yaml").write_text(LAYERS)
    sets = [*([lines] if lines else []), override]
    with pytest.raises(ConfigError) as raised:
        rehearse([tmp_path / "c.yaml"], sets, 1)
    first = str(raised.value).splitlines()
    assert first[0].startswith(f"--set:{len(sets)}:"), first
    assert first[1] == f"    {override}"
    assert first[2].index("^") > len("    ") + override.index("=")


def test_what_is_wrong_beside_a_value_that_was_set_quotes_the_file(tmp_path):
    (tmp_path / "c.yaml").write_text(
        LAYERS.replace("filters: 4, kernel_size: 3}\n", "filters: 4, kernel_size: 99}\n", 1)
    )
    with pytest.raises(ConfigError) as raised:
        rehearse([tmp_path / "c.yaml"], ["model.layers.4.bias=false", "train.batch_size=9"], 1)
    assert str(raised.value).startswith(f"{tmp_path / 'c.yaml'}:5:7: the kernel spans 99")
