"""Every document a script can ask for says its schema, and has the keys that the command's help promises."""

from __future__ import annotations

import importlib
import json

import click
import pytest

from cnntrain.cli import COMMANDS
from cnntrain.cli.documents import DOCUMENTS
from tests.support.experiments import FULL, run, write

DIVERGING = ("optimizer.lr=1e30", "train.clip_norm=null", "schedule=constant")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A config, a run of it that can be verified, and one that diverged."""
    folder = tmp_path_factory.mktemp("documents")
    config = write(folder)
    run(config, folder / "run", ("train.epochs=2", "checkpoint.keep=2"))
    with pytest.raises(Exception, match="became"):
        run(config, folder / "diverged", DIVERGING)
    sweep = FULL.replace("name: full", "name: two")
    (folder / "base.yaml").write_text(sweep)
    (folder / "sweep.yaml").write_text(f"config: {folder}/base.yaml\ngrid: {{seed: [1, 2]}}\n")
    return folder


def test_every_command_with_json_has_its_document():
    """A new one gets an entry in cnntrain/cli/documents.py."""
    with_json = {
        name
        for name in COMMANDS
        for parameter in importlib.import_module(f"cnntrain.cli.{name.replace('-', '_')}").command.params
        if isinstance(parameter, click.Option) and parameter.name == "as_json"
    }
    assert with_json - {of.split()[0] for of in DOCUMENTS} == set()


@pytest.mark.parametrize(
    ("of", "arguments"),
    [
        ("fit", ("fit", "full.yaml", "-o", "new", "-q", "-s", "train.epochs=1")),
        ("fit", ("train", "full.yaml", "-o", "again", "-q", "-s", "train.epochs=1")),
        ("fit --dry-run", ("fit", "full.yaml", "-n")),
        ("eval", ("eval", "run")),
        ("check", ("check", "full.yaml")),
        ("check", ("check", "full.yaml", "--no-data")),
        ("summary", ("summary", "full.yaml")),
        ("time", ("time", "full.yaml", "--steps", "1")),
        ("average", ("average", "run", "run", "--output", "mean.npz")),
        ("gradcheck", ("gradcheck", "full.yaml")),
        ("inspect", ("inspect", "run")),
        ("verify", ("verify", "run")),
        ("replay", ("replay", "diverged")),
        ("compare", ("compare", "run", "diverged")),
        ("sweep --dry-run", ("sweep", "sweep.yaml", "--dry-run")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_document_has_the_keys_that_are_promised(cnntrain, folder, monkeypatch, of, arguments):
    monkeypatch.chdir(folder)
    outcome = cnntrain(*arguments, "--json")
    assert outcome.code == 0, outcome.err
    document = json.loads(outcome.out)
    promised = DOCUMENTS[of]
    assert next(iter(document)) == "schema"
    assert document.pop("schema") == promised.title(of)
    required = {key for key in promised.keys if not key.endswith("?") and not key.isupper()}
    known = {key.removesuffix("?") for key in promised.keys}
    assert required - document.keys() == set()
    if not any(key.isupper() for key in known):
        assert document.keys() - known == set()


def test_what_is_printed_bare_is_the_thing_itself(cnntrain, config):
    assert "schema" not in json.loads(cnntrain("config", config, "--json").out)
    assert "schema" not in json.loads(cnntrain("list", "--json").out)


def test_help_lists_the_keys(cnntrain):
    shown = cnntrain("inspect", "--help").out
    assert "inspect/1, printed by inspect --json:\n" in shown
    for key in DOCUMENTS["inspect"].keys:
        assert f"\n  {key} " in shown
    shown = cnntrain("fit", "--help").out
    assert "fit/1, printed by fit --json:" in shown
    assert "fit-dry-run/1, printed by fit --dry-run --json:" in shown
    for name in ("config", "list"):
        assert f"\nPrinted by {name} --json, without a schema:\n" in cnntrain(name, "--help").out
