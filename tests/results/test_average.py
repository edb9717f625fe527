"""`cnntrain average`: the mean of checkpoints, and everything it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from cnntrain.cli import main
from cnntrain.core.errors import CheckpointError, StorageError, UsageError
from cnntrain.engine.pool import Pool
from cnntrain.results.average import merge
from cnntrain.rundir.checkpoint import read
from cnntrain.trained.inference import Trained
from tests.support.experiments import run, write

SETS = ("train.epochs=3", "checkpoint={every: 1ep, keep: 3}")


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """The numbered checkpoints of a run."""
    folder = tmp_path_factory.mktemp("merge")
    run(write(folder), folder / "run", SETS)
    return [folder / "run" / "checkpoints" / f"epoch-{number:04d}.npz" for number in (1, 2, 3)]


def test_parameters_are_the_mean_and_can_be_evaluated(kept, tmp_path, capsys):
    output = tmp_path / "mean.npz"
    assert main(["average", *map(str, kept), "--output", str(output)]) == 0
    assert "the mean of 3 checkpoints" in capsys.readouterr().out
    merged, parts = read(output), [read(path).arrays for path in kept]
    assert set(merged.arrays) == {name for name in parts[0] if name.startswith("param/")}
    for name, array in merged.arrays.items():
        np.testing.assert_allclose(array, np.mean([part[name] for part in parts], axis=0), rtol=1e-6, atol=1e-8)
        assert array.dtype == np.float32
    assert [part["step"] for part in merged.meta["merged"]] == [8, 16, 24]
    with Pool(1) as pool:
        assert np.isfinite(Trained(output, pool).evaluate("val")["loss"])


def test_the_mean_of_a_checkpoint_with_itself_is_itself(kept, tmp_path):
    merge([kept[0], kept[0]], tmp_path / "same.npz")
    before = read(kept[0]).arrays
    for name, array in read(tmp_path / "same.npz").arrays.items():
        np.testing.assert_array_equal(array, before[name])


def test_averaged_weights_count_where_there_are_some(tmp_path):
    run(write(tmp_path), tmp_path / "run", ("train.epochs=1", "train.average=ema"))
    last = tmp_path / "run/checkpoints/last.npz"
    merge([last, last], tmp_path / "mean.npz")
    arrays = read(last).arrays
    for name, array in read(tmp_path / "mean.npz").arrays.items():
        np.testing.assert_array_equal(array, arrays[name.replace("param/", "average/")])


def test_refusals(kept, tmp_path):
    output = tmp_path / "mean.npz"
    with pytest.raises(UsageError, match="two checkpoints or more"):
        merge(kept[:1], output)
    run(
        write(tmp_path),
        tmp_path / "other",
        ("train.epochs=1", "model.layers.0.filters=5", "model.layers.4.body.0.filters=5"),
    )
    with pytest.raises(CheckpointError, match="another network"):
        merge([kept[0], tmp_path / "other"], output)
    run(write(tmp_path), tmp_path / "fewer", ("train.epochs=1", "data.source.classes=2"))
    with pytest.raises(CheckpointError, match="differ in classes"):
        merge([kept[0], tmp_path / "fewer"], output)
    assert not output.exists()
    merge(kept, output)
    with pytest.raises(StorageError, match=r"exists\. Say --overwrite"):
        merge(kept, output)
    merge(kept, output, overwrite=True)
    merge([kept[0], output], tmp_path / "again.npz")
    with pytest.raises(StorageError, match=r"mean\.npz is itself read for what would be written there"):
        merge([kept[0], output], output, overwrite=True)
