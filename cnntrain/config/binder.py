"""The binder turns a tree into the dataclasses of the schema; the annotation of a field decides what a text means.

Every value is read, whatever was wrong before it, and every problem is noted at the place of the value it concerns.
What cannot be read becomes INVALID, and whatever would contain it is not built.
"""

from __future__ import annotations

import dataclasses
import math
import shlex
import typing
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from cnntrain.config import foreign, scalars, whereabouts
from cnntrain.config.choice import SCALARS, choose, fits, is_choice, parts_at
from cnntrain.config.describe import bare, describe, describe_bounded, options, part_words, required
from cnntrain.config.fields import Declared, Duration, Kind, Pattern, Range, keys_of
from cnntrain.config.hints import all_keys, common_key, hint_for, joined, meant_part, odd_space, own_layer
from cnntrain.config.problems import Problems
from cnntrain.config.schema import usual_loss
from cnntrain.config.tree import SET, Broken, Entry, List, Map, Node, Scalar, of_plain
from cnntrain.core import registry
from cnntrain.core.errors import Mark
from cnntrain.core.registry import Part

INVALID: Final[Any] = object()
_MAX_DIGITS = 40  # of an integer: more is a slip, and costs Python quadratic time


@dataclass(frozen=True)
class Place:
    """Where in the config a value is: its dotted path, and the short name messages give it."""

    path: str = ""
    name: str = ""

    def key(self, key: str) -> Place:
        """The place of a key of this map."""
        return Place(f"{self.path}.{key}" if self.path else key, key)

    def item(self, index: int) -> Place:
        """The place of an item of this list."""
        return Place(f"{self.path}.{index}", f"{self.name}[{index}]")


def bound(value: Any, annotation: Any, where: Mark) -> Any:
    """A value as JSON holds it, read as that of a config would be. Raises ConfigError at `where`."""
    problems = Problems()
    read = Binder(problems).read(of_plain(value, where), annotation, Place())
    problems.check()
    return read


class Binder:
    """Binds one tree; `marks` remembers where each value was written, by dotted path."""

    def __init__(self, problems: Problems) -> None:
        self.problems = problems
        self.marks: dict[str, Mark] = {}

    def read(self, node: Node, annotation: Any, at: Place) -> Any:
        """The value of a node as its annotation wants it, or INVALID after reporting why not."""
        self.marks[at.path] = self.mark(node)
        if isinstance(node, Broken):
            return INVALID
        member = choose(node, options(annotation))
        if member is None:
            return self.unexpected(node, annotation, at)
        base, marks = bare(member)
        value = self.member(node, base, marks, at)
        for mark in marks:
            bounds = (isinstance(mark, Range) and base in (int, float)) or isinstance(mark, Pattern)
            if bounds and value is not INVALID and (problem := mark.problem(value)):
                self.problems.add(node.where, f"{at.name} {problem}")
                return INVALID
        return value

    def mark(self, node: Node) -> Mark:
        """Where a value was written, and which part of it the command line gave."""
        override = _override(node) if node.where.file != SET else None
        return dataclasses.replace(node.where, override=override) if override else node.where

    def member(self, node: Node, base: Any, marks: tuple[Any, ...], at: Place) -> Any:
        """The value of a node as the one member of a union that its kind of node fits."""
        if isinstance(node, Scalar) and (base in SCALARS or typing.get_origin(base) is Literal):
            return self.scalar(node, base, at)
        if isinstance(node, List):
            return self.items(node, base, at)
        if base is Map:
            return node
        kind = next((mark for mark in marks if isinstance(mark, Kind)), None)
        if kind:
            return self.part(node, kind, base is Declared, at)
        if not isinstance(node, Map):
            return self.unexpected(node, base, at)
        values = self.fields(node, (base,), at.name, at)
        return INVALID if values is None else self.build(base, values[0], node, at.name, at)

    def unexpected(self, node: Node, annotation: Any, at: Place) -> Any:
        """Report that a value of this sort cannot stand here."""
        hint = hint_for(node, options(annotation))
        close = joined(node.text) if isinstance(node, Scalar) else None
        if close and not hint:
            hint = f"; {close.advice}"
        label = f"{at.name}: " if at.name else ""
        self.problems.add(node.where, f"{label}expected {describe(annotation)}, got {scalars.found(node)}{hint}")
        return INVALID

    def scalar(self, node: Scalar, base: Any, at: Place) -> Any:
        """A single value: a number, a text, a choice."""
        text = node.text
        if base is Duration:
            return self.duration(node, at)
        if not fits(node, base):
            return self.unexpected(node, base, at)
        if base is int and len(text) > _MAX_DIGITS:
            self.problems.add(node.where, f"{at.name} is a number of {len(text)} digits; nothing here is that large")
            return INVALID
        if base is float and not math.isfinite(float(text)):
            self.problems.add(node.where, f"{at.name} must be finite, got {scalars.found(node)}")
            return INVALID
        if typing.get_origin(base) is Literal:
            return next(choice for choice in typing.get_args(base) if is_choice(node, choice))
        return SCALARS[base](text)

    def duration(self, node: Scalar, at: Place) -> Any:
        """A length of training."""
        try:
            return Duration.parse(node.text)
        except ValueError as error:
            self.problems.add(node.where, f"{at.name}: {error}")
            return INVALID

    def items(self, node: List, base: Any, at: Place) -> Any:
        """A list, as the tuple of its values."""
        wanted = typing.get_args(base)
        if wanted[1:] == (Ellipsis,):
            wanted = wanted[:1] * len(node.items)
        if len(wanted) != len(node.items):
            return self.unexpected(node, base, at)
        pairs = enumerate(zip(node.items, wanted, strict=True))
        values = tuple([self.read(item, annotation, at.item(index)) for index, (item, annotation) in pairs])
        return INVALID if INVALID in values else values

    # Parts

    def part(self, node: Node, kind: Kind, declared: bool, at: Place) -> Any:
        """A part, written as its bare name or as a map with `type`; in a list of layers, with its place's keys."""
        name = node.get("type") if isinstance(node, Map) else node
        if name is None:
            return self.untyped(node, kind, at)
        self.marks[f"{at.path}.type"] = name.where
        cls = self.part_class(name, kind, at)
        if cls is INVALID:
            self.of_unknown_type(node, name, kind, declared, at)
            return INVALID
        if isinstance(node, Map) and self.retyped(node, name, cls, declared, at):
            return INVALID
        classes = (cls, cls.options) if declared and cls.options else (cls,)
        values = self.fields(_without_type(node), classes, cls.name_in_config, at)
        if values is None:
            return INVALID
        built = [self.build(c, v, node, cls.name_in_config, at) for c, v in zip(classes, values, strict=True)]
        if INVALID in built:
            return INVALID
        return Declared(built[0], built[1] if len(built) > 1 else None, self.mark(node)) if declared else built[0]

    def of_unknown_type(self, node: Node, name: Node, kind: Kind, declared: bool, at: Place) -> None:
        """Check the keys beside an unknown type, if it can be guessed which was meant."""
        meant = meant_part(name, kind)
        if meant is None or not isinstance(node, Map):
            return
        classes: tuple[type, ...] = (meant, meant.options) if declared and meant.options else (meant,)
        self.fields(_without_type(node), classes, meant.name_in_config, at)

    def retyped(self, node: Map, name: Node, cls: type[Part], declared: bool, at: Place) -> bool:
        """Report an override of the type alone that leaves keys of the old type; return whether it is one."""
        classes: tuple[type, ...] = (cls, cls.options) if declared and cls.options else (cls,)
        known = {key for part in classes for key in keys_of(part)} | {"type"}
        left = [
            key
            for key, entry in node.entries.items()
            if key not in known
            and (entry.key.where.file, entry.key.where.line) != (name.where.file, name.where.line)
            and name.where.file != node.where.file
        ]
        if not left:
            return False
        owner = cls.name_in_config
        needed = [key for part in classes for key, (field, _) in keys_of(part).items() if required(field)]
        whole = f"{{type: {owner}, {', '.join(f'{key}: ...' for key in needed)}}}" if needed else owner
        how = f"--set {shlex.quote(f'{at.path}={whole}')}" if name.where.file == SET else f"{at.path}: {whole}"
        keys = ", ".join(map(repr, left[:5]))
        self.problems.add(
            name.where, f"{owner} has no {keys}, which would be left over from another type; replace it whole: {how}"
        )
        return True

    def part_class(self, name: Node, kind: Kind, at: Place) -> Any:
        """The class of a part by the name as written, or INVALID after reporting that there is none."""
        if not isinstance(name, Scalar) or scalars.is_null(name):
            noun, plural = part_words(kind)
            if not isinstance(name, Broken):
                message = f"{at.name}: expected the name of {noun}, got {scalars.found(name)}"
                self.problems.add(name.where, f"{message}; `cnntrain list {kind.names[0]}` shows all {plural}")
            return INVALID
        if found := registry.find(name.text, *kind.names):
            return found
        known = parts_at(kind)
        for folder in kind.names:
            if name.text in registry.unusable(folder):
                why = registry.unusable(folder)[name.text]
                self.problems.add(name.where, f"the {registry.KINDS[folder]} {name.text!r} {why}")
                return INVALID
        ours = next((ours for k in kind.names if (ours := foreign.type_name(k, name.text, known))), None)
        noun, key = registry.KINDS[kind.names[0]], common_key(name.text, known)
        hint = f": cnntrain calls it {ours!r}" if ours else registry.did_you_mean(name.text[:40], known)
        if key:
            hint = f": it is a key of every {noun}, to be written beside its type as '{key}: ...'"
        close = joined(name.text)
        if close and close.key in all_keys([*known.values()]):
            hint = f"; {close.advice}"
        self.problems.add(name.where, f"unknown {noun} {scalars.found(name)}{hint}")
        return INVALID

    def untyped(self, node: Node, kind: Kind, at: Place) -> Any:
        """Report a map that should name its part and does not."""
        noun, plural = part_words(kind)
        known = parts_at(kind)
        keys = typing.cast(Map, node).entries
        nested = next((key for key in keys if key in known), None)
        misspelt = registry.nearest("type", [key[:40] for key in keys])
        close = next((found for key in keys if (found := joined(key)) and found.key == "type"), None)
        if close:
            hint = close.advice
        elif misspelt:
            hint = f"did you mean 'type' by {misspelt!r}?"
        elif nested:
            hint = f"write {{type: {nested}, ...}} instead of {{{nested}: ...}}"
        else:
            hint = f"give it a 'type' (`cnntrain list {kind.names[0]}` shows all {plural})"
        self.problems.add(node.where, f"{at.name}: a mapping without 'type' is not {noun}; {hint}")
        return INVALID

    # Dataclasses

    def fields(self, node: Map, classes: Sequence[type], owner: str, at: Place) -> list[dict[str, Any]] | None:
        """The fields of each class, taken from the keys of one map, or None after reporting what is wrong with them."""
        keys = {key: taken for cls in classes for key, taken in keys_of(cls).items()}
        of_owner = f" of {owner}" if owner else ""
        before = self.problems.reported
        excused = self.unknown(node, keys, of_owner, at, classes)
        for key, (field, annotation) in keys.items():
            if required(field) and key not in node.entries and key not in excused:
                self.problems.add(node.where, f"missing key {key!r}{of_owner} ({describe_bounded(annotation)})")
        entries = {key: entry for key, entry in node.entries.items() if key in keys}
        read = {key: self.of_key(entry.value, *keys[key], node, at.key(key)) for key, entry in entries.items()}
        if self.problems.reported > before or INVALID in read.values():
            return None
        return [{field.name: read[key] for key, (field, _) in keys_of(cls).items() if key in read} for cls in classes]

    def of_key(self, node: Node, field: dataclasses.Field[Any], annotation: Any, beside: Map, at: Place) -> Any:
        """The value of one key; where an override reached into a part that the config leaves out, of the default part.

        `beside` is the map that has the key.
        """
        if isinstance(node, Map) and node.reached and "type" not in node.entries:
            usual = _usual_part(field, beside, at)
            if usual is not None:
                name = Scalar(node.where, usual)
                value = self.read(Map(node.where, {"type": Entry(name, name), **node.entries}), annotation, at)
                del self.marks[f"{at.path}.type"]  # nobody wrote it
                return value
        return self.read(node, annotation, at)

    def unknown(self, node: Map, keys: dict[str, Any], of_owner: str, at: Place, classes: Sequence[type]) -> set[str]:
        """Report unknown keys; return the keys that were probably meant, which then do not count as missing."""
        in_layers = any(_is_layer(cls) for cls in classes)
        near = [*keys, "type"] if any(issubclass(cls, Part) for cls in classes) else keys
        meant = set()
        outer, inner = _home_of_type(node, keys)
        for key, entry in node.entries.items():
            if key in keys:
                continue
            shown = scalars.quoted(key)
            ours = foreign.key_name(key, keys)
            if key in inner:
                ours, message = outer, f"unknown key {shown}{of_owner}; did you mean {at.key(outer).key(key).path!r}?"
            elif ours:
                message = f"unknown key {shown}{of_owner}: cnntrain calls it {ours!r}"
            elif odd := odd_space(key):
                ours = key.strip() if key.strip() in keys else None
                message = f"unknown key {shown}{of_owner}; {odd}"
            elif (close := joined(key)) and close.key in keys:
                ours = close.key
                message = f"unknown key {shown}{of_owner}; {close.advice}"
            elif foreign.is_inferred(key):
                message = f"unknown key {shown}{of_owner}: cnntrain infers it; leave it out"
            elif in_layers and (layer := own_layer(key, entry.value)):
                message = f"unknown key {shown}{of_owner}: it is a layer of its own, the next in the list: '- {layer}'"
            elif not in_layers and (place := whereabouts.home(key)) not in (None, at.key(key).path):
                hint = ": it stands at the top level" if place == key else f"; did you mean {place!r}?"
                message = f"unknown key {shown}{of_owner}{hint}"
            elif not in_layers and (advice := foreign.elsewhere(key)):
                message = f"unknown key {shown}{of_owner}: {advice}"
            else:
                ours = registry.nearest(key[:40], near) or foreign.nearest_key(key[:40], keys)
                hint = f"; did you mean {ours!r}?" if ours else f"; known: {', '.join(keys) or 'none'}"
                message = f"unknown key {shown}{of_owner}{hint}"
            self.problems.add(entry.key.where, message)
            meant |= {ours} if ours else set()
        return meant

    def build(self, cls: type, values: dict[str, Any], node: Node, owner: str, at: Place) -> Any:
        """Build the dataclass; what its own check refuses is reported at the key its message begins with."""
        try:
            return cls(**values)
        except ValueError as error:
            message = f"{error}{_too_many(cls, values, node, at)}"
            first = message.split(" ", 1)[0]
            value = node.get(first) if isinstance(node, Map) else None
            named = first == owner or first in keys_of(cls)
            self.problems.add(self.mark(value or node), message if named else f"{owner}: {message}")
            return INVALID


def _home_of_type(node: Map, keys: Mapping[str, Any]) -> tuple[str, Collection[str]]:
    """Where a map has the type of a part that belongs under one of its keys: that key, and those of the part."""
    name = node.get("type")
    if not isinstance(name, Scalar) or "type" in keys:
        return "", ()
    for key, (field, annotation) in keys.items():
        marks = [mark for member in options(annotation) for mark in bare(member)[1] if isinstance(mark, Kind)]
        if required(field) and key not in node.entries and marks:
            part: type | None = registry.find(name.text, *marks[0].names)
            return (key, {"type", *keys_of(part)}) if part else ("", ())
    return "", ()


def _too_many(cls: type, values: dict[str, Any], node: Node, at: Place) -> str:
    """Where the keys are written of which a class takes only one, and what takes one out; nothing for fewer."""
    given = [key for key in getattr(cls, "exactly_one", ()) if values.get(key) is not None]
    if len(given) < 2 or not isinstance(node, Map):
        return ""
    places = {key: node.entries[key].value.where for key in given}
    said = [f"{key!r} at {mark.file}" + f":{mark.line}" * bool(mark.line) for key, mark in places.items()]
    key = next((key for key, mark in places.items() if mark.file != SET), given[0])
    apart = len({mark.file for mark in places.values()}) > 1
    advice = f"{at.key(key).path}=null takes {key!r} out" if apart else "keep one of them"
    return f"; found {', '.join(said[:-1])} and {said[-1]}: {advice}"


def _without_type(node: Node) -> Map:
    """The keys of a part without its type."""
    entries = {key: entry for key, entry in node.entries.items() if key != "type"} if isinstance(node, Map) else {}
    return Map(node.where, entries)


def _usual_part(field: dataclasses.Field[Any], beside: Map, at: Place) -> str | None:
    """The name of the part that a field holds by default, if it does; `beside` has the keys written beside it."""
    if at.path == "loss":
        task = beside.get("task")
        name = task.get("type") if isinstance(task, Map) else task
        return usual_loss(registry.find(name.text, "tasks") if isinstance(name, Scalar) else None)
    default = None if field.default_factory is dataclasses.MISSING else field.default_factory()
    return default.name_in_config if isinstance(default, Part) else None


def _override(node: Node) -> Mark | None:
    """The first place where the command line changed a value of a file; None if it did not."""
    values = [entry.value for entry in node.entries.values()] if isinstance(node, Map) else ()
    for value in node.items if isinstance(node, List) else values:
        found = value.where if value.where.file == SET else _override(value)
        if found is not None:
            return found
    return None


def _is_layer(cls: type) -> bool:
    return getattr(cls, "kind", "") in ("layers", "structures")
