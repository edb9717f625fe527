"""Loading turns config files and overrides into one `Experiment`, and remembers where each value was written."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnntrain.config.binder import Binder, Place
from cnntrain.config.blocks import expand
from cnntrain.config.compose import Composition, root_map
from cnntrain.config.dump import plain, to_yaml
from cnntrain.config.mapping import NAME, Config
from cnntrain.config.overrides import change, override, require_values
from cnntrain.config.problems import Problems
from cnntrain.config.schema import Experiment
from cnntrain.config.tree import (
    COMPLETE,
    MAX_BYTES,
    MAX_NODES,
    RESOLVED,
    TYPED,
    Map,
    Node,
    Scalar,
    Source,
    of_plain,
    parse,
    source_of,
)
from cnntrain.config.variables import mentions, refuse, substitute
from cnntrain.core import shell
from cnntrain.core.errors import ConfigError, Mark, Problem, UsageError
from cnntrain.core.regular_file import read_own

DEFAULT = "default"
_OF_ENTRIES = ("data", "model", "init", "optimizer.groups", "train.regularize")  # what tells whether an entry acts


@dataclass(frozen=True)
class Loaded:
    """An experiment, and where it comes from.

    text    the first config file, as it is
    marks   dotted path ("model.layers.2.filters") -> where that value was written; defaults have none
    begun   whether a run has begun with it: what never did anything in that run is then no reason to refuse it.
            The config.resolved.yaml of a run is such a config unless something else overrides what tells that
    """

    experiment: Experiment
    text: str
    marks: Mapping[str, Mark]
    begun: bool = False

    def where(self, path: str) -> Mark:
        """Where the value at a dotted path was written, or the nearest thing around it that was."""
        if path in self.marks:
            return self.marks[path]
        while path not in self.marks:
            path = path.rpartition(".")[0]
        return dataclasses.replace(self.marks[path], override=None)  # which is about another value in there

    def origins(self) -> dict[str, str]:
        """Every key of the resolved config, dotted, with where its value was written or "default"."""
        return {
            path: str(self.marks[path]) if path in self.marks else DEFAULT for path, _ in leaves(plain(self.experiment))
        }


@dataclass(frozen=True)
class Draft:
    """Config files, read and merged once, from which each cell of a sweep makes an experiment of its own.

    text        the first file, as it is
    stem        what a run without a name is called after
    mentioned   the variables that any of the files uses
    problems    what is wrong so far
    """

    tree: Map
    text: str
    stem: str
    mentioned: frozenset[str]
    problems: Problems

    def experiment(self, sets: Sequence[str] = (), changes: Sequence[tuple[Scalar, Node]] = ()) -> Loaded:
        """The experiment with `KEY=VALUE` overrides applied, after the changes that a sweep file gives.

        Raises ConfigError with everything that is wrong.
        """
        problems, tree = self.problems.copy(), self.tree
        for key, value in changes:
            tree = change(tree, key, value, problems)
        for number, text in enumerate(sets, 1):
            tree = override(tree, text, number, problems)
        tree = expand(tree, problems)
        tree = substitute(tree, self.mentioned | mentions(tree), problems)
        loaded = _read(tree, self.text, self.stem, problems)
        _check_complete(plain(loaded.experiment), tree.where, problems)
        return loaded


def _check_complete(config: Any, where: Mark, problems: Problems) -> None:
    """Raise ConfigError for a config that could not be read again once a run has written it with its defaults."""
    nodes, letters = _size(config)
    if nodes > COMPLETE.nodes:
        problems.fail(where, f"with its defaults the config has over {COMPLETE.nodes} values; use 'repeat'")
    if nodes <= MAX_NODES and letters <= MAX_BYTES:  # however deep and however quoted, its text is short enough
        return
    if letters > COMPLETE.bytes or len(to_yaml(config).encode(errors="backslashreplace")) > COMPLETE.bytes:
        most = COMPLETE.bytes // 1024
        problems.fail(where, f"with its defaults the config has over {most} KiB; use 'repeat', or shorter texts")


def _size(value: Any) -> tuple[int, int]:
    """Values and keys of a plain config, and the bytes of its texts."""
    if isinstance(value, str):
        return 1, len(value.encode(errors="backslashreplace"))
    if not isinstance(value, dict | list):
        return 1, 0
    keys = list(value) if isinstance(value, dict) else []
    sizes = [_size(item) for item in [*keys, *(value.values() if isinstance(value, dict) else value)]]
    return 1 + sum(nodes for nodes, _ in sizes), sum(letters for _, letters in sizes)


def draft(paths: Sequence[str | Path | Config]) -> Draft:
    """These files, later ones laid over earlier ones; a mapping stands for a file that holds it.

    Raises UsageError where a named file cannot be read, or ConfigError where it is no YAML.
    """
    problems = Problems()
    composition = Composition(problems)
    tree = composition.files([path if isinstance(path, Mapping) else str(path) for path in paths])
    varied = tree.entries.keys() & {"grid", "list", "random", "search", "seeds"}
    if "config" in tree.entries and varied and not isinstance(paths[0], Mapping):
        problems.fail(tree.where, f"this is a sweep; train it with: cnntrain sweep {shell.word(str(paths[-1]))}")
    stem = NAME if isinstance(paths[0], Mapping) else Path(paths[0]).stem
    return Draft(tree, composition.text, stem, frozenset(composition.mentioned), problems)


def load(paths: Sequence[str | Path | Config], sets: Sequence[str] = ()) -> Loaded:
    """The experiment that these files describe, with `KEY=VALUE` overrides applied.

    Raises ConfigError with everything that is wrong, or UsageError where a named file cannot be read.
    """
    try:
        found = draft(paths)
    except UsageError:  # for a value that went astray was taken for a file
        require_values(sets)
        raise
    return found.experiment(sets)


def load_text(text: str, file: str) -> Loaded:
    """The experiment of a text in which nothing is left to resolve: no extends, no vars, no ${...}.

    `file` is what messages call it. Raises ConfigError.
    """
    if len(text) > TYPED.bytes:
        Problems().fail(Mark(file, 1, 1), TYPED.too_large)
    return _whole(Source(file, text))


def load_resolved(path: Path) -> Loaded:
    """The experiment of a config that a run has written, with every default: longer than one that was typed may be.

    Raises ConfigError, or StorageError where the file cannot be read, or is a link or a pipe.
    """
    return _whole(source_of(str(path), read_own(path, COMPLETE.bytes), COMPLETE))


def _whole(source: Source) -> Loaded:
    """The experiment of a config with nothing left to resolve."""
    problems = Problems()
    tree = root_map(parse(source, problems), source.mark(0, 0), problems)
    refuse(tree, problems)
    return _read(tree, source.text, Path(source.file).stem, problems)


def load_plain(config: Any, file: str, sets: Sequence[str] = ()) -> Loaded:
    """The experiment from what `dump.plain` gave, such as a checkpoint's: untrusted, and checked like any other.

    `file` is what messages call it; `sets` are the user's own `KEY=VALUE` overrides. Raises ConfigError.
    """
    problems = Problems()
    start = Mark(file, 0, 0)
    try:
        node = of_plain(config, start)
    except ValueError as error:
        problems.fail(start, str(error))
    tree = root_map(node, start, problems)
    refuse(tree, problems)
    for number, text in enumerate(sets, 1):
        tree = override(tree, text, number, problems)
    return _read(tree, "", Path(file).stem, problems)


def _read(tree: Map, text: str, stem: str, problems: Problems) -> Loaded:
    binder = Binder(problems)
    experiment = binder.read(tree, Experiment, Place())
    problems.check()
    if not experiment.name:
        experiment = dataclasses.replace(experiment, name=run_name(stem))
    return Loaded(experiment, text, binder.marks, _is_begun(binder.marks))


def _is_begun(marks: Mapping[str, Mark]) -> bool:
    """Whether all that tells whether entries of a config act stands in a file that a run has written."""
    sections = tuple(f"{section}." for section in _OF_ENTRIES)
    return all(Path(mark.file).name == RESOLVED for path, mark in marks.items() if path.startswith(sections))


def run_name(stem: str) -> str:
    """A file's name as the name of a run: characters not allowed in one become dashes."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).lstrip("._-")[:100] or "run"


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every (dotted path, value) of a plain config whose value holds no keys; a list of single values is one value."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and any(isinstance(item, (dict, list)) for item in value):
        for index, item in enumerate(value):
            yield from leaves(item, f"{path}.{index}")
    else:
        yield path, value


def problem(loaded: Loaded, path: str, message: str) -> ConfigError:
    """An error at the place of a dotted key."""
    return ConfigError(Problem(loaded.where(path), message))
