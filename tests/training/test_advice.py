"""Warnings of meaning: each on a config that deserves it and not on the one beside it, and silenced by its code."""

from __future__ import annotations

from pathlib import Path

import pytest

from cnntrain.checks.summary import described_without_data
from cnntrain.cli import main
from cnntrain.config.load import load
from cnntrain.core import registry
from cnntrain.network import build
from cnntrain.training.advice import LATER, RULES, of
from cnntrain.training.job import prepare
from cnntrain.training.rates import horizon

CONFIG = """\
data:
  source: {type: synthetic, size: 8, channels: 3, classes: 3, samples: 60}
  val: 0.2
  train_transforms: [hflip, {type: normalize, mean: [0.5, 0.5, 0.5], std: [0.2, 0.2, 0.2]}]
  eval_transforms: [{type: normalize, mean: [0.5, 0.5, 0.5], std: [0.2, 0.2, 0.2]}]
model:
  layers:
    - {type: conv2d, name: stem, filters: 4, kernel_size: 3}
    - batch_norm
    - relu
    - flatten
    - {type: dense, name: hidden, units: 8}
    - relu
    - {type: dropout, rate: 0.2}
    - {type: dense, name: head, units: auto}
optimizer: {type: sgd, lr: 0.1, weight_decay: 1e-3}
schedule: {type: cosine, warmup: 1ep}
train: {epochs: 4, batch_size: 10}
"""
EPOCH = 5, 50  # its steps and samples
NORM = "{type: normalize, mean: [0.5, 0.5, 0.5], std: [0.2, 0.2, 0.2]}"
FOLDS = "{type: k_fold, source: {type: synthetic, size: 8, channels: 3, classes: 3, samples: 60}}"
HEAD = "[flatten, {type: dense, units: auto}]"


DETECTOR = ("model={preset: fcos_small}", "loss=fcos", "train.batch_size=1")


def layers(text: str) -> str:
    return f"model.layers={text}"


# code -> (overrides that draw it, overrides close to them that do not)
CASES: dict[str, list[tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "no-validation": [(("data.val=null",), ("data.val=0.1",))],
    "unused-validation": [((f"data.source={FOLDS}",), (f"data.source={FOLDS}", "data.val=null"))],
    "no-shuffle": [(("train.order=sequential",), ("train.order=shuffle",))],
    "augmentation-in-eval": [
        ((f"data.eval_transforms=[hflip, {NORM}]",), (f"data.eval_transforms=[{NORM}]",)),
        ((f"data.eval_transforms=[{{type: random_crop, padding: 1}}, {NORM}]",), ()),
    ],
    "transforms-differ": [
        (("data.eval_transforms=[]",), ("data.eval_transforms=[]", "data.train_transforms=[hflip]")),
        ((f"data.eval_transforms=[{NORM.replace('0.2,', '0.3,')}]",), (f"data.train_transforms=[{NORM}]",)),
        (
            (f"data.train_transforms=[scale, {NORM}]",),
            (f"data.train_transforms=[{{type: random_crop, padding: 1}}, {NORM}]",),
        ),
    ],
    "batch-norm-momentum": [
        (("model.layers.1={type: batch_norm, momentum: 0.99}",), ("model.layers.1={type: batch_norm, momentum: 0.5}",)),
        (
            (
                layers(
                    "[{type: repeat, n: 1, body: [{type: batch_norm, momentum: 1}]}, flatten, {type: dense, units: 3}]"
                ),
            ),
            (),
        ),
    ],
    "batch-norm-of-one": [
        (("train.batch_size=1",), ("train.batch_size=1", "model.layers.1={type: batch_norm, freeze: true}")),
        (("train.batch_size=1",), ("train.batch_size=2",)),
    ],
    "mixing-of-one": [
        (("data.train_transforms.0=mixup", "train.batch_size=1"), ("data.train_transforms.0=mixup",)),
        (("data.train_transforms.0=cutmix", "train.batch_size=1"), ("train.batch_size=1",)),
        (
            ("data.train_transforms.0=mixup", "train.batch_size=1"),
            ("data={source: {type: shapes, size: 32, target: boxes}, train_transforms: [mosaic]}", *DETECTOR),
        ),
    ],
    "destroyed-pixels": [
        (
            (f"data.train_transforms=[{NORM}, {{type: color_jitter, brightness: 0.1}}]",),
            (f"data.train_transforms=[{{type: color_jitter, brightness: 0.1}}, {NORM}]",),
        ),
        (
            (f"data.train_transforms=[{NORM}, hflip, gaussian_noise]",),
            (f"data.train_transforms=[{NORM}, {{type: gaussian_noise, clip: false}}]",),
        ),
        (
            ("data.train_transforms=[{type: scale, low: -1}, posterize]",),
            (f"data.train_transforms=[{NORM}, scale, posterize]",),
        ),
        ((f"data.eval_transforms=[{NORM}, invert]",), ()),
    ],
    "dropout-before-batch-norm": [
        (
            (layers("[flatten, {type: dense, units: 4}, dropout, batch_norm, relu, {type: dense, units: auto}]"),),
            (layers("[flatten, {type: dense, units: 4}, batch_norm, dropout, relu, {type: dense, units: auto}]"),),
        ),
        (
            (layers("[dropout, relu, batch_norm, flatten, {type: dense, units: auto}]"),),
            (layers("[{type: dropout, rate: 0}, relu, batch_norm, flatten, {type: dense, units: auto}]"),),
        ),
        ((layers("[{type: gaussian_noise, std: 0.1}, batch_norm, flatten, {type: dense, units: auto}]"),), ()),
    ],
    "probabilities-before-loss": [
        (
            (layers("[flatten, {type: dense, units: auto}, softmax]"),),
            (layers("[flatten, {type: dense, units: auto}, softmax]"), "loss=mse"),
        ),
        (
            (layers("[flatten, {type: dense, units: auto}, log_softmax]"),),
            (layers("[sigmoid, flatten, {type: dense, units: auto}]"),),
        ),
        ((layers("[flatten, {type: dense, units: auto}, sigmoid]"), "loss=binary_cross_entropy"), ()),
        ((layers("[flatten, {type: dense, units: auto}, hard_sigmoid]"), "loss=binary_cross_entropy"), ()),
    ],
    "rectifier-before-loss": [
        (
            (layers("[flatten, {type: dense, units: auto}, relu]"),),
            (layers("[flatten, {type: dense, units: auto}, relu]"), "loss=mse"),
        ),
        (
            (layers("[flatten, {type: dense, units: auto}, relu]"),),
            (layers("[flatten, {type: dense, units: auto}, tanh]"),),
        ),
    ],
    "dropout-before-loss": [
        (
            (layers("[flatten, {type: dense, units: auto}, dropout]"),),
            (layers("[flatten, dropout, {type: dense, units: auto}]"),),
        ),
        (
            (layers("[flatten, {type: dense, units: auto}, {type: gaussian_noise, std: 0.1}]"),),
            (layers("[flatten, {type: dense, units: auto}, {type: dropout, rate: 0}]"),),
        ),
    ],
    "dense-without-activation": [
        (
            (layers("[flatten, {type: dense, units: 4}, dropout, {type: dense, units: auto}]"),),
            (layers("[flatten, {type: dense, units: 4}, tanh, dropout, {type: dense, units: auto}]"),),
        ),
        ((layers("[flatten, {type: dense, units: 4}, batch_norm, {type: dense, units: auto}]"),), (layers(HEAD),)),
        (
            (
                layers(
                    "[flatten, {type: dense, units: 16}, {type: reshape, shape: [4, 4, 1]}, upsample, flatten, "
                    "{type: dense, units: auto}]"
                ),
            ),
            (
                layers(
                    "[flatten, {type: dense, units: 16}, {type: reshape, shape: [4, 4, 1]}, tanh, flatten, "
                    "{type: dense, units: auto}]"
                ),
            ),
        ),
    ],
    "nothing-trained": [
        (
            (layers("[flatten, {type: dense, units: auto, freeze: true}]"),),
            (layers("[flatten, {type: dense, units: auto, freeze: false}]"),),
        ),
    ],
    "warmup-beyond-end": [
        (("schedule.warmup=4ep",), ("schedule.warmup=3ep",)),
        (("schedule.warmup=20st",), ("schedule.warmup=19st",)),
        (("schedule.warmup={duration: 100%, start: 0.1}",), ("schedule.warmup={duration: 90%, start: 0.1}",)),
        (("schedule={type: constant, warmup: 10ep}",), ("schedule={type: constant}",)),
    ],
    "milestone-beyond-end": [
        (
            ("schedule={type: multistep, milestones: [1ep, 4ep]}",),
            ("schedule={type: multistep, milestones: [1ep, 19st]}",),
        ),
        (
            ("schedule={type: multistep, milestones: [3ep], warmup: 1ep}",),  # they count from its end
            ("schedule={type: multistep, milestones: [2ep], warmup: 1ep}",),
        ),
        (("momentum_schedule={type: multistep, milestones: [9ep]}", "optimizer.momentum=0.9"), ()),
    ],
    "freeze-beyond-end": [
        (("train.freeze=[{match: head, until: 4ep}]",), ("train.freeze=[{match: head, until: 3ep}]",)),
        (("train.freeze=[{match: head, after: 4ep}]",), ("train.freeze=[{match: head}]",)),
        (("train.freeze=[{match: head, until: 20st}]",), ("train.freeze=[{match: head, until: 100%}]",)),
    ],
    "average-beyond-end": [
        (("train.average={type: swa, start: 5ep}",), ("train.average={type: swa, start: 4ep}",)),
        (("train.average={type: swa, start: 21st}",), ("train.average=ema",)),
    ],
    "metric-never-tells": [
        (("train.metrics=[{type: top_k, k: 3}]",), ("train.metrics=[{type: top_k, k: 2}]",)),
    ],
    "idle-end": [
        (("optimizer.lr=0",), ("optimizer.lr=1e-9",)),
        (("schedule={type: step, every: 1st, gamma: 1e-3}",), ("schedule={type: step, every: 1ep, gamma: 0.1}",)),
    ],
    "decay-fades": [
        (
            ("train.epochs=20", "schedule={type: exponential, gamma: 0.5}"),
            ("train.epochs=20", "schedule={type: exponential, gamma: 0.5}", "optimizer.weight_decay=0"),
        ),
        (
            ("train.epochs=20", "schedule={type: step, every: 5ep, gamma: 0.05}"),
            ("train.epochs=20", "schedule={type: step, every: 5ep, gamma: 0.1}"),
        ),
        (
            ("train.epochs=20", "schedule={type: polynomial, power: 5}"),
            ("train.epochs=20", "schedule={type: polynomial, power: 2}"),
        ),
    ],
    "coupled-decay": [
        (
            ("optimizer={type: adam, weight_decay: 1e-2}",),
            ("optimizer={type: adam, weight_decay: 1e-2, decoupled: true}",),
        ),
        (("optimizer={type: adam, weight_decay: 1e-2}",), ("optimizer=adam",)),
        (("optimizer={type: adam, weight_decay: 1e-2}",), ("optimizer={type: adamw, weight_decay: 1e-2}",)),
    ],
    "patience-beyond-end": [
        (("train.early_stopping={patience: 4}",), ("train.early_stopping={patience: 3}",)),
    ],
}
FLAT = [(code, number, *pair) for code, pairs in CASES.items() for number, pair in enumerate(pairs)]


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    path = tmp_path_factory.mktemp("advice") / "net.yaml"
    path.write_text(CONFIG)
    return path


def codes(config: Path, sets: tuple[str, ...]) -> list[str]:
    """The codes of all warnings a config draws."""
    loaded = load([config], sets)
    lines = list(of(loaded, build.network(loaded, described_without_data(loaded)), horizon(loaded.experiment, *EPOCH)))
    assert all(line == line.strip() and "\n" not in line for line in lines)
    return [line.rpartition("[")[2].rstrip("]") for line in lines]


def test_every_rule_has_its_cases():
    of_data = {
        "empty-classes",
        "single-samples",
        "classes-alike",
        "batch-beyond-data",
        "targets-stay",
        "targets-cut-away",
    }  # in test_data_advice
    assert set(CASES) | of_data == set(RULES)
    assert all(rule.about.endswith(".") for rule in RULES.values())
    assert all(about.endswith(".") for about in LATER.values())  # in the tests of what gives them
    assert not {*RULES} & {*LATER}


def test_the_config_itself_draws_none(config):
    assert codes(config, ()) == []


@pytest.mark.parametrize(("code", "number", "guilty", "innocent"), FLAT, ids=[f"{code}-{n}" for code, n, *_ in FLAT])
def test_a_rule_speaks_where_it_should_and_only_there(config, code, number, guilty, innocent):
    assert code in codes(config, guilty)
    assert code not in codes(config, innocent)
    assert code not in codes(config, (*guilty, f"warnings.ignore=[{code}]"))


@pytest.mark.parametrize("schedule", ["cosine", "linear", "one_cycle", "wsd", "constant"])
def test_everyday_schedules_that_end_at_zero_may_have_weight_decay(config, schedule):
    assert codes(config, ("train.epochs=30", f"schedule={schedule}")) == []


@pytest.mark.parametrize(
    ("override", "said"),
    [
        (
            "schedule={type: multistep, milestones: [3ep], warmup: 1ep}",
            "the milestone 3ep of schedule, counted from the end of the warm-up, step 5, is not before the end of "
            "training, which has 20 steps",
        ),
        (
            "schedule={type: multistep, milestones: [4ep]}",
            "the milestone 4ep of schedule is not before the end of training, which has 20 steps",
        ),
        (
            "train.freeze=[{match: head, until: 1ep, after: 4ep}]",
            "train.freeze.0.after is 4ep, and training ends after step 20: it does nothing. Train longer",
        ),
        (
            "train.freeze=[{match: head, until: 4ep}]",
            "train.freeze.0.until is 4ep, and training ends after step 20: the layers of 'head' are never trained. T",
        ),
    ],
)
def test_what_is_beyond_the_end_is_told_as_it_is_counted(config, override, said):
    loaded = load([config], (override,))
    found = of(loaded, build.network(loaded, described_without_data(loaded)), horizon(loaded.experiment, *EPOCH))
    assert any(line.startswith(said) for line in found)


def test_a_sum_of_losses_is_looked_into(config):
    softmax = layers("[flatten, {type: dense, units: auto}, softmax]")
    assert codes(config, (softmax, "loss={type: sum, terms: [mse, cross_entropy]}")) == ["probabilities-before-loss"]
    assert codes(config, (softmax, "loss={type: sum, terms: [mse, mae]}")) == []


CLIPS = ("c3d_small", "r2plus1d_small", "tsm_resnet20")
_PICTURES = "{type: synthetic, size: 32, channels: 3, classes: 3}"


@pytest.mark.parametrize("name", list(registry.parts("models")))
def test_no_ready_model_draws_a_warning(tmp_path, name):
    path = tmp_path / "ready.yaml"
    target = {"fcos_small": "boxes", "unet": "mask"}.get(name)
    source = f"{{type: shapes, size: 32, target: {target}}}" if target else _PICTURES
    if name in CLIPS:
        source = "{type: motion, size: 16, frames: 4}"
    loss = "loss: fcos\n" if target == "boxes" else ""
    path.write_text(f"data: {{source: {source}, val: 0.2}}\nmodel: {{preset: {name}}}\ntrain: {{epochs: 1}}\n{loss}")
    assert codes(path, ()) == []


def test_how_long_training_is_takes_the_data(config):
    loaded = load([config], ["schedule.warmup=9ep"])
    assert list(of(loaded, build.network(loaded, described_without_data(loaded)))) == []


def test_a_length_in_samples_is_counted_with_the_last_batch_of_an_epoch_as_small_as_it_is(config):
    """An epoch has 4 batches of 10 and one of 8, so 480 samples are 50 steps."""
    told: list[str] = []
    for warmup in ("49st", "50st"):
        sets = ("train.epochs=null", "train.samples=480", f"schedule.warmup={warmup}")
        prepare([config], sets, warn=told.append)
    assert [line.partition(" lasts")[0] for line in told] == ["the warm-up of 50st"]


def test_the_command_line_shows_a_warning_with_its_place_and_code(config, capsys):
    assert main(["check", "-s", "model.layers.1={type: batch_norm, name: n, momentum: 0.99}", str(config)]) == 0
    said = capsys.readouterr().err
    assert said.startswith("cnntrain: warning: n has momentum 0.99: it is the weight of the new value, 0.1 by default")
    assert said.endswith("(--set:1:16) [batch-norm-momentum]\n")


@pytest.mark.parametrize("arguments", [[], ["--no-data"]])
def test_an_unknown_code_is_an_error_with_a_hint(config, capsys, arguments):
    assert main(["check", *arguments, "-s", "warnings.ignore=[no-validaton]", str(config)]) == 2
    assert "unknown warning code 'no-validaton'; did you mean 'no-validation'?" in capsys.readouterr().err


def test_the_parts_that_advice_is_about_say_so_themselves():
    logits = {"cross_entropy", "binary_cross_entropy", "focal", "kl_div", "distillation", "soft_dice"}
    adaptive = {"adam", "adamw", "adamax", "nadam", "radam"}
    assert {name for name, loss in registry.parts("losses").items() if loss.from_logits} == logits
    assert {name for name, cls in registry.parts("optimizers").items() if cls.divides_decay} == adaptive
