"""A sweep file stands for cells, each an experiment of its own with its own run directory.

    config: quickstart.yaml                 # or a list; paths are relative to this file's folder
    set: {train.epochs: 3}                  # the same in every cell
    grid: {optimizer.lr: [0.01, 0.1]}       # every combination of these
    list: [{optimizer: sgd}, {optimizer: adam}]                  # each of these
    random: {count: 8, keys: {optimizer.lr: {low: 1e-4, high: 1e-1, log: true}}}
    seeds: 3                                # each of the above with the seeds 0, 1 and 2

All that is given is combined. Instead of grid, list, random and seeds, `search` makes up its cells as it goes. Keys
are those of `--set`, values are read by the schema, and every mistake is reported at its place in the sweep file
before anything is trained.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from cnntrain.config import scalars
from cnntrain.config.binder import INVALID, Binder, Place
from cnntrain.config.compose import root_map
from cnntrain.config.dump import fingerprint
from cnntrain.config.fields import PositiveInt, RunName, Seed, keys_of
from cnntrain.config.load import Draft, Loaded, draft, run_name
from cnntrain.config.problems import Problems
from cnntrain.config.schema import Experiment
from cnntrain.config.tree import SET, Entry, List, Map, Node, Scalar, parse, read_named
from cnntrain.config.tree import scalars as scalars_of
from cnntrain.core import shell
from cnntrain.core.errors import ConfigError, Mark, UsageError, printable
from cnntrain.sweep.names import Setting, name_of, names_of, short_names
from cnntrain.sweep.space import Choice, Choices, Pruning, Random, Search, Spread, drawn
from cnntrain.sweep.value_text import read_value, to_text
from cnntrain.sweep.yardstick import DECIDE, Yardstick, require_measured

MAX_CELLS = 10_000
_WHAT = "a sweep is a mapping with the key 'config' and what to vary: grid, list, random or seeds"
_NOWHERE = Mark("sweep", 1, 1)
_OF_A_SET = re.compile(rf"{SET}:(\d+):(\d+)(?=\b)", re.ASCII)  # how a message cites a `--set`


@dataclass(frozen=True)
class SweepFile:
    """The keys of a sweep file."""

    config: str | tuple[str, ...]
    name: RunName = ""  # names the folder of the run directories; by default the file's name
    set_: Map = field(default_factory=lambda: Map(_NOWHERE))
    grid: Map | None = None
    list_: tuple[Map, ...] | None = None
    random: Random | None = None
    seeds: PositiveInt | tuple[Seed, ...] | None = None
    search: Search | None = None


@dataclass(frozen=True)
class Cell:
    """One experiment of a sweep: what it sets, as (key, YAML text), and what that makes of the configs."""

    name: str  # of its run directory
    settings: tuple[tuple[str, str], ...]
    loaded: Loaded
    places: tuple[str, ...]  # of the settings, in the sweep file

    def located(self, text: str) -> str:
        """Text of its process, with the settings, its first `--set` flags, cited by their places in the sweep file."""

        def place(found: re.Match[str]) -> str:
            number = int(found[1])
            given = number - len(self.places)
            return self.places[number - 1] if given <= 0 else f"{SET}:{given}:{found[2]}"

        return _OF_A_SET.sub(place, text)


@dataclass(frozen=True)
class Sweep:
    """The cells of a sweep. `repeated` counts those that were equal to an earlier one, and were left out."""

    name: str
    configs: tuple[str, ...]
    draft: Draft  # those configs, as they were read
    sets: tuple[str, ...]
    cells: tuple[Cell, ...]
    repeated: int
    search: Search | None = None
    choices: tuple[tuple[Scalar, Choice], ...] = ()  # what a search chooses among, by key
    constant: tuple[Setting, ...] = ()  # what is the same in every cell of a search
    monitored: Mark = _NOWHERE  # the place of its `monitor`

    def overrides(self, cell: Cell) -> list[str]:
        """The `KEY=VALUE` texts that make a cell of the configs."""
        return [*(f"{key}={text}" for key, text in cell.settings), *self.sets]

    def trial(self, number: int, texts: Mapping[str, str]) -> Cell:
        """The cell of a search that has this number and these values, as YAML text. Raises ConfigError."""
        values = [(key, read_value(key, texts[key.text])) for key, _ in self.choices]
        settings = [*self.constant, *values, *self.watched()]
        loaded = self.draft.experiment(self.sets, settings)
        labels = short_names({key.text for key, _ in self.choices})
        name = name_of({labels[key.text]: node for key, node in values})
        return _cell(f"{number:04d},{name}", settings, loaded)

    def watched(self) -> list[Setting]:
        """The setting that makes the runs of a search judge themselves by its metric."""
        return [] if self.search is None else _watched(self.search, self.monitored)

    def arguments(self, cell: Cell, folder: Path) -> list[str]:
        """The arguments of the `cnntrain` that trains a cell, or resumes it."""
        sets = [word for text in self.overrides(cell) for word in ("--set", text)]
        return ["fit", *self.configs, *sets, "--run-dir", str(folder / cell.name), "--resume-or-start"]

    def words(self, cell: Cell, folder: Path) -> list[str]:
        """The same for a process that this sweep begins: it trains what has been checked, or nothing."""
        return [*self.arguments(cell, folder), "--fingerprint", fingerprint(cell.loaded.experiment)]


def read_sweep(path: Path, sets: Sequence[str] = ()) -> Sweep:
    """What a sweep file says; `sets` are `KEY=VALUE` overrides for all cells, which win over the file.

    Raises ConfigError with everything that is wrong in any cell, or UsageError where a file cannot be read.
    """
    problems = Problems()
    source = read_named(str(path), "the sweep")
    tree = root_map(parse(source, problems), source.mark(0, 0), problems, _WHAT)
    if "config" not in tree.entries and tree.entries.keys() & keys_of(Experiment).keys() - keys_of(SweepFile).keys():
        problems.fail(tree.where, f"this is a config; train it with: cnntrain fit {shell.word(path)}")
    tree, sweep = _sound(tree, problems)
    lists = _Lists(problems, tree)
    named = (sweep.config,) if isinstance(sweep.config, str) else sweep.config
    configs = tuple(os.path.normpath(os.path.join(path.parent, config)) for config in named)
    _require_files(tree, configs, problems)
    if sweep.search is not None:
        return _search(sweep, sweep.name or run_name(path.stem), configs, sets, lists)
    combinations = itertools.product(*filter(None, lists.of(sweep)))
    cells = list(itertools.islice((list(itertools.chain(*parts)) for parts in combinations), MAX_CELLS + 1))
    if len(cells) > MAX_CELLS:
        problems.fail(tree.where, f"the sweep expands to more than {MAX_CELLS} cells; vary less at once")
    _check_keys(cells, problems)
    _check_sets(sets, [one for cell in cells for one in cell if one[0].text not in sweep.set_.entries], problems)
    try:
        composed = draft(configs)
    except UsageError:
        problems.check()  # of a config that is not there, the user hears next
        raise
    loaded = _load(composed, sets, cells, problems)
    names = names_of(cells, constant=set(sweep.set_.entries))
    first = {fingerprint(one.experiment): number for number, one in reversed([*enumerate(loaded)])}
    chosen = tuple(_cell(names[n], cells[n], loaded[n]) for n in sorted(first.values()))
    return Sweep(sweep.name or run_name(path.stem), configs, composed, tuple(sets), chosen, len(cells) - len(chosen))


def _require_files(tree: Map, configs: Sequence[str], problems: Problems) -> None:
    """Report configs that are not there, each at the place that names it."""
    value = tree.entries["config"].value
    for node, config in zip(value.items if isinstance(value, List) else [value], configs, strict=True):
        if not os.path.exists(config):
            problems.add(
                node.where,
                f"the config {config} is not there (looked for {os.path.abspath(config)}); "
                "its path is counted from the folder of this file",
            )


def _sound(tree: Map, problems: Problems) -> tuple[Map, SweepFile]:
    """A sweep file without the keys that are wrong, which are reported, so that mistakes in the others are found, too.

    Raises ConfigError where that leaves nothing to go by.
    """
    sweep = Binder(problems).read(tree, SweepFile, Place())
    if not isinstance(sweep, SweepFile):
        config = {key: one for key, one in tree.entries.items() if key == "config"}
        sound = {key: one for key, one in tree.entries.items() if _reads(tree, {**config, key: one})}
        tree = replace(tree, entries=sound)
        sweep = Binder(Problems()).read(tree, SweepFile, Place())
    if not isinstance(sweep, SweepFile):
        problems.check()
    assert isinstance(sweep, SweepFile)
    return tree, sweep


def _reads(tree: Map, entries: dict[str, Entry]) -> bool:
    """Whether a sweep file with these keys alone can be read."""
    return isinstance(Binder(Problems()).read(replace(tree, entries=entries), SweepFile, Place()), SweepFile)


def _cell(name: str, settings: Sequence[Setting], loaded: Loaded) -> Cell:
    texts = tuple((key.text, to_text(value)) for key, value in settings)
    return Cell(name, texts, loaded, tuple(str(key.where) for key, _ in settings))


def _search(sweep: SweepFile, name: str, configs: tuple[str, ...], sets: Sequence[str], lists: _Lists) -> Sweep:
    """A sweep that makes up its cells; the first and the last value of every key are tried on the configs."""
    search, problems = sweep.search, lists.problems
    assert search is not None
    for key in ("grid", "list", "random", "seeds"):
        if key in lists.tree.entries:
            where = lists.tree.entries[key].key.where
            problems.add(where, f"{key} and search both say what is run: keep one of the two")
    choices = tuple(lists.choices(search.keys))
    if not search.keys.entries:
        problems.add(search.keys.where, "search.keys: names no key, which leaves nothing to search")
    problems.check()
    constant = _settings(sweep.set_)
    ends = [(key, _ends(key, choice)) for key, choice in choices]
    corners = [[*constant, *((key, values[last]) for key, values in ends)] for last in (0, -1)]
    _check_keys(corners, problems)
    _check_sets(sets, corners[0][len(constant) :], problems)
    problems.check()
    section = lists.tree.entries["search"].value
    assert isinstance(section, Map)
    monitored = section.entries["monitor"].value.where if search.monitor else _NOWHERE
    watched = _watched(search, monitored)
    _check_keys([[*corners[0][len(constant) :], *watched]], problems)
    composed = draft(configs)
    loaded = _load(composed, sets, [[*corner, *watched] for corner in corners], problems)
    if search.prune:
        _check_rungs(search.prune, section.entries["prune"].key.where, loaded, choices, problems)
    problems.check()
    for number, (varied, values) in enumerate(ends):
        if any(_overlap(varied.text, name) for name in DECIDE):
            others = [(other, its[0]) for other, its in ends[:number] + ends[number + 1 :]]
            cells = [[*constant, *others, (varied, value), *watched] for value in values]
            _check_comparable(varied, [*_yardsticks(composed, sets, cells)], problems)
    problems.check()
    for one in loaded:
        with _gathered(problems):
            require_measured(one)
    problems.check()
    return Sweep(name, configs, composed, tuple(sets), (), 0, search, choices, tuple(constant), monitored)


def _overlap(key: str, other: str) -> bool:
    """Whether one key is the other, or holds it."""
    return f"{key}.".startswith(f"{other}.") or f"{other}.".startswith(f"{key}.")


def _ends(key: Scalar, choice: Choice) -> Sequence[Node]:
    """The values of a list, or the two ends of a spread."""
    if isinstance(choice, Spread):
        return [Scalar(key.where, choice.text(value)) for value in (choice.low, choice.high)]
    return choice


def _watched(search: Search, where: Mark) -> list[Setting]:
    """The setting that makes runs judge themselves by a search's metric, if it names one."""
    if search.monitor is None:
        return []
    return [(Scalar(where, "checkpoint.best.monitor"), Scalar(where, search.monitor, plain=False))]


def _check_rungs(prune: Pruning, where: Mark, loaded: Sequence[Loaded], choices: Choices, problems: Problems) -> None:
    """Report a training that is not counted in epochs, or that ends before the first judgment in every trial."""
    lengths = [one.experiment.train.epochs for one in loaded]
    epochs = [length for length in lengths if length is not None]
    if len(epochs) < len(lengths):
        problems.fail(where, "search.prune counts in epochs: give the length of training as train.epochs")
    varied = any(key.text in ("train", "train.epochs") for key, _ in choices)
    if not varied and not prune.rungs(max(epochs)):
        problems.add(
            where,
            f"search.prune.first is {prune.first}, and training ends after {max(epochs)} epochs: no trial would be "
            "judged before its end. Choose a shorter one, or leave prune out",
        )


def _yardsticks(composed: Draft, sets: Sequence[str], cells: Sequence[Sequence[Setting]]) -> Iterator[Yardstick]:
    """What each of some trials would be judged by, without those that the config refuses."""
    for cell in cells:
        with contextlib.suppress(ConfigError):
            yield Yardstick.of(composed.experiment(sets, cell).experiment)


def _check_comparable(key: Scalar, found: Sequence[Yardstick], problems: Problems) -> None:
    """Report a key whose values make the trials judge themselves by different metrics."""
    other = next((one for one in found if one != found[0]), None)
    if other is not None:
        problems.add(
            key.where,
            f"{key.text}: trials would be judged by {found[0]}, and others by {other}, which cannot be compared. Name "
            "one metric for all as search.monitor, and leave checkpoint.best to the config",
        )


class _Lists:
    """Turns each section of a sweep file into a list of alternatives, each a list of settings."""

    def __init__(self, problems: Problems, tree: Map) -> None:
        self.problems, self.tree = problems, tree

    def of(self, sweep: SweepFile) -> list[list[list[Setting]]]:
        """The lists whose product are the cells, in the order in which their settings are applied."""
        lists = [[_settings(sweep.set_)]]
        if sweep.list_ is not None:
            lists.append([_settings(entry) for entry in sweep.list_])
        if sweep.grid is not None:
            lists += [[[(key, value)] for value in self.values(key, node)] for key, node in _settings(sweep.grid)]
        if sweep.random is not None:
            lists.append(self.draws(sweep.random))
        if sweep.seeds is not None:
            seeds = range(sweep.seeds) if isinstance(sweep.seeds, int) else sweep.seeds
            where = self.tree.entries["seeds"].key.where
            lists.append([[(Scalar(where, "seed"), Scalar(where, str(seed)))] for seed in seeds])
        for name, entry in self.tree.entries.items():
            if isinstance(entry.value, List) and not entry.value.items:
                self.problems.add(entry.value.where, f"{name}: the list is empty, which leaves no cell")
        return lists

    def values(self, key: Scalar, node: Node) -> Sequence[Node]:
        """The alternatives of a key."""
        if not isinstance(node, List) or not node.items:
            message = f"{key.text}: expected a list of values to try, got {scalars.found(node)}"
            self.problems.add(node.where, message)
            return []
        return node.items

    def choices(self, keys: Map) -> list[tuple[Scalar, Choice]]:
        """What is chosen among for each key: the items of a list, or the numbers of a mapping with low and high."""
        choices: list[tuple[Scalar, Choice]] = []
        for key, node in _settings(keys):
            if isinstance(node, Map):
                spread = Binder(self.problems).read(node, Spread, Place(key.text, key.text))
                choices += [] if spread is INVALID else [(key, spread)]
            else:
                choices.append((key, self.values(key, node)))
        return choices

    def draws(self, wanted: Random) -> list[list[Setting]]:
        """The alternatives drawn at random."""
        choices = self.choices(wanted.keys)
        numbers = range(min(wanted.count, MAX_CELLS + 1))
        return [[(key, drawn(wanted.seed, n, key, choice)) for key, choice in choices if choice] for n in numbers]


def _settings(node: Map) -> list[Setting]:
    return [(entry.key, entry.value) for entry in node.entries.values()]


def _check_keys(cells: Sequence[Sequence[Setting]], problems: Problems) -> None:
    """Report a setting that a later one of the same cell undoes, and values that no `--set` could have."""
    for key, value in {id(value): (key, value) for cell in cells for key, value in cell}.values():
        for scalar in scalars_of(value):
            if "${config_dir}" in scalar.text:
                problems.add(scalar.where, f"{key.text}: a sweep's values cannot use ${{config_dir}}; write the path")
    for cell in cells:
        for (earlier, _), (later, _) in itertools.combinations(cell, 2):
            if f"{earlier.text}.".startswith(f"{later.text}."):
                problems.add(
                    later.where,
                    f"{later.text} undoes {earlier.text} at line {earlier.where.line}: keep one of the two",
                )


def _check_sets(sets: Sequence[str], varied: Sequence[Setting], problems: Problems) -> None:
    """Report a `--set` of a key that the sweep varies: it would win, and the runs' names would be wrong."""
    for text in sets:
        name = text.partition("=")[0].strip()
        found = next((key for key, node in varied if _undoes(name, key.text, node)), None)
        if found:
            problems.add(
                found.where,
                f"the sweep varies {found.text}, and --set {printable(text)} would win over it in every run: "
                "keep one of the two",
            )


def _undoes(name: str, key: str, node: Node) -> bool:
    """Whether a `--set` of `name` changes what a key and its value say."""
    if f"{key}.".startswith(f"{name}."):
        return True
    if not name.startswith(f"{key}."):
        return False
    step = name[len(key) + 1 :].partition(".")[0]
    return step in node.entries if isinstance(node, Map) else step == "type"


def _load(composed: Draft, sets: Sequence[str], cells: Sequence[Sequence[Setting]], problems: Problems) -> list[Loaded]:
    """The experiment of every cell. Raises ConfigError with the problems of all of them."""
    loaded = []
    for cell in cells:
        with _gathered(problems):
            loaded.append(composed.experiment(sets, cell))
    problems.check()
    return loaded


@contextlib.contextmanager
def _gathered(problems: Problems) -> Iterator[None]:
    """Within it, what is wrong with a config joins the problems of the sweep file."""
    try:
        yield
    except ConfigError as error:
        for problem in error.problems:
            problems.add(problem.where, problem.message, *problem.notes)
