from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cnntrain.config.dump import plain
from cnntrain.config.load import load, load_plain, load_text
from cnntrain.config.tree import MAX_BYTES
from cnntrain.core.errors import ConfigError
from tests.support.configs import SMALL, complaints, loaded, messages


def test_the_first_text_is_kept_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("# mine\n" + SMALL)
    (tmp_path / "b.yaml").write_text("seed: 3\n")
    assert load([tmp_path / "a.yaml", tmp_path / "b.yaml"]).text == "# mine\n" + SMALL


@pytest.mark.parametrize(
    ("file", "name"), [("lenet", "lenet"), ("my net (2)", "my-net-2-"), ("..x", "x"), ("größe", "gr-e"), ("é", "run")]
)
def test_the_run_is_named_after_the_file(tmp_path: Path, file: str, name: str) -> None:
    (tmp_path / f"{file}.yaml").write_text(SMALL)
    assert load([tmp_path / f"{file}.yaml"]).experiment.name == name


def test_a_given_name_wins() -> None:
    assert loaded(SMALL + "name: mine\n").experiment.name == "mine"


def test_where_finds_the_nearest_thing_written() -> None:
    config = loaded(SMALL)
    assert str(config.where("train.epochs")) == "test.yaml:10:11"
    assert str(config.where("model.layers.0.filters")) == "test.yaml:5:44"
    assert str(config.where("model.layers.1.name")) == "test.yaml:6:7"
    assert str(config.where("optimizer.lr")) == "test.yaml:1:1"


def test_origins_tell_defaults_files_and_overrides(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(SMALL)
    origins = load([tmp_path / "c.yaml"], ["optimizer={type: sgd, momentum: 0.5}"]).origins()
    assert origins["train.epochs"] == f"{tmp_path / 'c.yaml'}:10:11"
    assert origins["model.layers.1.type"] == f"{tmp_path / 'c.yaml'}:6:7"
    assert origins["data.source.shape"] == f"{tmp_path / 'c.yaml'}:2:44"
    assert origins["optimizer.momentum"] == "--set:1:33"
    assert origins["optimizer.lr"] == origins["schedule.type"] == origins["model.layers.0.stride"] == "default"


def test_a_resolved_text_has_nothing_left_to_resolve() -> None:
    known = (
        "known: name, seed, data, model, init, task, loss, optimizer, schedule, momentum_schedule, train, "
        "checkpoint, warnings"
    )
    assert complaints("extends: a.yaml\nvars: {a: 1}\n" + SMALL.replace("digits", '"${config_dir}"')) == [
        f"1:1 unknown key 'extends'; {known}",
        f"2:1 unknown key 'vars'; {known}",
        "4:29 a resolved config has no ${...} left in it",
    ]
    with pytest.raises(ConfigError, match="larger than"):
        load_text("#" * (MAX_BYTES + 1), "big")


def test_a_plain_config_is_read_as_strictly_as_a_text() -> None:
    experiment = loaded(SMALL).experiment
    config = json.loads(json.dumps(plain(experiment)))
    assert load_plain(config, "last.npz").experiment == experiment
    config["train"]["epochs"] = "2"
    config["model"]["layers"][0]["filters"] = True
    config["seed"] = None
    with pytest.raises(ConfigError) as raised:
        load_plain(config, "last.npz")
    assert sorted(messages(raised)) == [
        "epochs: expected an integer, got '2'; write 2 without quotes",
        "filters: expected an integer or 'auto', got true",
        "seed: expected an integer, got nothing",
    ]
    assert str(raised.value).startswith("last.npz: ")


@pytest.mark.parametrize("nested", [True, False])
def test_a_hostile_plain_config_is_refused(nested: bool) -> None:
    hostile: object = []
    for _ in range(600 if nested else 0):
        hostile = [hostile]
    with pytest.raises(ConfigError, match="a config has at most"):
        load_plain(hostile if nested else {"a": [0] * 300_000}, "last.npz")


def test_importing_the_reader_imports_no_numpy() -> None:
    code = "import sys, cnntrain.config, cnntrain.config.load, cnntrain.config.dump; sys.exit('numpy' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_network_of_thousands_of_layers_is_fine() -> None:
    text = SMALL.replace("    - relu\n", "    - relu\n" * 5000)
    assert len(loaded(text).experiment.model.layers) == 5003
