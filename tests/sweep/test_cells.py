"""A sweep file: which cells it makes, how they are called, and what is said of one that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnntrain.config import tree
from cnntrain.config.dump import plain
from cnntrain.config.load import leaves, load
from cnntrain.config.problems import Problems
from cnntrain.config.tree import Scalar, Source, parse
from cnntrain.core.errors import ConfigError, Mark, UsageError
from cnntrain.sweep.cells import Sweep, read_sweep
from cnntrain.sweep.names import names_of
from cnntrain.sweep.space import Spread
from cnntrain.sweep.value_text import to_text
from tests.support.experiments import write


def plan(folder: Path, text: str, *sets: str) -> Sweep:
    write(folder)
    (folder / "sweep.yaml").write_text(f"config: full.yaml\n{text}")
    return read_sweep(folder / "sweep.yaml", sets)


def complaints(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        plan(folder, text)
    return [f"{Path(p.where.file).name}:{p.where.line}:{p.where.column} {p.message}" for p in raised.value.problems]


def names(found: Sweep) -> list[str]:
    return [cell.name for cell in found.cells]


def test_sections_multiply_and_every_cell_is_called_after_what_sets_it_apart(tmp_path):
    found = plan(
        tmp_path,
        """\
set: {train.epochs: 1}
list: [{optimizer: {type: adam, lr: 1e-3}}, {}]
grid: {model.layers.0.filters: [4, 8], data.source.noise: [0.5]}
seeds: [3, 5]
""",
    )
    assert found.name == "sweep"
    assert names(found)[4:] == [
        *("filters=4,noise=0.5,seed=3", "filters=4,noise=0.5,seed=5"),
        *("filters=8,noise=0.5,seed=3", "filters=8,noise=0.5,seed=5"),
    ]
    assert names(found)[0] == "optimizer=adam-lr=1e-3,filters=4,noise=0.5,seed=3"
    assert len(set(names(found))) == 8
    last = dict(leaves(plain(found.cells[5].loaded.experiment)))
    keys = ("train.epochs", "optimizer.type", "model.layers.0.filters", "data.source.noise", "seed")
    assert [last[key] for key in keys] == [1, "sgd", 4, 0.5, 5]
    assert found.cells[0].loaded.experiment.optimizer.name_in_config == "adam"


def test_mappings_and_lists_are_readable_in_names(tmp_path):
    found = plan(
        tmp_path,
        """\
grid:
  schedule: [{type: cosine, warmup: 5st}, {type: cosine, warmup: {duration: 5st, start: 0.1}}, cosine]
  optimizer: [{type: adam, betas: [0.5, .9]}]
""",
    )
    assert names(found) == [
        "schedule=cosine-warmup=5st,optimizer=adam-betas=0.5-.9",
        "schedule=cosine-warmup=duration=5st-start=0.1,optimizer=adam-betas=0.5-.9",
        "schedule=cosine,optimizer=adam-betas=0.5-.9",
    ]


def test_names_are_never_alike():
    texts = ("a-b", "[a, b]", "a b", "a:b", "x" * 200, "x" * 201)
    values = [parse(Source("a", text), Problems()) for text in texts]
    key = Scalar(Mark("a", 1, 1), "some.key")
    called = names_of([[(key, value)] for value in values], constant=set())
    assert len(set(called)) == len(texts)
    assert names_of([[(key, value)] for value in values[:1]], constant=set()) == ["key=a-b"]
    assert [name.rpartition("-")[0] for name in called[:4]] == ["key=a-b"] * 4, "what is alike has a digest"
    assert all(len(name) <= 100 for name in called)


@pytest.mark.parametrize(
    ("text", "given", "expected"),
    [
        ("grid: {optimizer.lr: [0.1, 0.2]}", "optimizer.lr=0.5", "sweep.yaml:2:8 the sweep varies optimizer.lr, and "),
        ("grid: {optimizer.lr: [0.1, 0.2]}", "optimizer=adam", "sweep.yaml:2:8 the sweep varies optimizer.lr, and "),
        ("list: [{}, {optimizer: adam}]", "optimizer.type=sgd", "sweep.yaml:2:13 the sweep varies optimizer, and "),
        ("list: [{optimizer: {type: adam, lr: 1}}]", "optimizer.lr=2", "sweep.yaml:2:9 the sweep varies optimizer"),
        ("seeds: 2", "seed=5", "sweep.yaml:2:1 the sweep varies seed, and --set seed=5 would win over it in every run"),
        (
            "random: {count: 2, keys: {optimizer.lr: [1, 2]}}",
            "optimizer.lr=2",
            "sweep.yaml:2:27 the sweep varies optimizer.lr",
        ),
    ],
)
def test_a_set_of_what_the_sweep_varies_is_an_error_at_its_line(tmp_path, text, given, expected):
    with pytest.raises(ConfigError) as raised:
        plan(tmp_path, text, "train.epochs=2", given)
    (problem,) = raised.value.problems
    where = problem.where
    assert f"{Path(where.file).name}:{where.line}:{where.column} {problem.message}".startswith(expected)


def test_a_set_beside_what_the_sweep_varies_holds_in_all_of_it(tmp_path):
    text = "set: {train.epochs: 3}\nlist: [{optimizer: sgd}, {optimizer: adam}]"
    found = plan(tmp_path, text, "optimizer.lr=0.5", "train.epochs=9")
    assert [cell.loaded.experiment.optimizer.lr for cell in found.cells] == [0.5, 0.5]
    assert [cell.loaded.experiment.train.epochs for cell in found.cells] == [9, 9]
    trained = [load(found.configs, found.overrides(cell)).experiment for cell in found.cells]
    assert trained == [cell.loaded.experiment for cell in found.cells]


def test_what_a_cell_is_trained_with_is_what_was_checked(tmp_path):
    """Through the texts of `--set`, which a shell will pass on."""
    found = plan(
        tmp_path,
        """\
set:
  vars: {rate: 0.25}
  name: "7"
  train.clip_norm: "${vars.rate}"
  optimizer: {type: adam, betas: [0.5, .9]}
grid:
  model.layers.3.rate: [0, .25, 5e-1]
  schedule: [constant, {type: cosine, warmup: 5st}]
""",
        "train.epochs=2",
    )
    assert len(found.cells) == 6
    for cell in found.cells:
        words = found.arguments(cell, tmp_path / "out")
        assert words[:2] == ["fit", str(tmp_path / "full.yaml")]
        assert words[-3:] == ["--run-dir", str(tmp_path / "out" / cell.name), "--resume-or-start"]
        assert words[2:-3:2] == ["--set"] * (len(words[2:-3]) // 2)
        assert load([words[1]], words[3:-3:2]).experiment == cell.loaded.experiment
        assert cell.loaded.experiment.train.epochs == 2
        assert cell.loaded.experiment.name == "7"


_TEXTS = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), max_size=20)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=10,
)


@given(_VALUES)
def test_a_value_as_text_reads_as_the_same_value(value):
    import yaml

    text = yaml.safe_dump(value, allow_unicode=True)
    problems = Problems()
    node = parse(Source("a", text), problems)
    if node is None:
        return
    again = parse(Source("b", to_text(node)), problems)
    problems.check()
    assert again is not None
    assert to_text(again) == to_text(node)
    assert yaml.safe_load(to_text(node)) == value or isinstance(node, Scalar)


def test_draws_depend_on_seed_number_and_key_alone(tmp_path):
    text = (
        "random: {count: COUNT, keys: {optimizer.lr: {low: 1e-4, high: 1, log: true}, train.batch_size: [8, 16]MORE}}"
    )
    few = plan(tmp_path, text.replace("COUNT", "4").replace("MORE", ""))
    many = plan(tmp_path, text.replace("COUNT", "40").replace("MORE", ""))
    other = plan(tmp_path, text.replace("COUNT", "4").replace("MORE", ", optimizer.momentum: {low: 0, high: 0.9}"))
    assert names(many)[:4] == names(few)
    assert [name.partition(",momentum")[0] for name in names(other)] == names(few)
    rates = [cell.loaded.experiment.optimizer.lr for cell in many.cells]
    assert 1e-4 <= min(rates) < 1e-3 < 0.1 < max(rates) < 1
    assert {cell.loaded.experiment.train.batch_size for cell in many.cells} == {8, 16}


@pytest.mark.parametrize("log", [False, True])
def test_whole_numbers_are_drawn_from_the_first_to_the_last(log):
    spread = Spread(1.0, 4.0, log=log, integer=True)
    drawn = [spread.at(n / 1000) for n in range(1000)]
    assert sorted(set(drawn)) == ["1", "2", "3", "4"]
    assert drawn == sorted(drawn)
    assert log == (drawn.count("1") > 2 * drawn.count("4"))
    assert spread.at(1 - 2**-53) == "4", "although it is rounded to 5 there"
    assert Spread(1e-8, 1.0, log=log).at(1 - 2**-53) == "1"


def test_equal_experiments_are_one_cell(tmp_path):
    found = plan(tmp_path, "grid: {optimizer.lr: [0.1, 1e-1, 0.2, 0.10]}")
    assert names(found) == ["lr=0.1", "lr=0.2"]
    assert found.repeated == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("grids: {seed: [1]}", ["sweep.yaml:2:1 unknown key 'grids'; did you mean 'grid'?"]),
        ("grid: {optimizer.lr: 0.1}", ["sweep.yaml:2:22 optimizer.lr: expected a list of values to try, got 0.1"]),
        (
            "grid: {optimizer.lr: []}",
            ["sweep.yaml:2:22 optimizer.lr: expected a list of values to try, got a list of 0"],
        ),
        ("list: []", ["sweep.yaml:2:7 list: the list is empty, which leaves no cell"]),
        ("seeds: 0", ["sweep.yaml:2:8 seeds must be at least 1, got 0"]),
        (
            "grid: {optimizer.lr: [0.1, -1, x], optimizer.momentun: [0.9]}",
            [
                "sweep.yaml:2:28 lr must be at least 0, got -1.0",
                "sweep.yaml:2:32 lr: expected a number, got 'x'",
                "sweep.yaml:2:36 unknown key 'momentun' of sgd; did you mean 'momentum'?",
            ],
        ),
        (
            "grid: {model.layers.9.rate: [1]}",
            ["sweep.yaml:2:8 layers has 7 items, numbered from 0; there is no 9"],
        ),
        (
            "set: {optimizer.lr: 0.1}\ngrid: {optimizer: [sgd, adam]}",
            ["sweep.yaml:3:8 optimizer undoes optimizer.lr at line 2: keep one of the two"],
        ),
        ("grid: {seed: [1]}\nseeds: 2", ["sweep.yaml:3:1 seed undoes seed at line 2: keep one of the two"]),
        (
            "set: {data.source.root: '${config_dir}/x'}",
            [
                "sweep.yaml:2:7 unknown key 'root' of synthetic; known: pattern, size, channels, classes, samples, "
                "noise, seed",
                "sweep.yaml:2:25 data.source.root: a sweep's values cannot use ${config_dir}; write the path",
            ],
        ),
        (
            "random: {count: 2, keys: {optimizer.lr: {low: 0, high: 1, log: true}}}",
            ["sweep.yaml:2:47 low must be greater than 0 for a logarithm, got 0"],
        ),
        (
            "random: {count: 2, keys: {optimizer.lr: {low: 2, high: 1}}}",
            ["sweep.yaml:2:56 high must be greater than low, 2, got 1"],
        ),
        (
            "random: {count: 200, keys: {}}\nseeds: 200",
            ["sweep.yaml:1:1 the sweep expands to more than 10000 cells; vary less at once"],
        ),
        (
            "grid: [1]",
            ["sweep.yaml:2:7 grid: expected a mapping of config keys or null, got a list of 1"],
        ),
        (
            "seeds: 0\nset: {train.epoch: 2}\ngrid: {optimizer.lr: [0.1, fast], optimizer.momentum: []}\nlist: 7",
            [
                "sweep.yaml:2:8 seeds must be at least 1, got 0",
                "sweep.yaml:3:7 unknown key 'epoch' of train: cnntrain calls it 'epochs'",
                "sweep.yaml:4:28 lr: expected a number, got 'fast'",
                "sweep.yaml:4:55 optimizer.momentum: expected a list of values to try, got a list of 0",
                "sweep.yaml:5:7 list: expected a list of mappings of config keys or null, got 7",
            ],
        ),
    ],
)
def test_a_mistake_is_reported_at_its_place_in_the_sweep_file(tmp_path, text, expected):
    assert complaints(tmp_path, text) == expected


def test_a_mistake_of_the_config_is_reported_once_for_all_cells(tmp_path):
    write(tmp_path, "nonsense: 1\n", "bad.yaml")
    (tmp_path / "sweep.yaml").write_text("config: bad.yaml\nseeds: 3\n")
    with pytest.raises(ConfigError) as raised:
        read_sweep(tmp_path / "sweep.yaml")
    assert [p.message.split(" (")[0] for p in raised.value.problems] == [
        "unknown key 'nonsense'; known: name, seed, data, model, init, task, loss, optimizer, schedule, "
        "momentum_schedule, train, checkpoint, warnings",
        *("missing key 'data'", "missing key 'model'", "missing key 'train'"),
    ]


def test_an_ordinary_config_is_no_sweep(tmp_path):
    write(tmp_path, "a word", "word.yaml")
    with pytest.raises(ConfigError, match=r"a sweep is a mapping with the key 'config'.*; found a single value"):
        read_sweep(tmp_path / "word.yaml")
    with pytest.raises(UsageError, match=r"the sweep .*nowhere\.yaml cannot be read.*Check the path"):
        read_sweep(tmp_path / "nowhere.yaml")


def test_what_a_cells_process_says_of_a_set_is_said_of_the_sweep_file(tmp_path):
    text = "set:\n  train.epochs: 2\ngrid:\n  optimizer.lr: [0.1, 0.2]\nseeds: 2\n"
    sweep = plan(tmp_path, text, "optimizer.weight_decay=0.1")
    said = "cnntrain: error: --set:2:14: too large\n    optimizer.lr=0.1\n--set:4:3 and --set:1:1: epochs"
    place = tmp_path / "sweep.yaml"
    assert sweep.cells[0].located(said) == (
        f"cnntrain: error: {place}:5:3: too large\n    optimizer.lr=0.1\n--set:1:3 and {place}:3:3: epochs"
    )


def test_the_config_is_read_once_however_many_cells_are_made_of_it(tmp_path, monkeypatch):
    read, opened = [], tree.open_regular
    monkeypatch.setattr(tree, "open_regular", lambda path, fail: read.append(path.name) or opened(path, fail))
    found = plan(tmp_path, "grid: {optimizer.lr: [0.1, 0.2, 0.3]}\nseeds: 4\n")
    assert len(found.cells) == 12
    assert read == ["sweep.yaml", "full.yaml"]
    read.clear()
    search = plan(tmp_path, "search: {count: 4, keys: {optimizer.lr: {low: 0.1, high: 0.4}, train.epochs: [1, 2]}}\n")
    rates = [search.trial(n, {"optimizer.lr": f"0.{n}", "train.epochs": "1"}).loaded.experiment for n in (1, 2)]
    assert [experiment.optimizer.lr for experiment in rates] == [0.1, 0.2]
    assert read == ["sweep.yaml", "full.yaml"]


def test_a_mistake_of_the_config_is_told_once_and_that_of_a_cell_beside_it(tmp_path):
    write(tmp_path)
    (tmp_path / "full.yaml").write_text((tmp_path / "full.yaml").read_text() + "seed: 2\nwrong: 1\n")
    (tmp_path / "sweep.yaml").write_text("config: full.yaml\ngrid: {optimizer.lr: [0.1, -2, 0.3]}\n")
    with pytest.raises(ConfigError) as raised:
        read_sweep(tmp_path / "sweep.yaml")
    said = [problem.message.partition(";")[0].partition(":")[0] for problem in raised.value.problems]
    assert sorted(said) == ["duplicate key 'seed'", "lr must be at least 0, got -2.0", "unknown key 'wrong'"]


def test_a_config_that_is_not_there_is_told_where_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "sweep.yaml").write_text("config: nowhere.yaml\nseeds: 2\n")
    with pytest.raises(ConfigError) as refused:
        read_sweep(tmp_path / "sweep.yaml")
    (problem,) = refused.value.problems
    assert str(problem.where) == f"{tmp_path / 'sweep.yaml'}:1:9"
    missing = tmp_path / "nowhere.yaml"
    assert problem.message == (
        f"the config {missing} is not there (looked for {missing}); its path is counted from the folder of this file"
    )
