from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cnntrain.config import load as reading
from cnntrain.config import tree
from cnntrain.config.dump import plain, to_yaml
from cnntrain.config.load import load, load_plain, load_resolved, load_text
from cnntrain.config.problems import Problems
from cnntrain.config.tree import MAX_BYTES, MAX_DEPTH, MAX_NODES, RESOLVED, Caps, Source, _Parser, parse
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


def test_a_key_of_the_top_level_in_a_section_is_sent_there() -> None:
    misplaced = SMALL.replace("model:\n", "model:\n  init: {weights: he_normal}\n") + "  seed: 1\n"
    assert [text.partition(" ")[2] for text in complaints(misplaced)] == [
        "unknown key 'init' of model: it stands at the top level",
        "unknown key 'seed' of train: it stands at the top level",
    ]


def test_a_dataset_written_without_its_source_is_sent_there() -> None:
    misplaced = SMALL.replace(
        "source: {type: idx, root: digits, shape: [28, 28], classes: 10}", "type: idx\n  shape: [28, 28]"
    )
    assert [text.partition(" ")[2] for text in complaints(misplaced)] == [
        "unknown key 'type' of data; did you mean 'data.source.type'?",
        "unknown key 'shape' of data; did you mean 'data.source.shape'?",
    ]


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


def _nested() -> str:
    """A config as deep as one that is typed may be, with a bare name at the bottom."""
    layer = "relu"
    for _ in range((MAX_DEPTH - 4) // 2):  # the config, model, layers and an item of them lie around it
        layer = f"{{type: residual, body: [{layer}]}}"
    return SMALL.replace("    - relu\n", f"    - {layer}\n")


@pytest.mark.parametrize(
    ("text", "caps"),
    [
        pytest.param(SMALL, Caps(MAX_BYTES, 60, MAX_DEPTH), id="many values"),
        pytest.param(SMALL, Caps(512, MAX_NODES, MAX_DEPTH), id="long"),
        pytest.param(_nested(), Caps(MAX_BYTES, MAX_NODES, MAX_DEPTH), id="deep"),
    ],
)
def test_what_a_run_has_written_is_read_wherever_one_may_be_named(
    tmp_path: Path, text: str, caps: Caps, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tree, "TYPED", caps)
    (tmp_path / "typed.yaml").write_text(text)
    experiment = load([tmp_path / "typed.yaml"]).experiment
    config = plain(experiment)
    (tmp_path / RESOLVED).write_text(to_yaml(config))
    (tmp_path / "upper.yaml").write_text(f"extends: {RESOLVED}\n")
    (tmp_path / "typed.yaml").write_text(to_yaml({key: config[key] for key in config if key != "seed"}))
    (tmp_path / "best.yaml").write_text(f"# The best of 3 trials\n{to_yaml(config)}")
    with pytest.raises(ConfigError, match=r"too many values|larger than|nested too deeply"):
        load([tmp_path / "typed.yaml"])
    assert load([tmp_path / RESOLVED]).experiment == load([tmp_path / "best.yaml"]).experiment == experiment
    assert load([tmp_path / RESOLVED], ["seed=5"]).experiment.seed == 5
    assert load([tmp_path / "upper.yaml"]).experiment == experiment
    assert load([config]).experiment == experiment
    assert load_resolved(tmp_path / RESOLVED).experiment == experiment
    assert load_plain(config, "last.npz").experiment == experiment


@pytest.mark.parametrize(
    ("caps", "message"),
    [
        (Caps(MAX_BYTES, 60, MAX_DEPTH), "over 60 values; use 'repeat'"),
        (
            Caps(1024, MAX_NODES, MAX_DEPTH),
            "over 1 KiB; use 'repeat', or shorter texts",
        ),
    ],
)
def test_a_config_that_could_not_be_read_again_is_refused_before_it_trains(
    tmp_path: Path, caps: Caps, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.yaml").write_text(SMALL)
    monkeypatch.setattr(reading, "COMPLETE", caps)
    monkeypatch.setattr(reading, "MAX_NODES", 60)
    with pytest.raises(ConfigError) as raised:
        load([tmp_path / "a.yaml"])
    assert messages(raised) == [f"with its defaults the config has {message}"]


def test_the_size_of_a_config_is_counted_as_its_readers_count_it() -> None:
    config = json.loads(json.dumps(plain(loaded(SMALL).experiment)))
    counting = _Parser(Source("a", to_yaml(config)), Problems())
    counting.document()
    assert reading._size(config)[0] == counting.count
    with pytest.raises(ConfigError, match="too many values"):
        parse(Source("a", to_yaml(config), caps=Caps(MAX_BYTES, counting.count - 1, MAX_DEPTH)), Problems())
    assert reading._size({"é": ["abc", 1, None]}) == (6, 5)
