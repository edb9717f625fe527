"""A tree is what a YAML text says, before anybody asks what it means: scalars, lists and maps, each with its place.

A scalar stays the text that was written; whether `010` or `no` is a number, a word or a mistake is for the schema to
say. The parser's events are taken one by one, so that a file meant to exhaust memory (aliases of aliases, a
thousand brackets) is refused when it crosses a limit, not after its tree has been built. Tags are refused: no file
names a Python object.
"""

from __future__ import annotations

import codecs
import functools
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import yaml
from yaml.reader import Reader as YamlReader

from cnntrain.config.problems import Problems
from cnntrain.config.syntax import mistake
from cnntrain.core.errors import Mark, UsageError
from cnntrain.core.regular_file import open_regular

MAX_BYTES = 256 * 1024
MAX_NODES = 20_000  # values and keys, with every alias counted as often as it is used
MAX_DEPTH = 50

SET = "--set"  # the "file" in which overrides are written
RESOLVED = "config.resolved.yaml"  # the file in which a run keeps its config with every default filled in

_LINE_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")  # what YAML counts as one
_UNPRINTABLE = YamlReader.NON_PRINTABLE
_SECTIONS = b"name seed data model init loss optimizer schedule train checkpoint".split()  # which every dump has


@dataclass(frozen=True)
class Caps:
    """How much is read of a config: bytes of text, values and keys, levels of nesting."""

    bytes: int
    nodes: int
    depth: int

    @property
    def too_large(self) -> str:
        """What is said of a text of more bytes."""
        most = self.bytes // 1024
        return f"larger than {most} KiB, the most that is read of a YAML file; check that it is the right one"


TYPED = Caps(MAX_BYTES, MAX_NODES, MAX_DEPTH)
COMPLETE = Caps(15 * MAX_BYTES, 15 * MAX_NODES, MAX_DEPTH + 10)  # with the defaults that the program has filled in


@dataclass(frozen=True)
class Scalar:
    """A single value as it was written; `plain` where it stood without quotes."""

    where: Mark
    text: str
    plain: bool = True


@dataclass(frozen=True)
class List:
    """Values in order."""

    where: Mark
    items: tuple[Node, ...]


@dataclass(frozen=True)
class Entry:
    """A key of a map and what it stands for."""

    key: Scalar
    value: Node


@dataclass(frozen=True)
class Map:
    """Values by key, in the order written.

    reached    made by the path of an override, where the config says nothing: the defaults hold around what was set
    """

    where: Mark
    entries: Mapping[str, Entry] = field(default_factory=dict)
    reached: bool = False

    def get(self, key: str) -> Node | None:
        """The value of a key, or None."""
        return self.entries[key].value if key in self.entries else None


@dataclass(frozen=True)
class Broken:
    """Stands in for a value, after what is wrong with it has been reported."""

    where: Mark


Node = Scalar | List | Map | Broken


@dataclass(frozen=True)
class Source:
    """A text to be read: a file, or the `number`-th override of the command line, whose YAML begins after `skip`."""

    file: str
    text: str
    number: int = 0
    skip: int = 0
    caps: Caps = TYPED

    @property
    def yaml(self) -> str:
        """The text to parse, at the columns where it stands."""
        return " " * self.skip + self.text[self.skip :]

    @functools.cached_property
    def lines(self) -> list[str]:
        """The text cut as YAML cuts it, and fit to be printed."""
        return _LINE_BREAK.split(_UNPRINTABLE.sub("\ufffd", self.text))

    def mark(self, line: int, column: int) -> Mark:
        """The place at a line and column, both from 0."""
        text = self.lines[line] if line < len(self.lines) else ""
        return Mark(self.file, self.number or line + 1, column + 1, text)

    def mark_at(self, index: int) -> Mark:
        """The place of a character, by its index in the text."""
        before = _LINE_BREAK.split(self.text[:index])
        return self.mark(len(before) - 1, len(before[-1]))


class UnreadableError(Exception):
    """A file cannot be read; the message names it, says why, and where it was looked for."""


def read_source(path: str) -> Source:
    """The text of a config file, which may be longer where it has every section, as those that the program writes.

    Raises UnreadableError, StorageError, or ConfigError where it is no such text.
    """

    def fail(reason: str) -> UnreadableError:
        return UnreadableError(f"{path} {reason} (looked for {os.path.abspath(path)})")

    with open_regular(Path(path), fail) as file:
        data = file.read(COMPLETE.bytes + 1)
    complete = all(re.search(rb"^%s:" % section, data, re.MULTILINE) for section in _SECTIONS)
    return source_of(path, data, COMPLETE if complete else TYPED)


def source_of(path: str, data: bytes, caps: Caps) -> Source:
    """The bytes of a file as a text. Raises ConfigError where they are none, or too many."""
    if len(data) > caps.bytes:
        Problems().fail(Mark(path, 1, 1), caps.too_large)
    data = data.removeprefix(codecs.BOM_UTF8)
    source = Source(path, data.decode("utf-8", errors="replace"), caps=caps)
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        where = source.mark_at(len(data[: error.start].decode("utf-8")))
        Problems().fail(where, f"not UTF-8 text (byte 0x{data[error.start]:02x}); save the file as UTF-8")
    return source


def read_named(path: str, what: str) -> Source:
    """The text of a file that the user has named: `what` is "the config". Raises UsageError, else as `read_source`."""
    try:
        return read_source(path)
    except UnreadableError as error:
        raise UsageError(f"{what} {error}. Check the path") from error


def parse(source: Source, problems: Problems) -> Node | None:
    """The tree of a text within its limits; None where it is empty.

    Duplicate keys and tags are added to `problems`; where the text is not YAML, ConfigError is raised at once.
    """
    unprintable = _UNPRINTABLE.search(source.yaml)
    if unprintable:
        problems.fail(
            source.mark_at(unprintable.start()), f"a config is text; found the character U+{ord(unprintable[0]):04X}"
        )
    if (mark := source.yaml.find("\ufeff", 1)) > 0:
        problems.fail(source.mark_at(mark), "the invisible mark U+FEFF, with which another file began; remove it")
    try:
        return _Parser(source, problems).document()
    except yaml.MarkedYAMLError as error:
        _fail_syntax(source, problems, error)
    except (ValueError, OverflowError) as error:  # PyYAML's own, for "\Uffffffff"
        problems.fail(source.mark(0, 0), f"not valid YAML: {error}")


def _fail_syntax(source: Source, problems: Problems, error: yaml.MarkedYAMLError) -> NoReturn:
    line, column, message, notes = mistake(source.lines, error)
    where = source.mark(line, column)
    if "${" in where.text:
        notes.append('(within [...] and {...}, a reference needs quotes: "${vars.NAME}")')
    problems.fail(where, f"not valid YAML: {message}", *notes)


class _Parser:
    """Builds the tree from the parser's events."""

    def __init__(self, source: Source, problems: Problems) -> None:
        self.source, self.problems, self.caps = source, problems, source.caps
        self.events: Iterator[Any] = iter(yaml.parse(source.yaml, Loader=yaml.SafeLoader))
        self.anchors: dict[str, Node] = {}
        self.count = 0

    def document(self) -> Node | None:
        """The one document of the text."""
        next(self.events)  # the start of the stream
        if isinstance(next(self.events), yaml.StreamEndEvent):
            return None
        root = self.node(next(self.events), 1)
        next(self.events)  # the end of the document
        further = next(self.events)
        if not isinstance(further, yaml.StreamEndEvent):
            self.problems.fail(self.place(further), "a second document begins here; a config is one document")
        return root

    def place(self, event: Any) -> Mark:
        return self.source.mark(event.start_mark.line, event.start_mark.column)

    def node(self, event: Any, depth: int) -> Node:
        """The value that begins with this event."""
        if isinstance(event, yaml.AliasEvent):
            return self.alias(event, depth)
        where = self.place(event)
        self.take(1, depth, where)
        node: Node
        if isinstance(event, yaml.ScalarEvent):
            node = self.scalar(event, where)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = List(where, tuple(self.items(depth)))
        else:
            node = Map(where, self.entries(depth))
        if event.tag is not None:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            self.problems.add(where, f"the tag {tag[:40]!r} is not allowed in a config; remove it")
            node = Broken(where)
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        return node

    def take(self, nodes: int, depth: int, where: Mark) -> None:
        """Count nodes, and stop a file that has too many or nests too deeply."""
        self.count += nodes
        if self.count > self.caps.nodes:
            most = self.caps.nodes
            self.problems.fail(where, f"too many values: a config has at most {most}, aliases counted at each use")
        if depth > self.caps.depth:
            self.problems.fail(where, f"nested too deeply: at most {self.caps.depth} levels")

    def alias(self, event: Any, depth: int) -> Node:
        where = self.place(event)
        if event.anchor not in self.anchors:  # an anchor is known once its value is complete
            self.problems.fail(
                where,
                f"the alias '*{event.anchor}' refers to nothing complete before it; a text that begins with '*' needs "
                "quotes",
            )
        node = self.anchors[event.anchor]
        for below in levels(node):
            self.take(1, depth + below, where)
        return node

    def scalar(self, event: Any, where: Mark) -> Scalar:
        text: str = event.value
        bad = next((letter for letter in text if letter == "\0" or "\ud800" <= letter <= "\udfff"), None)
        if bad:  # written as an escape: YAML allows what neither a file name nor a terminal can hold
            self.problems.fail(where, f"a text cannot hold the character U+{ord(bad):04X}")
        return Scalar(where, text, event.implicit[0])

    def items(self, depth: int) -> Iterator[Node]:
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            yield self.node(event, depth + 1)

    def entries(self, depth: int) -> dict[str, Entry]:
        entries: dict[str, Entry] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key = self.node(event, depth + 1)
            value = self.node(next(self.events), depth + 1)
            if isinstance(key, Broken):
                continue
            if not isinstance(key, Scalar):
                self.problems.add(key.where, "a key must be a word")
            elif key.text == "<<" and key.plain:
                self.problems.add(key.where, "merge keys ('<<') are not supported; use extends or ${vars.NAME}")
            elif key.text in entries:
                first = entries[key.text].key.where
                self.problems.add(
                    key.where, f"duplicate key {key.text[:40]!r}: line {first.line} has it too; remove one of them"
                )
            else:
                entries[key.text] = Entry(key, value)
        return entries


def of_plain(value: Any, where: Mark) -> Node:
    """The tree of a JSON value, with every value at the same place. Raises ValueError where a limit is crossed."""
    count = 0

    def node(value: Any, depth: int) -> Node:
        nonlocal count
        count += 1
        if count > COMPLETE.nodes or depth > COMPLETE.depth:
            raise ValueError(f"a config has at most {COMPLETE.nodes} values, nested at most {COMPLETE.depth} deep")
        if isinstance(value, dict):
            count += len(value)  # the keys
            items = {str(key): node(item, depth + 1) for key, item in value.items()}
            return Map(where, {key: Entry(Scalar(where, key, False), item) for key, item in items.items()})
        if isinstance(value, list):
            return List(where, tuple([node(item, depth + 1) for item in value]))
        if isinstance(value, str):
            return Scalar(where, value, plain=False)
        return Scalar(where, "null" if value is None else str(value).lower())

    return node(value, 1)


def levels(node: Node, depth: int = 0) -> Iterator[int]:
    """The depth below `node` of itself and of everything in it."""
    yield depth
    if isinstance(node, List):
        for item in node.items:
            yield from levels(item, depth + 1)
    elif isinstance(node, Map):
        for entry in node.entries.values():
            yield depth + 1  # the key
            yield from levels(entry.value, depth + 1)


def scalars(node: Node) -> Iterator[Scalar]:
    """Every value that is a scalar; keys do not count."""
    if isinstance(node, Scalar):
        yield node
    elif isinstance(node, List):
        for item in node.items:
            yield from scalars(item)
    elif isinstance(node, Map):
        for entry in node.entries.values():
            yield from scalars(entry.value)
