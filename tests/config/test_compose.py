from __future__ import annotations

import os
from pathlib import Path

import pytest

from cnntrain.config.compose import MAX_FILES
from cnntrain.config.load import load
from cnntrain.core.errors import ConfigError, UsageError
from tests.support.configs import SMALL, messages


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)


def test_later_files_lie_over_earlier_ones(tmp_path: Path) -> None:
    write(tmp_path, a=SMALL, b="train: {batch_size: 7}\nmodel: {layers: [flatten]}\n")
    experiment = load([tmp_path / "a.yaml", tmp_path / "b.yaml"]).experiment
    assert (experiment.train.epochs, experiment.train.batch_size) == (2, 7)  # mappings merge
    assert len(experiment.model.layers) == 1  # lists replace
    assert experiment.name == "a"


def test_a_file_lies_over_what_it_extends(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    write(tmp_path, base=SMALL, extra="seed: 5\ntrain: {epochs: 3, batch_size: 3}\n")
    write(tmp_path / "sub", one="extends: ../base.yaml\ntrain: {epochs: 9}\n")
    write(tmp_path, two="extends: [sub/one.yaml, extra.yaml]\ntrain: {batch_size: 4}\n")
    experiment = load([tmp_path / "two.yaml"]).experiment
    assert (experiment.seed, experiment.train.epochs, experiment.train.batch_size) == (5, 3, 4)
    assert experiment.name == "two"


def test_a_part_of_another_type_replaces_the_one_below(tmp_path: Path) -> None:
    write(tmp_path, a=SMALL + "optimizer: {type: sgd, lr: .5, momentum: 0.9}\n")
    write(
        tmp_path,
        same="extends: a.yaml\noptimizer: {momentum: 0.5}\n",
        other="extends: a.yaml\noptimizer: {type: adam}\n",
    )
    same = load([tmp_path / "same.yaml"]).experiment.optimizer
    assert (same.lr, same.momentum) == (0.5, 0.5)  # type: ignore[attr-defined]
    assert load([tmp_path / "other.yaml"]).experiment.optimizer.lr == 1e-3  # type: ignore[attr-defined]


def test_null_takes_a_value_of_the_base_back(tmp_path: Path) -> None:
    write(tmp_path, a=SMALL, b="extends: a.yaml\ntrain: {epochs: null, steps: 10}\n")
    assert load([tmp_path / "b.yaml"]).experiment.train.steps == 10


def test_mistakes_cite_the_file_they_are_in(tmp_path: Path) -> None:
    write(tmp_path, a=SMALL.replace("epochs: 2", "epochs: x"), b="extends: a.yaml\nseed: y\n")
    with pytest.raises(ConfigError) as raised:
        load([tmp_path / "b.yaml"])
    assert [str(problem.where) for problem in raised.value.problems] == [
        f"{tmp_path / 'a.yaml'}:10:11",
        f"{tmp_path / 'b.yaml'}:2:7",
    ]


def test_extends_in_a_circle_is_refused(tmp_path: Path) -> None:
    write(tmp_path, a="extends: b.yaml\n", b="seed: 1\nextends: [a.yaml]\n")
    with pytest.raises(ConfigError) as raised:
        load([tmp_path / "a.yaml"])
    (problem,) = raised.value.problems
    assert str(problem.where) == f"{tmp_path / 'b.yaml'}:2:11"
    names = [f"{tmp_path / name}.yaml" for name in "aba"]
    assert problem.message == f"extends goes in a circle: {' -> '.join(names)}"


def test_a_file_may_be_extended_twice_but_not_a_million_times(tmp_path: Path) -> None:
    write(
        tmp_path,
        base=SMALL,
        l="extends: base.yaml\n",
        r="extends: base.yaml\nseed: 2\n",
        top="extends: [l.yaml, r.yaml]\n",
    )
    assert load([tmp_path / "top.yaml"]).experiment.seed == 2
    for level in range(20):
        write(tmp_path, **{f"n{level}": f"extends: [n{level + 1}.yaml, n{level + 1}.yaml]\n"})
    write(tmp_path, n20=SMALL)
    with pytest.raises(ConfigError, match=f"extends reaches more than {MAX_FILES} files"):
        load([tmp_path / "n0.yaml"])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("{a: 1}", "extends: expected the path of a config, or a list of paths"),
        ("", "extends: expected the path of a config, or a list of paths"),
        ("[base.yaml, [x]]", "extends: expected the path of a config, or a list of paths"),
        ("'${config_dir}/base.yaml'", "extends takes no ${...}; its paths are relative to this file's folder"),
    ],
)
def test_extends_is_a_path_or_a_list_of_paths(tmp_path: Path, value: str, message: str) -> None:
    write(tmp_path, base=SMALL, a=f"{SMALL}extends: {value}\n")
    with pytest.raises(ConfigError) as raised:
        load([tmp_path / "a.yaml"])
    assert messages(raised) == [message]


def test_a_missing_base_is_named_with_its_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, a="extends: ../no/base.yaml\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as raised:
        load(["a.yaml"])
    (problem,) = raised.value.problems
    assert str(problem.where) == "a.yaml:1:10"
    assert problem.message.startswith("../no/base.yaml cannot be read: No such file")
    assert problem.message.endswith(f"(looked for {tmp_path.parent / 'no' / 'base.yaml'})")


def test_a_config_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no\.yaml cannot be read: No such file .* \(looked for /.*no\.yaml\)"):
        load([tmp_path / "no.yaml"])
    with pytest.raises(UsageError):
        load([tmp_path])
    with pytest.raises(UsageError, match="no config given"):
        load([])
    os.mkfifo(tmp_path / "pipe.yaml")  # must not wait for somebody to write
    with pytest.raises(UsageError, match="not a regular file"):
        load([tmp_path / "pipe.yaml"])


@pytest.mark.parametrize(("text", "found"), [("", "nothing"), ("- a\n", "a list"), ("hello\n", "a single value")])
def test_a_config_is_a_mapping(tmp_path: Path, text: str, found: str) -> None:
    write(tmp_path, a=text)
    with pytest.raises(ConfigError) as raised:
        load([tmp_path / "a.yaml"])
    assert messages(raised) == [f"a config is a mapping of keys such as data, model and train; found {found}"]
