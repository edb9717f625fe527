"""What `cnntrain inspect` tells is what is in the checkpoint; what is not sound, or not its config's, ends with 4."""

from __future__ import annotations

import json
import math
import random

import numpy as np
import pytest

from cnntrain.cli import main
from cnntrain.core.errors import CheckpointError
from cnntrain.results.average import merge
from cnntrain.results.inspection import inspect
from cnntrain.rundir import checkpoint
from cnntrain.rundir.checkpoint import read
from tests.faults.mutations import VALUES, changed, places
from tests.support.experiments import WHITENED, run, write

OURS = ("format", "min_reader", "cnntrain", "arrays")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inspected")
    sets = ("train.epochs=1", "optimizer={type: adam, lr: 0.01}", "train.average=ema")
    run(write(folder), folder / "run", sets)
    return folder / "run"


@pytest.fixture
def forge(finished, tmp_path):
    """Write another checkpoint like last.npz, with other arrays or meta, and right digests."""

    def write_it(arrays=None, meta=None):
        saved = read(finished / "checkpoints/last.npz")
        plain = {key: value for key, value in saved.meta.items() if key not in OURS}
        checkpoint.save(tmp_path / "forged.npz", plain | (meta or {}), saved.arrays | (arrays or {}))
        return tmp_path / "forged.npz"

    return write_it


def test_everything_in_it_is_told(finished):
    document = inspect(finished, verify=True)
    saved = read(finished / "checkpoints/best.npz")
    assert document["checkpoint"] == str(saved.path)
    assert document["bytes"] == saved.path.stat().st_size
    assert (document["name"], document["format"], document["position"]["step"]) == ("full", 1, 8)
    assert document["environment"] == saved.meta["environment"]
    assert [row["name"] for row in document["arrays"]] == [*saved.arrays]
    for row in document["arrays"]:
        array = saved.arrays[row["name"]]
        assert (row["shape"], row["dtype"]) == (list(array.shape), str(array.dtype))
        assert (row["min"], row["max"], row["nonfinite"]) == (array.min(), array.max(), 0)
        assert row["sha256"] == saved.meta["arrays"][row["name"]]["sha256"]


def test_the_command_shows_it_to_people_and_to_scripts(finished, capsys):
    assert main(["inspect", str(finished), "--verify"]) == 0
    shown = capsys.readouterr().out
    assert "position     step 8, 1 epoch, all steps taken\n" in shown
    assert "\nparam/dense_1.weight " in shown
    assert shown.endswith("as its config declares them, every weight finite\n")
    assert main(["inspect", str(finished), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["verified"] is False


def test_an_averaged_checkpoint_is_sound_with_its_parameters_alone(finished, tmp_path):
    last = finished / "checkpoints/last.npz"
    merge([last, last], tmp_path / "mean.npz")
    names = {row["name"].split("/")[0] for row in inspect(tmp_path / "mean.npz", verify=True)["arrays"]}
    assert names == {"param"}


def test_what_transforms_measured_belongs_to_a_checkpoint(tmp_path):
    run(write(tmp_path), tmp_path / "run", (*WHITENED, "train.epochs=1"))
    last = tmp_path / "run/checkpoints/last.npz"
    merge([last, last], tmp_path / "mean.npz")
    for path in (last, tmp_path / "mean.npz"):
        arrays = {row["name"]: row["shape"] for row in inspect(path, verify=True)["arrays"]}
        assert arrays["transform/0/matrix"] == arrays["transform/0/mean"] * 2


def test_what_does_not_fit_the_config_is_found_by_verifying(forge):
    path = forge({"param/more": np.zeros(3, np.float32), "slot/m/dense_1.bias": np.zeros(4, np.float32)})
    assert inspect(path)["arrays"][-1]["name"] == "param/more"
    with pytest.raises(
        CheckpointError, match=r"'slot/m/dense_1.bias' is float32 \(4,\).*'param/more', which the config"
    ):
        inspect(path, verify=True)


def test_so_is_a_number_that_is_not_finite(forge, capsys):
    path = forge({"param/dense_1.bias": np.array([1, np.nan, -2], np.float32)})
    (row,) = [row for row in inspect(path)["arrays"] if row["name"] == "param/dense_1.bias"]
    assert (row["min"], row["max"], row["nonfinite"]) == (-2, 1, 1)
    assert main(["inspect", str(path)]) == 0
    assert "1 (1 not finite)" in capsys.readouterr().out
    with pytest.raises(
        CheckpointError, match=r"numbers that are not finite, in param/dense_1.bias\. cnntrain never saves"
    ):
        inspect(path, verify=True)


def test_but_an_optimizer_may_have_met_a_gradient_whose_square_is_infinite(forge):
    """Older versions went on training then, and saved it."""
    slots = [row for row in inspect(forge())["arrays"] if row["name"].startswith("slot/v/")]
    path = forge({row["name"]: np.full(row["shape"], np.inf, np.float32) for row in slots})
    rows = inspect(path, verify=True)["arrays"]
    assert slots
    assert sum(row["nonfinite"] for row in rows) == sum(math.prod(row["shape"]) for row in slots)


def test_a_damaged_one_ends_with_4(finished, tmp_path, capsys):
    data = bytearray((finished / "checkpoints/last.npz").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "bad.npz").write_bytes(data)
    assert main(["inspect", str(tmp_path / "bad.npz")]) == 4
    assert capsys.readouterr().err.count("\n") == 1


def test_no_value_anywhere_in_a_meta_does_worse_than_exit_4(finished, capsys):
    meta = {key: value for key, value in read(finished / "checkpoints/last.npz").meta.items() if key not in OURS}
    rng = random.Random(0)
    for path in rng.sample([*places(meta)], 60):
        value = rng.choice(VALUES)
        changed_meta = changed(meta, path, value)
        saved = read(finished / "checkpoints/last.npz")
        victim = finished.parent / "victim.npz"
        checkpoint.save(victim, changed_meta, saved.arrays)
        for verify in ([], ["--verify"]):
            code = main(["inspect", str(victim), *verify])
            shown = capsys.readouterr()
            assert code in (0, 4), (path, value, shown)
            assert "\x1b" not in shown.out + shown.err
