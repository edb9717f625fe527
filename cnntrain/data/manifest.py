"""A manifest lists the files of a data set as they were, so that a later run notices in milliseconds what changed.

Size and modification time say which files to look at; where a digest is known, the digest decides. `check` keeps one
with digests below `runs`. A run has two files: manifest.json says when it was made and the digest of the list,
files.json is the list. Runs on the same files share one list on disk: it is kept below `runs` under its digest, and
files.json is a hard link to it, so that a run that is copied elsewhere takes its list along.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from json.encoder import encode_basestring_ascii as quote
from pathlib import Path
from typing import Any, NamedTuple, cast

from cnntrain.config.dump import plain
from cnntrain.config.schema import Experiment
from cnntrain.core import files, strict_json
from cnntrain.core.directories import make_directory
from cnntrain.core.errors import StorageError
from cnntrain.core.regular_file import read_own
from cnntrain.core.strict_json import encode
from cnntrain.parts.datasets.base import Dataset
from cnntrain.reading.attended import attended
from cnntrain.reading.input_files import opened, reading
from cnntrain.rundir.directory import RUNS, RunDirectory

FOLDER = RUNS / ".manifests"
FILE = "manifest.json"  # in a run directory
LIST = "files.json"  # beside it
_FORMAT = 1
_REFERENCE = 2  # the format of a manifest.json whose files stand in a list of their own
_PIECE = 2**16  # bytes read at a time: room for more would be mapped into memory anew for each of many small files


class FileFacts(NamedTuple):
    """One file: bytes, modification time in nanoseconds, and the SHA-256 in hex where it has been read."""

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
        return {"format": _FORMAT, "made": self.made, "files": self.files}

    @functools.cached_property
    def listed(self) -> bytes:
        """The files alone, as a list of their own holds them: the same bytes for the same files."""
        rows = ",".join([f"{quote(path)}:{_row(*facts)}" for path, facts in self.files.items()])
        return f'{{"format":{_FORMAT},"files":{{{rows}}}}}\n'.encode()

    @functools.cached_property
    def digest(self) -> str:
        """The SHA-256 of the list, in hex."""
        return hashlib.sha256(self.listed).hexdigest()


def _row(size: int, changed: int, sha256: str | None = None) -> str:
    return f"[{size},{changed},null]" if sha256 is None else f'[{size},{changed},"{sha256}"]'


def sources(experiment: Experiment) -> list[Dataset]:
    """Every source of the experiment that reads files, including that of the validation samples."""
    chosen = [experiment.data.source, experiment.data.val]
    return [origin for source in chosen if isinstance(source, Dataset) for origin in source.origins()]


def splits_read(experiment: Experiment) -> Iterator[tuple[str, Dataset, str]]:
    """The split of the experiment, the source and the split of the source of all that is read, also by `eval`.

    Of a source of validation samples that is only those, in place of the other source's.
    """
    source, val = cast(Dataset, experiment.data.source), experiment.data.val
    for origin in source.origins():
        for split in origin.splits():
            if not (split == "val" and isinstance(val, Dataset)):
                yield split, origin, split
    if isinstance(val, Dataset):
        for origin, inner in val.behind("val" if "val" in val.splits() else "train"):
            yield "val", origin, inner


def of(experiment: Experiment, known: Manifest | None = None) -> Manifest:
    """Every file that the experiment may read as it is now, none of them read yet; digests come from `known` for those
    that look the same.

    Raises DataError where a source finds fault with its files.
    """
    return attended(lambda: _listed(experiment, known))


class Listings:
    """The files of many experiments as they are now: those on the same data are listed once."""

    def __init__(self) -> None:
        self._known: dict[Path, Manifest] = {}

    def of(self, experiment: Experiment) -> Manifest:
        """Every file that the experiment may read. Raises DataError where a source finds fault with its files."""
        where = place(experiment)
        if where not in self._known:
            self._known[where] = of(experiment)
        return self._known[where]


def _listed(experiment: Experiment, known: Manifest | None) -> Manifest:
    rows: dict[str, FileFacts] = {}
    for _, source, split in splits_read(experiment):
        for path in normal(source.files(split)):
            if path not in rows and not (source.skips_unreadable and not os.path.exists(path)):
                rows[path] = _facts(path)
    for path, before in known.files.items() if known else ():
        if before[:2] == rows.get(path, ())[:2]:
            rows[path] = before
    return Manifest(rows)


def changes(before: Manifest, now: Manifest) -> list[str]:
    """What is not as it was, for people: "2 changed, first: ..."; empty where nothing changed."""
    found = {
        "changed": [path for path in before.files if path in now.files and _differs(path, before, now)],
        "missing": [path for path in before.files if path not in now.files and not os.path.lexists(path)],
        "new": sorted(now.files.keys() - before.files.keys()),
    }
    return [f"{len(which):,} {what}, first: {which[0]}" for what, which in found.items() if which]


def warnings(before: Manifest, now: Manifest, since: str, advice: str) -> list[str]:
    """One line where files have changed since the first manifest, which was made by `since`; else nothing."""
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
    real: dict[str, str] = {}  # folder, and the slash at its end -> the same without links
    found = []
    for given in paths:
        path = os.fspath(given)
        cut = path.rfind("/") + 1
        folder, name = path[:cut], path[cut:]
        if name in ("", ".", ".."):
            found.append(os.path.realpath(path))
            continue
        if folder not in real:
            real[folder] = os.path.join(os.path.realpath(folder), "")
        found.append(real[folder] + name)
    return found


def place(experiment: Experiment) -> Path:
    """Where `check` keeps the manifest of this data, whatever the rest of the config says."""
    roots = [[source.name_in_config, *_whereabouts(source)] for source in sources(experiment)]
    return FOLDER / f"{hashlib.sha256(encode(roots).encode()).hexdigest()[:16]}.json"


def _whereabouts(source: Dataset) -> Iterator[Any]:
    """What says where a source's files lie: all of its settings if it does not tell which."""
    for value in (source.whereabouts() or plain(source)).values():
        if isinstance(value, str):
            yield normal([os.path.join(value, "") if os.path.isdir(value) else value])[0]
        elif value is not None:
            yield plain(value)


def keep(manifest: Manifest, path: Path) -> None:
    """Write a manifest. Raises StorageError."""
    make_directory(path.parent)
    files.write_atomic(path, (encode(manifest.document()) + "\n").encode())


def share(manifest: Manifest, run: RunDirectory) -> None:
    """Give a run directory the list of its files, for all runs together if long, and a manifest.json that refers to it.

    Where there are no hard links the run has a copy. Lists that no run uses any more are removed. Raises StorageError.
    """
    keep_once(run, LIST, manifest.listed)
    facts = {"made": manifest.made, "files": len(manifest.files), "sha256": manifest.digest}
    run.write_json(FILE, {"format": _REFERENCE, **facts})


def keep_once(run: RunDirectory, name: str, data: bytes) -> None:
    """Give a run directory a file that other runs on the same data have as well, for all of them together if large.

    It is kept below `runs` under its digest; those that no run uses any more are removed. Raises StorageError.
    """
    stem = Path(name).stem
    run.write_shared(name, FOLDER / f"{stem}-{hashlib.sha256(data).hexdigest()}.json", data)
    files.remove_unshared(FOLDER, f"{stem}-*.json")


def read(path: Path) -> Manifest | None:
    """A manifest that was kept, or None: without one there is nothing to compare with, and `check` makes it anew."""
    try:
        document = strict_json.decode(read_own(path).decode(), names=True)
        if document["format"] == _REFERENCE:
            document |= strict_json.decode(_list_of(path, document["sha256"]).decode(), names=True)
        if document["format"] != _FORMAT:
            return None
        rows = cast(dict[str, list[Any]], document["files"])
        found = zip(normal(rows), rows.values(), strict=True)  # older ones have other forms of a path
        return Manifest({name: FileFacts(*row) for name, row in found}, str(document["made"]))
    except (StorageError, OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def is_of(path: Path, now: Manifest) -> bool:
    """Whether a run's manifest.json refers to exactly this list, which need not be read then."""
    reference = _reference(path)
    return reference is not None and reference.get("sha256") == now.digest


def missing(path: Path) -> str | None:
    """What to say where a run's manifest.json is there and the list that it refers to is not; None where both are."""
    reference = _reference(path)
    if reference is None:
        return None
    digest = str(reference.get("sha256"))[:64]
    try:
        _list_of(path, digest)
    except StorageError:
        return (
            f"{path.with_name(LIST)} is not the list of files that this run was started with (SHA-256 {digest!a}), and "
            f"{FOLDER} has no copy: whether the data files have changed cannot be told. Restore it from a copy"
        )
    return None


def _reference(path: Path) -> dict[str, Any] | None:
    """A manifest.json whose files stand in a list of their own; None for any other, or none."""
    try:
        document = strict_json.decode(read_own(path).decode())
    except (StorageError, ValueError):
        return None
    return document if isinstance(document, dict) and document.get("format") == _REFERENCE else None


def _list_of(path: Path, digest: str) -> bytes:
    """The list that a run's manifest.json refers to: the run's own, else the one kept below `runs`.

    Raises StorageError where neither is there with this digest.
    """
    if not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise StorageError(f"{path} is damaged: its sha256 is not one. Restore it from a copy")
    for place in (path.with_name(LIST), FOLDER / f"files-{digest}.json"):
        with contextlib.suppress(StorageError):
            data = read_own(place)
            if hashlib.sha256(data).hexdigest() == digest:
                return data
    raise StorageError(f"{path}: no list with the digest {digest}")
