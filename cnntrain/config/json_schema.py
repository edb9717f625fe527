"""The JSON Schema of a config file, made from the dataclasses that read it, so that an editor knows every key and part.

It judges each value as the binder does. Three things are beyond it: what a `${...}` stands for, which it accepts
anywhere; checks of one key against another ("high must be greater than low"), which it leaves to the binder, all but
"exactly one of"; and YAML's spelling: it refuses a number in quotes, which the binder accepts, and takes 2.0 for 2.
A file with `extends` may leave out anything; one with `model.blocks` may use layers of its own.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import math
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from cnntrain.config.describe import bare, options, required
from cnntrain.config.dump import plain
from cnntrain.config.fields import Declared, Duration, Kind, Pattern, Range, keys_of
from cnntrain.config.schema import Experiment, ModelConfig
from cnntrain.config.sentences import sentence
from cnntrain.core import registry
from cnntrain.core.registry import KINDS, Part

DIALECT = "https://json-schema.org/draft/2020-12/schema"
FILE = "cnntrain.schema.json"  # the name configs use

Schema = dict[str, Any]

_REFERENCE: Schema = {"type": "string", "pattern": r"\$\{"}
_NULL: Schema = {"type": "null"}
_LONGEST = 2**31 - 1  # of a duration
_LENGTHS = (r"[0-9]+(\.[0-9]+)?(ep)?", r"[0-9]+(\.0+)?st", r"0*(100(\.0+)?|[0-9]{1,2}(\.[0-9]+)?)%")
_DURATION: Schema = {
    "anyOf": [
        {"type": "number", "minimum": 0, "maximum": _LONGEST},
        {"type": "string", "pattern": rf"^\s*({'|'.join(_LENGTHS)})\s*$"},
    ]
}
_SCALARS: dict[Any, Schema] = {
    type(None): _NULL,
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": ["string", "number", "boolean"]},  # `name: 7` is a text where a text is due
    Duration: _DURATION,
}


@dataclass(frozen=True)
class _Mode:
    """What a file may leave out and add: `partial` where it extends another, `open` where it has blocks of its own."""

    partial: bool = False
    open: bool = False

    @property
    def whole(self) -> _Mode:
        """Inside lists, which replace those of an extended file rather than merge."""
        return dataclasses.replace(self, partial=False)

    def __str__(self) -> str:
        return ".partial" * self.partial + ".open" * self.open


def json_schema() -> Schema:
    """The schema of a config file, as a JSON document."""
    return _merged(_Writer().document())


def _merged(document: Schema) -> Schema:
    """The schema with equal definitions merged; those of two variants often are equal."""
    while True:
        first: dict[str, str] = {}
        same = {}
        for name, schema in document["$defs"].items():
            kept = first.setdefault(json.dumps(schema, sort_keys=True), name)
            if kept != name:
                same[_ref(name)["$ref"]] = _ref(kept)["$ref"]
        if not same:
            return document
        gone = {reference.rpartition("/")[2] for reference in same}
        rest = {name: schema for name, schema in document["$defs"].items() if name not in gone}
        document = _renamed(document | {"$defs": rest}, same)


def _renamed(value: Any, names: dict[str, str]) -> Any:
    """A document with references replaced."""
    if isinstance(value, dict):
        if "$ref" in value:
            return value | {"$ref": names.get(value["$ref"], value["$ref"])}
        return {key: _renamed(item, names) for key, item in value.items()}
    return [_renamed(item, names) for item in value] if isinstance(value, list) else value


class _Writer:
    """Writes definitions as they are referred to."""

    def __init__(self) -> None:
        self.defs: dict[str, Schema] = {}

    def document(self) -> Schema:
        """The whole schema: which of four variants holds depends on two keys."""
        extends = {"required": ["extends"]}
        defines = {"type": "object", "required": ["blocks"], "properties": {"blocks": {"type": "object"}}}
        blocks = {"required": ["model"], "properties": {"model": defines}}
        modes = (_Mode(), _Mode(open=True), _Mode(partial=True), _Mode(partial=True, open=True))
        whole, whole_open, partial, partial_open = map(self.root, modes)
        root = {
            "if": extends,
            "then": {"if": blocks, "then": partial_open, "else": partial},
            "else": {"if": blocks, "then": whole_open, "else": whole},
        }
        return {"$schema": DIALECT, "title": "A cnntrain config", "type": "object", **root, "$defs": self.defs}

    def root(self, mode: _Mode) -> Schema:
        """An experiment, with the keys that are resolved before there is one."""
        name = f"Experiment{mode}"
        schema = self.mapping(Experiment, mode)
        schema["properties"]["extends"] = {
            "description": "A config, or several, that this one changes; paths are relative to this file's folder.",
            "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
        }
        schema["properties"]["vars"] = {"description": "Values to be used elsewhere as ${vars.NAME}.", "type": "object"}
        self.defs[name] = schema
        return _ref(name)

    def mapping(self, cls: type, mode: _Mode, *others: type) -> Schema:
        """A map with the keys of these dataclasses and no others."""
        keys = {key: taken for c in (cls, *others) for key, taken in keys_of(c).items()}
        told = {key: sentence(c, field.name) for c in (cls, *others) for key, (field, _) in keys_of(c).items()}
        schema: Schema = {
            "type": "object",
            "description": _meaning(cls),
            "properties": {
                key: {"description": told[key]} | self.key(field, annotation, mode)
                for key, (field, annotation) in keys.items()
            },
            "additionalProperties": False,
        }
        if cls is ModelConfig:
            schema["properties"]["blocks"] = self.blocks(mode)
        alternatives: tuple[str, ...] = getattr(cls, "exactly_one", ())
        if not mode.partial:
            schema["required"] = [key for key, (field, _) in keys.items() if required(field)]
        if alternatives and not mode.partial:
            schema["oneOf"] = [{"required": [key], "properties": {key: {"not": _NULL}}} for key in alternatives]
        return schema

    def key(self, field: dataclasses.Field[Any], annotation: Any, mode: _Mode) -> Schema:
        """The schema of a key, with its default."""
        schema = self.value(annotation, mode)
        if field.default_factory is not dataclasses.MISSING:
            return schema | {"default": plain(field.default_factory())}
        return schema if field.default is dataclasses.MISSING else schema | {"default": plain(field.default)}

    def blocks(self, mode: _Mode) -> Schema:
        """Custom layers, by name."""
        inside = dataclasses.replace(mode, partial=False, open=True)
        block = {
            "type": "object",
            "properties": {
                "parameters": {
                    "description": "Its parameters with their defaults; null: to be given wherever it is used.",
                    "type": "object",
                },
                "layers": {"description": "Its layers, in which ${NAME} stands for a parameter."} | self.layers(inside),
            },
            "required": ["layers"],
            "additionalProperties": False,
        }
        return {
            "description": "Lists of layers with a name and parameters, to be used like layers.",
            "type": "object",
            "additionalProperties": {"anyOf": [block, _NULL]},
        }

    def layers(self, mode: _Mode) -> Schema:
        """A list of layers."""
        return self.value(keys_of(ModelConfig)["layers"][1], mode)

    def value(self, annotation: Any, mode: _Mode) -> Schema:
        """The schema of an annotation."""
        members = [self.member(*bare(member), mode) for member in options(annotation)]
        return {"anyOf": [*members, _REFERENCE]}

    def member(self, base: Any, marks: tuple[Any, ...], mode: _Mode) -> Schema:
        """The schema of one member of a union."""
        kind = next((mark for mark in marks if isinstance(mark, Kind)), None)
        if kind:
            return self.parts(kind, base is Declared, mode)
        if typing.get_origin(base) is Literal:
            return {"enum": list(typing.get_args(base))}
        if typing.get_origin(base) is tuple:
            return self.items(typing.get_args(base), mode.whole)
        if base in _SCALARS:
            return dict(_bounded(base, marks))
        name = f"{base.__name__}{mode}"
        self.define(name, base, mode)
        return _ref(name)

    def items(self, wanted: tuple[Any, ...], mode: _Mode) -> Schema:
        """A list."""
        if wanted[1:] == (Ellipsis,):
            return {"type": "array", "items": self.value(wanted[0], mode)}
        count = len(wanted)
        items = [self.value(item, mode) for item in wanted]
        return {"type": "array", "prefixItems": items, "minItems": count, "maxItems": count}

    def define(self, name: str, cls: type, mode: _Mode, *others: type) -> None:
        """Make sure that there is a definition: the first reference to a name writes it."""
        if name not in self.defs:
            self.defs[name] = {}
            self.defs[name] = self.mapping(cls, mode, *others)

    def parts(self, kind: Kind, declared: bool, mode: _Mode) -> Schema:
        """A part of a kind, by its bare name or as a map with `type`."""
        name = f"{'entry' if declared else '-'.join(kind.names)}{mode}"
        if name not in self.defs:
            self.defs[name] = {}
            self.defs[name] = self.choice(kind, declared, mode)
        return _ref(name)

    def choice(self, kind: Kind, declared: bool, mode: _Mode) -> Schema:
        """The definition of `parts`: `type` says which keys there are."""
        known = {name: cls for folder in kind.names for name, cls in sorted(registry.parts(folder).items())}
        bare_names = [name for name, cls in known.items() if mode.partial or not _needed(cls)]
        cases = [
            {
                "if": {"required": ["type"], "properties": {"type": {"const": name}}},
                "then": self.part(cls, declared, mode),
            }
            for name, cls in known.items()
        ]
        noun = f"a {KINDS[kind.names[0]]}"
        named: Schema = {"enum": list(known), "description": f"Which {noun.removeprefix('a ')} it is."}
        text: Schema = {"enum": bare_names}
        if declared and mode.open:
            own = {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$", "not": {"enum": list(known)}}
            named, text = {"anyOf": [named, own]}, {"anyOf": [text, own]}
        mapping: Schema = {"type": "object", "properties": {"type": named}, "allOf": cases}
        if not mode.partial:
            mapping["required"] = ["type"]
        return {"anyOf": [text, mapping]}

    def part(self, cls: type[Part], declared: bool, mode: _Mode) -> Schema:
        """A map of one part."""
        others = (cls.options,) if declared and cls.options else ()
        name = f"{cls.kind}.{cls.name_in_config}{'.entry' if declared else ''}{mode}"
        if name not in self.defs:
            self.defs[name] = {}
            schema = self.mapping(cls, mode, *others)
            schema["properties"] = {"type": {"const": cls.name_in_config}, **schema["properties"]}
            self.defs[name] = schema
        return _ref(name)


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _needed(cls: type) -> list[str]:
    """The required keys of a part."""
    return [key for key, (field, _) in keys_of(cls).items() if required(field)]


def _bounded(base: Any, marks: tuple[Any, ...]) -> Iterator[tuple[str, Any]]:
    """A scalar's schema, with its bounds."""
    pattern = next((mark for mark in marks if isinstance(mark, Pattern)), None)
    if pattern:  # all patterns so far admit any number that is not negative
        text = {"type": "string", "pattern": f"^(?:{pattern.expression})$", "description": pattern.words}
        yield "anyOf", [text, {"type": "number", "minimum": 0}, {"type": "boolean"}]
        return
    yield from _SCALARS[base].items()
    for mark in marks:
        if isinstance(mark, Range) and base in (int, float):
            if mark.low != -math.inf:
                yield "exclusiveMinimum" if mark.open_low else "minimum", mark.low
            if mark.high != math.inf:
                yield "exclusiveMaximum" if mark.open_high else "maximum", mark.high


def _meaning(cls: type) -> str:
    """The first sentence of a docstring."""
    return " ".join((inspect.getdoc(cls) or "").split("\n\n")[0].split())
