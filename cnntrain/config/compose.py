"""Composition makes one tree of several files: what a file extends lies below it; later files lie above earlier ones.

Maps merge key by key, lists and single values replace. Two maps whose `type` differs are two different parts:
the upper one replaces the lower, so that no part is handed keys it does not know.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from cnntrain.config.mapping import NAME, Config, text_of
from cnntrain.config.problems import Problems
from cnntrain.config.tree import (
    COMPLETE,
    Broken,
    Entry,
    List,
    Map,
    Node,
    Scalar,
    Source,
    UnreadableError,
    parse,
    read_named,
    read_source,
)
from cnntrain.config.variables import mentions
from cnntrain.core.errors import Mark, UsageError

CONFIG = "a config is a mapping of keys such as data, model and train"
MAX_FILES = 100  # counted each time one is reached


class Composition:
    """The files of one experiment, read and merged."""

    def __init__(self, problems: Problems) -> None:
        self.problems = problems
        self.text = ""  # the first file named, as it is
        self.mentioned: set[str] = set()  # variables that any of the files uses
        self._count = 0

    def files(self, paths: Sequence[str | Config]) -> Map:
        """The tree of these files (or of mappings in their place) and of all that they extend.

        Raises UsageError, ConfigError.
        """
        merged: Map | None = None
        for path in paths:
            tree = self._mapping(path) if isinstance(path, Mapping) else self._file(path, (), None)
            merged = tree if merged is None else merge(merged, tree)
        if merged is None:
            raise UsageError("no config given; name a YAML file")
        return merged

    def _file(self, path: str, above: tuple[str, ...], cited: Mark | None) -> Map:
        """One file over what it extends. `above`: the files that led here; `cited`: where the last one names it."""
        self._count += 1
        if cited and os.path.realpath(path) in map(os.path.realpath, above):
            self.problems.fail(cited, f"extends goes in a circle: {' -> '.join([*above, path])}")
        if cited and self._count > MAX_FILES:
            self.problems.fail(cited, f"extends reaches more than {MAX_FILES} files")
        return self._tree(read_named(path, "the config") if cited is None else self._cited(path, cited), path, above)

    def _cited(self, path: str, cited: Mark) -> Source:
        """The text of a file that another one extends."""
        try:
            return read_source(path)
        except UnreadableError as error:
            self.problems.fail(cited, str(error))

    def _mapping(self, config: Config) -> Map:
        """A mapping over what it extends. It may be that of a run, with every default."""
        text = text_of(config)
        source = Source(NAME, text, caps=COMPLETE)
        if len(text) > COMPLETE.bytes:
            self.problems.fail(source.mark(0, 0), COMPLETE.too_large)
        return self._tree(source, NAME, ())

    def _tree(self, source: Source, path: str, above: tuple[str, ...]) -> Map:
        """A text's tree, over what it extends."""
        self.text = self.text or source.text
        tree = root_map(parse(source, self.problems), source.mark(0, 0), self.problems)
        self.mentioned |= mentions(tree)
        below: Map | None = None
        for reference in self._extended(tree):
            base = self._file(os.path.join(os.path.dirname(path), reference.text), (*above, path), reference.where)
            below = base if below is None else merge(below, base)
        own = Map(tree.where, {key: entry for key, entry in tree.entries.items() if key != "extends"})
        return own if below is None else merge(below, own)

    def _extended(self, tree: Map) -> list[Scalar]:
        """The paths a file extends, lowest first."""
        value = tree.get("extends")
        if value is None:
            return []
        wanted = value.items if isinstance(value, List) else (value,)
        paths = [item for item in wanted if isinstance(item, Scalar) and item.text]
        for item in wanted:
            if item not in paths:
                self.problems.add(item.where, "extends: expected the path of a config, or a list of paths")
        for item in paths:
            if "${" in item.text:
                self.problems.add(item.where, "extends takes no ${...}; its paths are relative to this file's folder")
        return [item for item in paths if "${" not in item.text]


def root_map(tree: Node | None, start: Mark, problems: Problems, what: str = CONFIG) -> Map:
    """The tree of a whole text, which must be a map: `what` says of what. Raises ConfigError."""
    if isinstance(tree, Broken):
        problems.check()
    if not isinstance(tree, Map):
        found = "nothing" if tree is None else "a list" if isinstance(tree, List) else "a single value"
        where = start if tree is None else tree.where
        problems.fail(where, f"{what}; found {found}")
    return tree


def merge(below: Map, above: Map) -> Map:
    """`above` laid over `below`."""
    entries = dict(below.entries)
    for key, entry in above.entries.items():
        lower = entries[key].value if key in entries else None
        if isinstance(lower, Map) and isinstance(entry.value, Map) and not _other_part(lower, entry.value):
            entries[key] = Entry(entry.key, merge(lower, entry.value))
        else:
            entries[key] = entry
    return Map(above.where, entries)


def _other_part(below: Map, above: Map) -> bool:
    """Whether the upper map is a part of a different type than the lower."""
    lower, upper = below.get("type"), above.get("type")
    same = isinstance(lower, Scalar) and isinstance(upper, Scalar) and lower.text == upper.text
    return upper is not None and not same
