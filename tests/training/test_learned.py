"""A training at chance is told of, one that has learned anything is not: at any rate, with any shares of classes."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cnntrain.cli import main
from cnntrain.training.job import prepare
from cnntrain.training.learned import FEWEST, at_chance, at_variance
from tests.support.experiments import run, write

CONFIG = """
seed: {seed}
data: {{source: {source}, val: 0.25}}
model: {{layers: [flatten, {{type: dense, units: auto}}]}}
optimizer: {{type: sgd, lr: {lr}}}
train: {{epochs: 3, batch_size: 16}}
"""
BLOBS = "{type: synthetic, pattern: blobs, size: 8, classes: 4, samples: 400, noise: 0.05}"


def trained(folder, lr, source=BLOBS, seed=0, *sets):
    run(write(folder, CONFIG.format(lr=lr, source=source, seed=seed)), folder / "run", sets)


TOLD = "about what guesses without the picture get"
NOISY = "{type: synthetic, pattern: gratings, size: 8, classes: 4, samples: 400, noise: 0.5}"


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("lr", "source", "told"), [(1e-12, NOISY, True), (1e-6, NOISY, True), (0.1, BLOBS, False), (1.0, BLOBS, False)]
)
def test_a_rate_at_which_nothing_is_learned(tmp_path, capsys, lr, source, told, seed):
    trained(tmp_path, lr, source, seed)
    assert (TOLD in capsys.readouterr().err) == told


def test_it_is_silenced_by_its_code(tmp_path, capsys):
    trained(tmp_path, 1e-12, NOISY, 0, "warnings.ignore=[at-chance]")
    assert TOLD not in capsys.readouterr().err


def test_noise_that_is_learned_by_heart_is_learned(tmp_path, capsys):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (300, 8, 8, 3), np.uint8)
    np.savez(tmp_path / "noise.npz", x_train=pixels, y_train=rng.integers(0, 2, 300))
    trained(tmp_path, 0.1, f"{{type: npz, path: {tmp_path}/noise.npz}}", 0, "train.epochs=60")
    assert TOLD not in capsys.readouterr().err


@pytest.mark.parametrize("shares", [(0.25, 0.25, 0.25, 0.25), (0.9, 0.1), (0.5, 0.3, 0.2)])
def test_what_is_near_to_blind_answers(tmp_path, shares):
    """By hand: a class with a share p gives p to its constant answer, within 2 sqrt(p (1 - p) / n) + p (1 - p) / 4."""
    n = 4 * FEWEST
    labels = np.repeat(np.arange(len(shares)), [round(share * n) for share in shares])
    np.savez(tmp_path / "a.npz", x_train=np.zeros((n, 4, 4, 1), np.uint8), y_train=labels)
    source = f"{{type: npz, path: {tmp_path}/a.npz}}"
    job = prepare([write(tmp_path, CONFIG.format(lr=0.1, source=source, seed=0))])
    for share in shares:
        variance = share * (1 - share)
        width = 2 * math.sqrt(variance / len(job.data.train_indices)) + variance / 4
        for further in (0, 0.9 * width, -0.9 * width):
            assert TOLD in str(at_chance(job, {"train/accuracy": share + further, "val/accuracy": share}))
    best = {"train/accuracy": max(shares) + (1 - max(shares)) / 2, "val/accuracy": max(shares)}
    assert at_chance(job, best) is None  # training says that something was learned, even though it does not carry over
    assert (
        at_chance(job, {"train/accuracy": max(shares), "val/accuracy": max(shares) + 0.8 * (1 - max(shares))}) is None
    )
    assert at_chance(job, {"train/loss": 1.0}) is None


RARE = (0.9, 0.1)
P = np.linspace(0.001, 0.999, 999)  # the probability that an output means
YES, NO = -0.25 * (1 - P) ** 2 * np.log(P), -0.75 * P**2 * np.log(1 - P)  # its focal loss


def unbalanced(folder, further="", loss="cross_entropy", shares=RARE):
    """A job of so many samples of each class."""
    labels = np.repeat(np.arange(len(shares)), [round(share * 4 * FEWEST) for share in shares])
    np.savez(folder / "a.npz", x_train=np.zeros((len(labels), 4, 4, 1), np.uint8), y_train=labels)
    text = CONFIG.format(lr=0.1, source=f"{{type: npz, path: {folder}/a.npz}}", seed=0) + f"loss: {loss}\n"
    return prepare([write(folder, text.replace("batch_size: 16", f"batch_size: 16{further}"))])


def test_a_rare_class_may_be_learned_before_it_is_answered(tmp_path):
    """By hand: an answer with the classes' shares p has the loss sum of -p log p."""
    job = unbalanced(tmp_path)
    entropy = -sum(share * math.log(share) for share in RARE)
    shares = {"train/accuracy": 0.9, "val/accuracy": 0.9}
    for loss, told in ((1.2 * entropy, True), (entropy, True), (0.97 * entropy, True), (0.9 * entropy, False)):
        assert (at_chance(job, shares | {"train/loss": 1.2 * entropy, "val/loss": loss}) is not None) == told
        assert (at_chance(job, shares | {"train/loss": loss, "val/loss": 1.2 * entropy}) is not None) == told


def test_chance_in_training_is_by_what_the_order_draws(tmp_path):
    job = unbalanced(tmp_path, ", order: balanced")
    assert at_chance(job, {"train/accuracy": 0.9, "val/accuracy": 0.9}) is None
    assert TOLD in str(at_chance(job, {"train/accuracy": 0.5, "val/accuracy": 0.9}))
    assert at_chance(job, {"train/accuracy": 0.5, "val/accuracy": 0.9, "train/loss": 0.9 * math.log(2)}) is None


@pytest.mark.parametrize(
    ("loss", "least"),
    [
        ("{type: cross_entropy, class_weight: balanced}", math.log(2)),
        ("{type: cross_entropy, weight: 2}", -2 * sum(share * math.log(share) for share in RARE)),
        ("{type: cross_entropy, class_weight: [1, 9]}", math.log(2)),
        ("{type: cross_entropy, class_weight: [1, 3]}", math.log(4) - 0.75 * math.log(3)),  # of shares 3/4 and 1/4
        ("{type: mse, class_weight: [1, 3]}", 0.75 * 0.25),
        ("focal", np.mean([min(share * YES + (1 - share) * NO) for share in RARE])),
        ("hinge", 0.1 * 2 / 2),  # at a margin of 1, which the rare class misses by 2
        ("{type: sum, terms: [mse, {type: hinge, weight: 1.0e-6}]}", 0.9 * 0.1),
        ("mse", 0.9 * 0.1),
        ("binary_cross_entropy", -sum(share * math.log(share) for share in RARE)),
    ],
)
def test_by_hand_the_loss_of_a_constant_for_classes(tmp_path, loss, least):
    job = unbalanced(tmp_path, loss=loss)
    shares = {"train/accuracy": 0.9, "val/accuracy": 0.9}
    assert at_chance(job, shares | {"val/loss": 0.94 * least}) is None
    assert at_chance(job, shares | {"val/loss": 0.96 * least}) is not None


@pytest.mark.parametrize("shares", [(1.0, 0.0, 0.0), (0.5, 0.5, 0.0)])
def test_classes_without_a_sample_disturb_no_constant(tmp_path, shares):
    pixels, labels = np.zeros((400, 4, 4, 1), np.uint8), np.repeat(np.arange(3), [round(400 * s) for s in shares])
    np.savez(tmp_path / "a.npz", x_train=pixels, y_train=np.arange(400) % 3, x_val=pixels, y_val=labels)
    text = CONFIG.format(lr=0.1, source=f"{{type: npz, path: {tmp_path}/a.npz}}", seed=0).replace(", val: 0.25", "")
    job = prepare([write(tmp_path, text)])
    values = {"train/accuracy": 1 / 3, "val/accuracy": 1 / 3}
    assert at_chance(job, values | {"val/loss": 2.0, "train/loss": 2.0}) is not None


def test_the_loss_of_classes_alone_says_nothing(tmp_path):
    assert at_variance(unbalanced(tmp_path), {"train/loss": 1e3, "val/loss": 1e3}) is None


def test_of_few_samples_nothing_is_said(tmp_path, capsys):
    trained(tmp_path, 1e-12, BLOBS.replace("samples: 400", f"samples: {FEWEST}"))
    assert TOLD not in capsys.readouterr().err


@pytest.mark.parametrize(("batch", "told"), [(16, True), (24, False)])
def test_after_few_steps_nothing_is_said(tmp_path, capsys, batch, told):
    """Of 300 samples, three epochs are 57 steps and 39."""
    trained(tmp_path, 1e-12, NOISY, 0, f"train.batch_size={batch}")
    assert (TOLD in capsys.readouterr().err) == told


@pytest.mark.parametrize(("epochs", "told"), [(13, True), (12, False)])
def test_after_few_steps_nothing_is_said_of_values(tmp_path, capsys, epochs, told):
    """Of 60 samples, an epoch is 4 steps."""
    targets = 1e5 + np.arange(80, dtype=np.float32)[:, None]
    np.savez(tmp_path / "a.npz", x_train=np.zeros((80, 4, 4, 1), np.uint8), y_train=targets)
    text = VALUES.format(path=tmp_path / "a.npz", ending="", loss="mse", lr=1e-3, epochs=epochs)
    run(write(tmp_path, text), tmp_path / "run")
    assert (CONSTANT in capsys.readouterr().err) == told


VALUES = """
data: {{source: {{type: npz, path: {path}}}, val: 0.25}}
model: {{layers: [flatten, {{type: dense, units: auto}}{ending}]}}
loss: {loss}
optimizer: {{type: adamw, lr: {lr}}}
train: {{epochs: {epochs}, batch_size: 16}}
"""
CONSTANT = "no less than what one answer for every picture gets"


@pytest.mark.parametrize("loss", ["mse", "mae", "{type: huber, weight: 2}"])
@pytest.mark.parametrize(
    ("ending", "lr", "told"),
    [("", 1e-3, True), (", {type: denormalize, mean: [300000], std: [115000]}", 0.05, False)],
)
def test_values_that_are_out_of_reach(tmp_path, capsys, loss, ending, lr, told):
    brightness = np.linspace(0, 1, 80, dtype=np.float32)
    pixels = np.broadcast_to(brightness[:, None, None, None], (80, 4, 4, 1))
    np.savez(tmp_path / "a.npz", x_train=pixels, y_train=100_000 + 400_000 * brightness[:, None])
    text = VALUES.format(path=tmp_path / "a.npz", ending=ending, loss=loss, lr=lr, epochs=20)
    assert main(["fit", str(write(tmp_path, text)), "-o", str(tmp_path / "run"), "--progress", "none"]) == 0
    said = capsys.readouterr().err
    assert (CONSTANT in said) == told
    assert ("end model.layers with {type: denormalize, mean: [" in said) == told
    assert "cnntrain lr-find" not in said  # no rate is to blame


@pytest.mark.parametrize(
    ("model", "eps", "remedy"),
    [
        ("layers: [flatten, {type: dense, units: auto}]", 1e-8, "std: [1.0e-06]}, and set optimizer.eps to 1e-20"),
        ("layers: [flatten, {type: dense, units: auto}]", 1e-20, "std: [1.0e-06]}"),
        ("layers: [{type: dense, units: auto}, ENDING]", 1e-8, "optimizer's eps: set optimizer.eps to 1e-20"),
        ("layers: [{type: dense, units: auto}, ENDING]", 1e-20, "may be too high or too low"),
        ("preset: lenet5", 1e-8, "bring them to about -1 to 1 in the data"),
    ],
)
def test_values_that_differ_by_little_want_a_smaller_eps(tmp_path, model, eps, remedy):
    targets = np.tile(np.array([[1e-6], [3e-6]], np.float32), (40, 1))
    np.savez(tmp_path / "a.npz", x_train=np.zeros((80, 28, 28, 1), np.uint8), y_train=targets)
    text = VALUES.format(path=tmp_path / "a.npz", ending="", loss="mse", lr=f"0.1, eps: {eps}", epochs=1)
    model = model.replace("[{", "[flatten, {").replace("ENDING", "{type: denormalize, mean: [2e-6], std: [1e-6]}")
    job = prepare([write(tmp_path, text.replace("layers: [flatten, {type: dense, units: auto}]", model))])
    assert str(at_variance(job, {"train/loss": 1.0, "val/loss": 1.0})).endswith(remedy)


@pytest.mark.parametrize(("samples", "told"), [(60, True), (40, False)])
def test_of_few_values_nothing_is_said(tmp_path, samples, told):
    targets = np.arange(samples, dtype=np.float32)[:, None]
    np.savez(tmp_path / "a.npz", x_train=np.zeros((samples, 4, 4, 1), np.uint8), y_train=targets)
    job = prepare([write(tmp_path, VALUES.format(path=tmp_path / "a.npz", ending="", loss="mse", lr=0.1, epochs=1))])
    assert (at_variance(job, {"train/loss": 1e6, "val/loss": 1e6}) is not None) == told


@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_by_hand_a_constant_has_the_variance_for_its_squared_error(tmp_path, spread):
    """Of -s and s, s^2; nothing is better than a constant where values are one."""
    targets = np.tile([[-spread], [spread]], (40, 1)).astype(np.float32)
    np.savez(tmp_path / "a.npz", x_train=np.zeros((80, 4, 4, 1), np.uint8), y_train=targets)
    job = prepare([write(tmp_path, VALUES.format(path=tmp_path / "a.npz", ending="", loss="mse", lr=0.1, epochs=1))])
    said = at_variance(job, {"train/loss": 1.01, "val/loss": 1.01})
    assert (said is not None) == (spread > 0)
    assert said is None or said.blames_lr  # they are near enough to 0
    assert at_variance(job, {"train/loss": 0.9, "val/loss": 1.5}) is None
    assert at_variance(job, {"train/loss": 1.5, "val/loss": 0.9}) is None
