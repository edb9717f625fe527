"""A manifest lists the files of a data set as they were, so that a later run notices in milliseconds what changed.

Size and time of change say which files to look at; where a digest is known, the digest decides. `check` keeps one with
digests below `runs`; a run keeps its own.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from cnntrain.config.schema import Experiment
from cnntrain.core import files, strict_json
from cnntrain.core.errors import StorageError
from cnntrain.core.strict_json import encode
from cnntrain.parts.datasets.base import Dataset
from cnntrain.reading.input_files import opened, reading
from cnntrain.rundir.directory import RUNS

FOLDER = RUNS / ".manifests"
_FORMAT = 1
_PIECE = 2**20


@dataclass(frozen=True)
class FileFacts:
    """One file: bytes, time of change in nanoseconds, and the SHA-256 in hex where it has been read."""

    size: int
    changed: int
    sha256: str | None = None


@dataclass(frozen=True)
class Manifest:
    """The files of a data set by their `normal` path, and when that was, in UTC."""

    files: Mapping[str, FileFacts]
    made: str = field(default_factory=lambda: time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()))

    def document(self) -> dict[str, Any]:
        """The manifest as JSON holds it."""
        rows = {path: [facts.size, facts.changed, facts.sha256] for path, facts in self.files.items()}
        return {"format": _FORMAT, "made": self.made, "files": rows}


def sources(experiment: Experiment) -> list[Dataset]:
    """Every source of the experiment that reads files, including that of the validation samples."""
    chosen = [experiment.data.source, experiment.data.val]
    return [origin for source in chosen if isinstance(source, Dataset) for origin in source.origins()]


def of(experiment: Experiment, known: Manifest | None = None) -> Manifest:
    """Every file of every split as it is now, none of them read; digests come from `known` for those that look the
    same.

    Raises DataError where a source finds files wanting.
    """
    found = normal(path for source in sources(experiment) for split in source.splits() for path in source.files(split))
    rows = {}
    for path in dict.fromkeys(found):
        facts = _facts(path)
        before = known.files.get(path) if known else None
        same = before is not None and (before.size, before.changed) == (facts.size, facts.changed)
        rows[path] = before if before is not None and same else facts
    return Manifest(rows)


def changes(before: Manifest, now: Manifest) -> list[str]:
    """What is not as it was, for people: "2 changed, first: ..."; empty where nothing changed."""
    found = {
        "changed": [path for path in before.files if path in now.files and _differs(path, before, now)],
        "missing": [path for path in before.files if path not in now.files],
        "new": sorted(now.files.keys() - before.files.keys()),
    }
    return [f"{len(which):,} {what}, first: {which[0]}" for what, which in found.items() if which]


def warnings(before: Manifest, now: Manifest, since: str, advice: str) -> list[str]:
    """What to say, as one line, where files are not as they were since what made the first manifest; else nothing."""
    changed = changes(before, now)
    return [f"the data has changed since {since} ({before.made}): {'; '.join(changed)}. {advice}"] if changed else []


def _differs(path: str, before: Manifest, now: Manifest) -> bool:
    """Whether a file has changed; one that was only touched is read again, where its digest was known."""
    then, facts = before.files[path], now.files[path]
    if (then.size, then.changed) == (facts.size, facts.changed):
        return False
    return then.size != facts.size or then.sha256 is None or digest(Path(path)) != then.sha256


def _facts(path: str) -> FileFacts:
    try:
        status = os.stat(path)
    except OSError:
        with reading(Path(path)):
            raise
    return FileFacts(status.st_size, status.st_mtime_ns)


def facts_with_digest(path: Path) -> FileFacts:
    """A file with its digest; the facts are those from before it was read."""
    facts = _facts(str(path))
    return FileFacts(facts.size, facts.changed, digest(path))


def digest(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    sha = hashlib.sha256()
    with reading(path), opened(path) as file:
        while piece := file.read(_PIECE):
            sha.update(piece)
    return sha.hexdigest()


def normal(paths: Iterable[str | os.PathLike[str]]) -> list[str]:
    """Paths in the one form in which files are compared: absolute, without "..", the links of their folders resolved.

    The last name stays, so that a file is known by the name under which it is listed.
    """
    real: dict[str, str] = {}
    found = []
    for path in paths:
        folder, name = os.path.split(os.fspath(path))
        if name in ("", ".", ".."):
            folder, name = os.fspath(path), ""
        if folder not in real:
            real[folder] = os.path.realpath(folder)
        found.append(os.path.join(real[folder], name) if name else real[folder])
    return found


def place(experiment: Experiment) -> Path:
    """Where `check` keeps the manifest of this data, whatever the rest of the config says."""
    places = [
        (source, str(getattr(source, "root", None) or getattr(source, "path", ""))) for source in sources(experiment)
    ]
    roots = [
        [source.name_in_config, *normal([os.path.join(path, "") if os.path.isdir(path) else path])]
        for source, path in places
    ]
    return FOLDER / f"{hashlib.sha256(encode(roots).encode()).hexdigest()[:16]}.json"


def keep(manifest: Manifest, path: Path) -> None:
    """Write a manifest. Raises StorageError."""
    files.make_directory(path.parent)
    files.write_atomic(path, (encode(manifest.document()) + "\n").encode())


def read(path: Path) -> Manifest | None:
    """A manifest that was kept, or None: without one there is nothing to compare with, and `check` makes it anew."""
    try:
        document = strict_json.decode(files.read_own(path).decode())
        if document["format"] != _FORMAT:
            return None
        rows = cast(dict[str, list[Any]], document["files"])
        found = zip(normal(rows), rows.values(), strict=True)  # older ones have other forms of a path
        return Manifest({name: FileFacts(*row) for name, row in found}, str(document["made"]))
    except (StorageError, OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
