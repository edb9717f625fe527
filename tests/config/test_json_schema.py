"""The JSON Schema judges a config as the reader does."""

from __future__ import annotations

import functools
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cnntrain.cli import main
from cnntrain.config import scalars
from cnntrain.config.binder import INVALID, Binder, Place
from cnntrain.config.compose import root_map
from cnntrain.config.json_schema import json_schema
from cnntrain.config.load import load
from cnntrain.config.problems import Problems
from cnntrain.config.schema import Experiment
from cnntrain.config.tree import List, Map, Node, Scalar, of_plain
from cnntrain.core.errors import ConfigError, Mark
from cnntrain.core.registry import KINDS, parts
from tests.support.configs import tree_of
from tests.support.experiments import FULL

jsonschema = pytest.importorskip("jsonschema", reason="comes with the extra `test`")
ROOT = Path(__file__).parent.parent.parent
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))
SEED = random.randrange(10**6)
schema = functools.cache(json_schema)

VALUES: list[Any] = [
    *(None, True, False, 0, 1, -1, 2, 3, 7, 0.5, -0.5, 1.5, 1e-3, 123456789.5, 10**12, 10**19),
    *("", "auto", "same", "relu", "adam", "l2", "cosine", "10ep", "5st", "5.5st", "50%", "120%", "-1ep", "none", "x y"),
    *([], {}, [1], [1, 2], [0.5, 0.25], [1, 2, 3], [1, 2, 3, 4], ["relu"], ["a", "b"], [[1]], [{}]),
    *({"type": "relu"}, {"type": "dense", "units": 3}, {"type": "dense"}, {"type": "nope"}, {"type": 3}, {"a": 1}),
]
KEYS = [
    "type",
    "name",
    "from",
    "init",
    "lr",
    "filters",
    "rate",
    "kernel_size",
    "weights",
    "layers",
    "epochs",
    "nothing",
]


@functools.cache
def validator() -> Any:
    return jsonschema.Draft202012Validator(schema())


class Judge(Binder):
    """A reader that tells whether it was a value it refused, or a check of one key against another."""

    def __init__(self) -> None:
        super().__init__(Problems())
        self.by_checks = 0

    def build(self, cls: type, values: dict[str, Any], node: Any, owner: str, at: Any) -> Any:
        built = super().build(cls, values, node, owner, at)
        self.by_checks += built is INVALID and not exactly_one(cls, values)
        return built


def exactly_one(cls: type, values: dict[str, Any]) -> bool:
    """Whether a dataclass was refused because not exactly one of some keys was given, which the schema knows."""
    names = getattr(cls, "exactly_one", ())
    return bool(names) and sum(values.get(name) is not None for name in names) != 1


def accepts(document: Any) -> tuple[bool, str]:
    """Whether the reader accepts every value of a config, its cross-checks aside; and what it says of it."""
    judge = Judge()
    try:
        tree = root_map(of_plain(document, Mark("fuzz", 1, 1)), Mark("fuzz", 1, 1), judge.problems)
        judge.read(tree, Experiment, Place())
        judge.problems.check()
    except ConfigError as error:
        return judge.problems.reported == judge.by_checks, str(error)
    return True, ""


def view(text: str) -> Any:
    """What an editor sees in a text, by YAML 1.2: `5e-4` is a number there, which PyYAML takes for a text."""
    return value(tree_of(text))


def value(node: Node | None) -> Any:
    if isinstance(node, Map):
        return {key: value(entry.value) for key, entry in node.entries.items()}
    if isinstance(node, List):
        return [value(item) for item in node.items]
    assert isinstance(node, Scalar)
    if scalars.is_null(node):
        return None
    if scalars.is_boolean(node):
        return node.text in scalars.TRUE
    if scalars.is_integer(node):
        return int(node.text)
    return float(node.text) if node.plain and scalars.is_number(node) else node.text


def bases() -> list[Any]:
    """Configs that are right, and between them name every part there is."""
    documents = [view(path.read_text()) for path in CONFIGS] + [view(FULL)]
    plain = view(FULL)
    place = {
        "tasks": ("task",),
        "losses": ("loss",),
        "optimizers": ("optimizer",),
        "schedules": ("schedule",),
        "averages": ("train", "average"),
        "datasets": ("data", "source"),
        "orders": ("train", "order"),
    }
    lists = {
        "transforms": ("data", "train_transforms"),
        "metrics": ("train", "metrics"),
        "regularizers": ("train", "regularize"),
        "layers": ("model", "layers"),
        "structures": ("model", "layers"),
    }
    for kind in KINDS:
        for name in parts(kind):
            document = json.loads(json.dumps(plain))
            if kind == "models":
                document["model"] = {"preset": {"type": name}}
            elif kind == "initializers":
                document["init"] = {"weights": {"type": name}}
            else:
                *path, last = place.get(kind) or lists[kind]
                inner = document[path[0]] if path else document
                inner[last] = {"type": name} if kind in place else [{"type": name}]
            documents.append(document)
    return documents


def mutate(document: Any, rng: random.Random) -> None:
    """Change something somewhere."""
    places = [*containers(document)]
    inside = rng.choice(places)
    value = json.loads(json.dumps(rng.choice(VALUES)))
    if isinstance(inside, list):
        if inside and rng.random() < 0.7:
            inside[rng.randrange(len(inside))] = value
        else:
            inside.append(value)
    elif not inside or rng.random() < 0.3:
        inside[rng.choice(KEYS)] = value
    else:
        key = rng.choice([*inside])
        if rng.random() < 0.2:
            del inside[key]
        else:
            inside[key] = value


def containers(value: Any) -> Iterator[Any]:
    """Every map and list within."""
    if isinstance(value, (dict, list)):
        yield value
        for item in value.values() if isinstance(value, dict) else value:
            yield from containers(item)


def check(count: int, seed: int) -> list[bool]:
    rng = random.Random(seed)
    documents = bases()
    verdicts = []
    for number in range(count):
        document = json.loads(json.dumps(documents[number % len(documents)]))
        for _ in range(rng.randrange(4)):
            mutate(document, rng)
        expected, said = accepts(document)
        found = validator().is_valid(document)
        if found != expected:
            errors = [f"{'.'.join(map(str, e.absolute_path))}: {e.message}" for e in validator().iter_errors(document)]
            pytest.fail(f"seed {seed}\n{yaml.safe_dump(document)}\nreader: {said}\nschema: {errors}")
        verdicts.append(found)
    return verdicts


def test_its_verdict_is_the_readers():
    verdicts = check(200, SEED)
    assert 0.1 < sum(verdicts) / len(verdicts) < 0.9


@pytest.mark.soak
def test_its_verdict_is_the_readers_at_length():
    for seed in range(SEED, SEED + 20):
        check(2000, seed)


def test_it_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_that_comes_along_names_it_and_fits_it(path):
    text = path.read_text()
    assert text.startswith("# yaml-language-server: $schema=cnntrain.schema.json\n")
    assert [error.message for error in validator().iter_errors(view(text))] == []


COMPOSED = """\
vars: {rate: 0.3}
data: {source: {type: synthetic, size: 8, classes: 3, samples: 60}, val: 0.2}
model:
  blocks:
    basic:
      parameters: {filters: null}
      layers: [{type: conv2d, filters: "${filters}", kernel_size: 3, padding: same}, relu]
  layers:
    - {type: basic, filters: 4}
    - {type: repeat, n: 2, body: [{type: basic, filters: 4}]}
    - flatten
    - {type: dropout, rate: "${vars.rate}"}
    - {type: dense, units: auto}
train: {epochs: 1}
"""


def test_it_takes_variables_and_blocks_of_ones_own(tmp_path):
    (tmp_path / "a.yaml").write_text(COMPOSED)
    load([tmp_path / "a.yaml"])
    assert validator().is_valid(view(COMPOSED))
    assert not validator().is_valid(view(COMPOSED.replace("n: 2", "n: x")))
    without = COMPOSED.replace("blocks:", "# blocks:").replace("    basic", "#").replace("      parameters", "#")
    without = without.replace("      layers: [", "# [")
    assert not validator().is_valid(view(without)), "a type that nothing defines"


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("optimizer: {lr: 0.1}", True),
        ("data: {source: {samples: 30}}", True),
        ("train: {epochs: 3}", True),
        ("optimizer: {type: sgd, lr: x}", False),
        ("optimiser: {lr: 0.1}", False),
        ("model: {layers: [{filters: 3}]}", False),
    ],
)
def test_a_file_that_extends_another_may_leave_out_anything(tmp_path, text, valid):
    (tmp_path / "base.yaml").write_text(FULL)
    (tmp_path / "a.yaml").write_text(f"extends: base.yaml\n{text}\n")
    assert validator().is_valid(view((tmp_path / "a.yaml").read_text())) == valid
    if valid:
        load([tmp_path / "a.yaml"])
    else:
        with pytest.raises(ConfigError):
            load([tmp_path / "a.yaml"])


def test_the_command_prints_it(capsys):
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == schema()


def test_an_editor_is_told_what_keys_mean_and_default_to():
    adam = schema()["$defs"]["optimizers.adam"]
    assert adam["properties"]["lr"]["default"] == 1e-3
    assert "Adam" in adam["description"]
