from __future__ import annotations

from pathlib import Path

import pytest

from cnntrain.config.load import Loaded, load
from cnntrain.core.errors import ConfigError
from tests.support.configs import SMALL, messages


def with_vars(folder: Path, variables: str, *replacements: tuple[str, str], sets: tuple[str, ...] = ()) -> Loaded:
    text = SMALL
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new)
    (folder / "c.yaml").write_text(f"vars: {variables}\n{text}")
    return load([folder / "c.yaml"], sets)


def complaint(folder: Path, variables: str, *replacements: tuple[str, str], sets: tuple[str, ...] = ()) -> str:
    with pytest.raises(ConfigError) as raised:
        with_vars(folder, variables, *replacements, sets=sets)
    (message,) = messages(raised)
    return message


def test_a_lone_reference_takes_the_value_whole(tmp_path: Path) -> None:
    variables = "{width: 8, last: [flatten, {type: dense, units: '${vars.width}'}]}"
    loaded = with_vars(
        tmp_path,
        variables,
        ("filters: 4", "filters: '${vars.width}'"),
        ("kernel_size: 3", "kernel_size: 3"),
        ("    - relu\n", "    - relu\n    - {type: repeat, n: 1, body: '${vars.last}'}\n"),
    )
    layers = loaded.experiment.model.layers
    assert layers[0].part.filters == 8  # type: ignore[attr-defined]
    assert layers[2].part.body[1].part.units == 8  # type: ignore[attr-defined]
    assert str(loaded.where("model.layers.0.filters")).endswith("c.yaml:1:15")  # where the number is written


def test_references_within_a_text(tmp_path: Path) -> None:
    loaded = with_vars(tmp_path, "{set: mnist, deep: {n: 3}}", ("digits", '"${config_dir}/${vars.set}-${vars.deep.n}"'))
    assert loaded.experiment.data.source.root == f"{tmp_path}/mnist-3"  # type: ignore[attr-defined]


def test_config_dir_is_the_folder_of_the_file_it_is_written_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "b.yaml").write_text(SMALL.replace("digits", '"${config_dir}/digits"'))
    (tmp_path / "a.yaml").write_text("extends: base/b.yaml\n")
    monkeypatch.chdir(tmp_path)
    root = load(["a.yaml"]).experiment.data.source.root  # type: ignore[attr-defined]
    assert root == f"{tmp_path}/base/digits"


def test_an_override_changes_a_variable(tmp_path: Path) -> None:
    use = ("epochs: 2", "epochs: ${vars.n}")
    assert with_vars(tmp_path, "{n: 3}", use, sets=("vars.n=5",)).experiment.train.epochs == 5
    assert complaint(tmp_path, "{n: 3}", use, sets=("vars.m=5",)) == (
        "nothing uses the variable 'm'; remove it, or write ${vars.m}"
    )


def test_a_variable_of_a_base_counts_as_used_where_the_base_uses_it(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text("vars: {n: 3}\n" + SMALL.replace("epochs: 2", "epochs: ${vars.n}"))
    (tmp_path / "a.yaml").write_text("extends: b.yaml\ntrain: {epochs: 4}\n")
    assert load([tmp_path / "a.yaml"]).experiment.train.epochs == 4


@pytest.mark.parametrize(
    ("variables", "epochs", "message"),
    [
        ("{n: 3}", "${vars.m}${vars.n}", "unknown variable 'm'; known: n"),
        ("{count: 3}", "${vars.cuont}${vars.count}", "unknown variable 'cuont'; did you mean 'count'?"),
        ("{}", "${vars.n}", "unknown variable 'n'; define it under 'vars'"),
        ("{}", "${env:HOME}", "unknown reference '${env:HOME}'; only ${vars.NAME} and ${config_dir} are known"),
        ("{}", "${train.epochs}", "unknown reference '${train.epochs}'; only ${vars.NAME} and ${config_dir} are known"),
        ("{}", "${vars.n", "'${' without its end; only ${vars.NAME} and ${config_dir} are known"),
        ("{n: [1]}", "1${vars.n}", "${vars.n} is not a single value, so it must stand alone"),
        ("[1]", "1", "vars: expected a mapping of names to values"),
        ("{n: abc}", "${vars.n}", "epochs: expected an integer, got 'abc'"),
        ("{a: '${vars.b}', b: '${vars.a}'}", "${vars.a}", "variables refer to each other in a circle: a -> b -> a"),
    ],
)
def test_what_is_wrong_with_a_reference(tmp_path: Path, variables: str, epochs: str, message: str) -> None:
    assert complaint(tmp_path, variables, ("epochs: 2", f"epochs: {epochs}")) == message


def test_config_dir_means_nothing_on_the_command_line(tmp_path: Path) -> None:
    assert "--set is in no folder" in complaint(tmp_path, "{}", sets=("data.source.root=${config_dir}/x",))


@pytest.mark.parametrize(
    "form", ["['{0}', '{0}', '{0}', '{0}', '{0}', '{0}', '{0}', '{0}']", "'{0}{0}{0}{0}{0}{0}{0}{0}x'"]
)
def test_variables_of_variables_cannot_grow_without_bound(tmp_path: Path, form: str) -> None:
    lines = [f"  a{i}: {form.replace('{0}', f'${{vars.a{i - 1}}}')}" for i in range(1, 15)]
    (tmp_path / "c.yaml").write_text("vars:\n  a0: x\n" + "\n".join(lines) + "\nname: ${vars.a14}\n")
    with pytest.raises(ConfigError, match="the variables expand to more than a config may hold"):
        load([tmp_path / "c.yaml"])
