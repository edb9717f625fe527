"""Mixing transforms: torchvision's numbers, whole batches, and the same bits whoever asks for which stretch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnntrain.core import registry
from cnntrain.core.arrays import Array
from cnntrain.core.errors import ConfigError, StoppedError
from cnntrain.data.loader import Loader, Mixable, Samples
from cnntrain.parts.datasets.images import Images
from cnntrain.parts.transforms.base import Mixing
from cnntrain.parts.transforms.cutmix import box
from tests.support import golden
from tests.support.datasets import pixels
from tests.support.experiments import evidence, run, write
from tests.training.test_trainer import _stop_after

SETTINGS = [
    pytest.param(registry.make("transforms", name, **fields), id=f"{name}-{index}")
    for name, cls in registry.parts("transforms").items()
    for index, fields in enumerate(cls.examples)
    if cls.on == "pair"
]
CERTAIN = [param for param in SETTINGS if param.values[0].probability == 1]
CLASSES = ("a", "b", "c")


def make(name: str, **fields: Any) -> Any:
    return registry.make("transforms", name, **fields)


def images(count: int = 20) -> Images:
    return Images(pixels(count, 6, 5, 3), np.arange(count) % 3, CLASSES)


def mixable(source: Images) -> Mixable:
    """How targets like those of a source are mixed."""
    task = registry.make("tasks", "classify" if source.classes else "regress")
    return lambda targets: task.mixable(targets, source.description)


def batch(*transforms: Any, count: int = 20, epoch: int = 0, source: Images | None = None) -> Samples:
    source = source or images()
    indices = np.arange(count)[::-1].copy()
    return Samples(
        source,
        indices,
        transforms,
        seed=5,
        epoch=epoch,
        mixable=mixable(source),
    )


def filled(samples: Samples, start: int = 0, stop: int | None = None) -> tuple[Array, Array]:
    stop = len(samples) if stop is None else stop
    x = np.full((stop - start, 6, 5, 3), np.nan, np.float32)
    targets, weights = samples.fill(start, stop, x)
    assert weights.tolist() == [1] * (stop - start)
    return x, targets


@pytest.mark.parametrize("path", [c for c in golden.cases("transforms") if c.id.startswith(("mixup", "cutmix"))])
def test_equals_torchvision(path: Path) -> None:
    transform, case = golden.load(path)
    share, expected = float(case["share"]), case["images"]
    if transform.name_in_config == "cutmix":
        rows, columns = box(*expected.shape[1:3], share, int(case["y"]), int(case["x"]))
        assert [rows.start, rows.stop, columns.start, columns.stop] == case["box"].tolist()

    class Told(np.random.Generator):
        """Draws what torchvision drew."""

        def beta(self, *_: Any) -> float:
            return share

        def integers(self, size: int) -> int:
            return int(case["y"] if size == expected.shape[1] else case["x"])

    cyclic = np.arange(-1, len(expected))
    found, targets = transform.mix(expected[cyclic], case["rows"][cyclic], Told(np.random.SFC64(0)))
    np.testing.assert_allclose(found, case["result"], rtol=0, atol=1e-7)
    np.testing.assert_allclose(targets, case["mixed_rows"], rtol=0, atol=1e-7)


@pytest.mark.parametrize("transform", CERTAIN)
def test_mixes_every_sample_with_the_one_before_it(transform: Mixing) -> None:
    plain, _ = filled(batch())
    for epoch in range(8):  # a box may come out empty
        x, targets = filled(batch(transform, epoch=epoch))
        assert x.dtype == targets.dtype == np.float32
        assert 0 <= x.min() <= x.max() <= 1
        rows = np.eye(3, dtype=np.float32)[np.arange(20)[::-1] % 3]
        shares = ((targets - np.roll(rows, 1, 0)) * rows).sum(axis=1)
        np.testing.assert_allclose(targets.sum(axis=1), 1, rtol=1e-6)
        np.testing.assert_allclose(shares, shares[0], rtol=1e-5)  # one share a batch, the labels' and the images'
        if transform.name_in_config == "mixup":
            np.testing.assert_allclose(x, shares[0] * plain + (1 - shares[0]) * np.roll(plain, 1, 0), atol=1e-6)
        else:
            own, other = (x == plain).all(axis=3), (x == np.roll(plain, 1, 0)).all(axis=3)
            assert (own | other).all()
            assert own.mean(axis=(1, 2)) == pytest.approx(shares, abs=1e-6)


@pytest.mark.parametrize("transform", SETTINGS)
def test_does_something_to_as_many_batches_as_it_should(transform: Mixing) -> None:
    plain, _ = filled(batch())
    mixed = [not np.array_equal(filled(batch(transform, epoch=epoch))[0], plain) for epoch in range(60)]
    assert 0.3 * transform.probability < np.mean(mixed) <= min(1.4 * transform.probability, 1)


@pytest.mark.parametrize("transform", SETTINGS)
def test_shares_are_of_the_beta_distribution(transform: Mixing, monkeypatch: pytest.MonkeyPatch) -> None:
    shares: list[float] = []
    monkeypatch.setattr(type(transform), "blend", lambda _, x, y, share, rng: (shares.append(share), (x, share))[1])
    for epoch in range(600):
        filled(batch(make(transform.name_in_config, alpha=transform.alpha), count=2, epoch=epoch))
    expected = np.random.default_rng(0).beta(transform.alpha, transform.alpha, 100_000)
    for q in (0.25, 0.5, 0.75):
        assert np.quantile(shares, q) == pytest.approx(np.quantile(expected, q), abs=0.1)


LISTS = [
    *(pytest.param((param.values[0],), id=param.id) for param in SETTINGS),
    pytest.param((make("hflip"), make("mixup"), make("random_crop", padding=1), make("cutmix")), id="both"),
]


@pytest.mark.parametrize("transforms", LISTS)
def test_any_cut_of_the_batch_gives_the_same_bits(transforms: tuple[Any, ...]) -> None:
    for count in (1, 2, 20):
        for epoch in range(4):
            whole, targets = filled(batch(*transforms, count=count, epoch=epoch))
            for start, stop in ((0, 1), (0, count), (count - 1, count), (count // 3, count // 2 + 1)):
                part, some = filled(batch(*transforms, count=count, epoch=epoch), start, stop)
                assert part.tobytes() == whole[start:stop].tobytes()
                assert some.tobytes() == targets[start:stop].tobytes()


def test_target_values_and_rows_are_mixed_as_they_are() -> None:
    values = np.arange(40, dtype=np.float32).reshape(20, 2)
    _, targets = filled(batch(make("mixup", alpha=1.0), source=Images(pixels(20, 6, 5, 3), values, ())))
    plain = values[::-1]
    share = (targets[1, 0] - plain[0, 0]) / (plain[1, 0] - plain[0, 0])
    np.testing.assert_allclose(targets, share * plain + (1 - share) * np.roll(plain, 1, 0), rtol=1e-4)


def test_accumulated_batches_mix_among_themselves_alone() -> None:
    steps = Loader(
        images(),
        np.arange(20),
        (make("mixup"),),
        batch_size=5,
        accumulate=2,
        order=registry.make("orders", "shuffle"),
        seed=1,
        mixable=mixable(images()),
    )
    alone = Loader(
        images(),
        np.arange(20),
        (make("mixup"),),
        batch_size=5,
        accumulate=1,
        order=registry.make("orders", "shuffle"),
        seed=1,
        mixable=mixable(images()),
    )
    for step in range(4):
        for part, (one,) in zip(steps.step(step), (alone.step(2 * step), alone.step(2 * step + 1)), strict=True):
            assert filled(part)[0].tobytes() == filled(one)[0].tobytes()


MIXED = (
    "data.train_transforms=[hflip, {type: mixup, alpha: 1}, {type: cutmix, probability: 0.5}, {type: normalize, from: "
    "dataset}]",
    "train.epochs=2",
    "train.accumulate=2",
)


def test_threads_and_resumes_change_no_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = write(tmp_path)
    run(config, tmp_path / "straight", MIXED)
    expected = evidence(tmp_path / "straight")
    run(config, tmp_path / "threads", MIXED, threads=3)
    assert evidence(tmp_path / "threads") == expected
    with monkeypatch.context() as patch:
        _stop_after(patch, 3)
        with pytest.raises(StoppedError):
            run(config, tmp_path / "run", MIXED)
    run(None, tmp_path / "run", resume=True)
    assert evidence(tmp_path / "run") == expected


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        (
            ("data.eval_transforms=[{type: normalize, from: dataset}, mixup]",),
            "--set:1:1: mixup mixes samples with each other, but evaluation must see them as they are",
        ),
        (
            ("data.train_transforms.0=cutmix", "loss={type: distillation, teacher: nobody}"),
            "cutmix mixes samples, but the teacher of the loss was asked about unmixed ones",
        ),
    ],
)
def test_what_must_not_be_mixed(tmp_path: Path, sets: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        run(write(tmp_path), tmp_path / "run", sets)
    assert message.partition(": ")[2] in str(caught.value)
    assert str(caught.value).startswith("--set:1:")
