"""A checkpoint is all that resuming, evaluating and predicting need, in one file that cannot run code.

It is an uncompressed .npz which `np.load(path, allow_pickle=False)` opens: arrays named `param/...`, `slot/...`,
`average/...`, `metric/...` and `transform/...`, and one member `meta`, JSON as uint8. Reading trusts nothing: the zip
directory and the meta are checked against each other and against the file's size before anything is allocated, every
array against its SHA-256. A forged file can hold wrong numbers; it cannot run code or take more memory than its size
and 64 MB.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import numpy as np
import numpy.typing as npt

import cnntrain
from cnntrain.core import archive, shell, strict_json, torch_files
from cnntrain.core.archive import Bytes, DamagedError, ForeignError, Member
from cnntrain.core.arrays import Array, Shape, aligned, from_file, to_file
from cnntrain.core.counts import foremost
from cnntrain.core.errors import CheckpointError, StorageError, UsageError
from cnntrain.core.output import ANY, Output
from cnntrain.core.presence import exists, is_directory
from cnntrain.core.registry import KINDS, package_of, parts, unusable
from cnntrain.core.regular_file import DENIED, cured, open_regular
from cnntrain.rundir.environment import compare_versions

FORMAT = 1  # of the files this version writes; it reads 1 to this
MIN_READER = 1  # the oldest reader that understands those files
FOLDER = "checkpoints"  # in a run directory
LAST = "last.npz"  # in there, from which the run goes on
PREFIXES = ("param/", "slot/", "average/", "metric/", "transform/", "film/")
EXTENSION = "x/"  # arrays of later versions that this one may ignore

LARGEST_META = 4 * 2**20  # bytes
_COSTLIEST_META = 40_000_000  # bytes of memory its values take, estimated by _cost
_DTYPES: dict[str, np.dtype[Any]] = {
    "<f4": np.dtype(np.float32),
    "<f8": np.dtype(np.float64),
    "<i8": np.dtype(np.int64),
    "|u1": np.dtype(np.uint8),
}
_MOST_DIMENSIONS = 8
_WANTED = "Give a .npz file written by cnntrain, or a run directory"
_MAGIC = b"\x93NUMPY\x01\x00"
_HEADER_UNIT = 64  # NumPy pads the header so that data starts at a multiple of this

Meta = dict[str, Any]
Arrays = dict[str, Array]
UPGRADES: dict[int, Callable[[Meta, Arrays], tuple[Meta, Arrays]]] = {}  # format k -> the pure upgrade_k_to_k+1


class NewerError(ForeignError):
    """The file is a checkpoint that only a later version can read."""


@dataclass(frozen=True)
class Checkpoint:
    """What a file held. The arrays are the caller's, 64-byte aligned and writeable."""

    path: Path
    meta: Meta
    arrays: Arrays

    def require(self, **kinds: type) -> None:
        """Raise CheckpointError unless the meta has these keys, each of its type: `require(config=dict)`.

        Two underscores lead to a key within a dict: `require(position__step=int)`.
        """
        for key, kind in kinds.items():
            value: Any = self.meta
            for part in key.split("__"):
                value = value.get(part) if isinstance(value, dict) else None
            if type(value) is not kind:
                self._refuse_film()
                name = key.replace("__", ".")
                raise CheckpointError(f"{self.path} is damaged: its meta has no {name}. Restore it from a copy")

    def expect(self, declared: Mapping[str, tuple[Shape, npt.DTypeLike]], prefix: str = "") -> None:
        """Raise CheckpointError unless names, shapes and dtypes are exactly those declared; names three differences.

        With a prefix, only arrays whose names begin with it count.
        """
        mine = {name: array for name, array in self.arrays.items() if name.startswith(prefix)}
        found = {name: (array.shape, array.dtype) for name, array in mine.items()}
        wanted = {name: (tuple(shape), np.dtype(dtype)) for name, (shape, dtype) in declared.items()}
        names = [*wanted, *(name for name in found if name not in wanted)]
        differences = [
            _difference(name, found.get(name), wanted.get(name))
            for name in names
            if found.get(name) != wanted.get(name)
        ]
        if differences:
            raise CheckpointError(
                f"{self.path} is a checkpoint of another network or optimizer: {foremost(differences, '; ')}. "
                "Use the config it was trained with"
            )

    def _refuse_film(self) -> None:
        """Raise CheckpointError where this is a file of a film, which is easily mistaken for a checkpoint."""
        if any(name.startswith("film/") for name in self.arrays):
            run = self.path.parent.parent if len(self.path.parts) > 1 else _in_full(self.path).parent.parent
            raise CheckpointError(
                f"{self.path} is a file of a film, which shows a moment of training "
                f"(cnntrain report {shell.word(run)} --film) and does not hold the network. Give the run "
                f"directory, {run}, or a file of {run / FOLDER}"
            )

    def digests(self) -> dict[str, str]:
        """The SHA-256 of every array's bytes as the file has them, by name."""
        return {name: _digest(to_file(array)) for name, array in self.arrays.items()}


def pack(meta: Meta, arrays: Mapping[str, Array]) -> list[Bytes]:
    """The bytes of a checkpoint as chunks that are views of the arrays, so write them before the next step.

    Equal content gives equal bytes. Adds format, min_reader, the version and the table of arrays to `meta`. Raises
    ValueError for what `read` would refuse: a name without one of the prefixes or another dtype; and UsageError where
    there are more arrays, or a longer config, than it would take.
    """
    parts: dict[str, list[Bytes]] = {}
    table = {}
    for name, array in arrays.items():
        if not name.startswith(PREFIXES) or not _sound(name):
            raise ValueError(f"an array of a checkpoint is called {' or '.join(PREFIXES)}..., got {name!r}")
        data = to_file(array)
        descr = data.dtype.str
        if descr not in _DTYPES:
            raise ValueError(f"{name!r} is {array.dtype}; a checkpoint holds {', '.join(map(str, _DTYPES.values()))}")
        table[name] = {"dtype": descr, "shape": list(array.shape), "sha256": _digest(data)}
        parts[f"{name}.npy"] = [_npy_header(descr, array.shape), _bytes_of(data)]
    about = {"format": FORMAT, "min_reader": MIN_READER, "cnntrain": cnntrain.__version__}
    text = strict_json.encode({**about, **meta, **about, "arrays": table}).encode()
    if len(text) > LARGEST_META or _cost(text) > _COSTLIEST_META:
        raise UsageError(
            f"the network is too large for a checkpoint: {len(table)} arrays and the config take {len(text)} bytes to "
            "describe, more than would be read again. Give it fewer layers"
        )
    return archive.pack({"meta.npy": [_npy_header("|u1", (len(text),)), text], **parts})


def save(path: Path, meta: Meta, arrays: Mapping[str, Array]) -> int:
    """Write a checkpoint where the user wants it (`Output`), and return its size in bytes.

    Raises StorageError; see also `pack`.
    """
    chunks = pack(meta, arrays)
    Output(path, ANY).write(chunks)
    return sum(map(len, chunks))


def read(path: Path) -> Checkpoint:
    """A checkpoint, every byte of it verified.

    Raises CheckpointError, one line, for anything else; for a damaged file it names the newest one in the same
    folder that is sound, if there is one, and does not use it. Raises StorageError where the device fails.
    """
    try:
        with _opened(path) as file:
            meta, members = _contents(file)
            arrays = dict(_arrays(file, meta, members))
    except DamagedError as error:
        _fail(path, error)
    for number in range(meta["format"], FORMAT):
        meta, arrays = UPGRADES[number](meta, arrays)
    return Checkpoint(path, meta, arrays)


def read_meta(path: Path) -> Meta:
    """The meta of a checkpoint as it was written, without reading its arrays. Raises CheckpointError as `read` does."""
    try:
        with _opened(path) as file:
            return _contents(file)[0]
    except DamagedError as error:
        _fail(path, error)


def require_parts(path: Path, meta: Meta) -> None:
    """Raise CheckpointError where another package's part is not available, which does not mean the file is damaged."""
    recorded = meta.get("packages", {})
    for place, package in recorded.items() if isinstance(recorded, dict) else ():
        kind, _, name = place.partition(".")
        if kind not in KINDS or name in parts(kind):
            continue
        noun, whose = f"{KINDS[kind]} {_shown(name)}", _shown(package)
        why = unusable(kind).get(name, "is not installed. Install it, if you trust it, and try again")
        raise CheckpointError(f"{path} needs the {noun} of the package {whose}, which {why}")


def changed_packages(meta: Meta) -> list[str]:
    """The parts that come from another package, or another version of it, than when a checkpoint was written.

    Each as "layers.snake waves 0.1 -> waves 0.2": under the same name, it may compute something else.
    """
    recorded, now = meta.get("packages", {}), {}
    for place in recorded if isinstance(recorded, dict) else ():
        kind, _, name = place.partition(".")
        if kind in KINDS and name in (found := parts(kind)):
            now[place] = package_of(found[name]) or "cnntrain"
    return compare_versions(recorded, now)


def last_of(run: Path) -> Path:
    """Where a run keeps the checkpoint from which it goes on."""
    return run / FOLDER / LAST


def to_go_on_without_last(run: Path) -> str:
    """How a run goes on whose last.npz is gone: from the newest sound one of its others. Empty where it has none."""
    found = _sound_beside(last_of(run))
    return f"{found} is sound: {_going_on_from(found, last_of(run))}" if found else ""


def find(path: Path) -> Path:
    """The checkpoint that a path means: the file itself, or a run directory's best.npz, or else its last.npz.

    Raises CheckpointError where there is none, or one may not look.
    """
    if not exists(path, denied=CheckpointError):
        raise CheckpointError(f"there is no checkpoint or run directory {path} (that is {path.absolute()}). {_WANTED}")
    if not is_directory(path, denied=CheckpointError):
        return path
    names = ("best.npz", LAST) if exists(path / FOLDER, denied=CheckpointError) else ()
    for name in names:
        candidate = path / FOLDER / name
        if exists(candidate, denied=CheckpointError):
            return candidate
    hint = the_latest(path) or _WANTED
    raise CheckpointError(f"{path} holds neither checkpoints/best.npz nor checkpoints/last.npz. {hint}")


def the_latest(path: Path) -> str:
    """A hint for a folder that was taken for a run directory but holds some; empty where it holds none."""
    latest = path / "latest"
    return f"Did you mean {latest}?" if os.path.isdir(latest / FOLDER) else ""


def _difference(
    name: str, found: tuple[Shape, np.dtype[Any]] | None, wanted: tuple[Shape, np.dtype[Any]] | None
) -> str:
    if found is None:
        return f"it lacks {name!r}"
    if wanted is None:
        return f"it has {name!r}, which the config does not declare"
    return f"its {name!r} is {found[1]} {found[0]}, the config declares {wanted[1]} {wanted[0]}"


def _opened(path: Path) -> contextlib.AbstractContextManager[BinaryIO]:
    """A checkpoint, open for reading. Among those of a run directory, which may be a stranger's, a link is refused."""
    return open_regular(path, _refusal(path), follow=_in_full(path).parent.name != FOLDER)


def _in_full(path: Path) -> Path:
    """A path from the root on, without "..": so that a file is known by its folder from wherever it is named."""
    return Path(os.path.abspath(path))


def _refusal(path: Path) -> Callable[[str], CheckpointError]:
    def refuse(reason: str) -> CheckpointError:
        if reason not in DENIED and not os.path.lexists(path):
            folder = _in_full(path).parent
            hint = (folder.name == FOLDER and the_latest(folder.parent)) or _WANTED
            return CheckpointError(f"there is no checkpoint {path} (that is {path.absolute()}). {hint}")
        return CheckpointError(f"{path} {cured(reason, _WANTED)}")

    return refuse


def _fail(path: Path, error: DamagedError) -> NoReturn:
    """Raise the one error of a newer, foreign or damaged file; for damage it names the next best sound one."""
    with _opened(path) as file:
        of_torch = torch_files.refusal(path, file.read(torch_files.HEAD))
    if of_torch:
        message = of_torch
    elif isinstance(error, NewerError):
        message = f"{error}. Install a newer cnntrain"
    elif isinstance(error, ForeignError):
        message = f"is not a checkpoint of cnntrain: {error}. {_WANTED}"
    else:
        sound = _sound_beside(path)
        advice = f"{sound} is sound: name it to use it" if sound else "Restore it from a copy"
        if sound and path == last_of(path.parent.parent):  # which commands of a run read by themselves
            advice += f"; {_going_on_from(sound, path)}"
        message = f"is damaged: {error}. {advice}"
    raise CheckpointError(f"{path} {message}") from None


def _going_on_from(sound: Path, last: Path) -> str:
    return f"to go on from it, copy it over {last.name}: cp {shell.word(sound)} {shell.word(last)}"


def _sound_beside(path: Path) -> Path | None:
    """The newest of the other checkpoints of a folder every byte of which verifies."""
    return next((other for other in sorted(_siblings(path), key=_step, reverse=True) if _is_sound(other)), None)


def _step(path: Path) -> int:
    """How far training had come in a checkpoint; before the first step where it does not say."""
    position = None
    with contextlib.suppress(CheckpointError, DamagedError, StorageError), _opened(path) as file:
        position = _contents(file)[0].get("position")
    step = position.get("step") if isinstance(position, dict) else None
    return step if type(step) is int else -1


def _siblings(path: Path) -> list[Path]:
    """The other checkpoints of the folder: last, best, then the numbered ones from the newest."""
    numbered = [other for other in path.parent.glob("*-*.npz") if re.fullmatch(r"[a-z]+-\d+", other.stem)]
    numbered.sort(key=lambda other: int(other.stem.split("-")[1]), reverse=True)
    standing = (path.with_name("last.npz"), path.with_name("best.npz"))
    return [other for other in (*standing, *numbered) if other != path and os.path.isfile(other)]


def _is_sound(path: Path) -> bool:
    """Whether every byte of a checkpoint verifies; holds one array at a time."""
    try:
        with _opened(path) as file:
            for _ in _arrays(file, *_contents(file)):
                pass
    except (CheckpointError, DamagedError, StorageError):
        return False
    return True


def _contents(file: BinaryIO) -> tuple[Meta, dict[str, Member]]:
    """The meta and the members, checked against each other; nothing of the arrays but their headers is read."""
    members = archive.members(file)
    if "meta.npy" not in members:
        raise ForeignError("it has no meta")
    meta = _meta(file, members.pop("meta.npy"))
    _check_format(meta)
    table = meta.get("arrays")
    if not isinstance(table, dict):
        raise DamagedError("its table of arrays is missing")
    for name in (f"{name}.npy" for name in table):
        if name not in members:
            raise DamagedError(f"{_shown(name)} is missing")
    for name, member in members.items():
        entry = table.get(name.removesuffix(".npy"))
        if entry is None or not name.endswith(".npy"):
            raise DamagedError(f"{_shown(name)} is not in its table of arrays")
        if not name.startswith((*PREFIXES, EXTENSION)) or not _sound(name):
            raise DamagedError(f"{_shown(name)} is not the name of an array")
        _check_entry(file, member, entry)
    return meta, members


def _meta(file: BinaryIO, member: Member) -> Meta:
    if member.size > LARGEST_META + 2**16:
        raise ForeignError(f"its meta has {member.size} bytes")
    file.seek(member.start)
    raw = file.read(member.size)
    if zlib.crc32(raw) != member.crc:
        raise DamagedError("its meta does not match its checksum")
    size = _data_size(raw[: 2**16], member.size, "|u1", (-1,))
    text = raw[len(raw) - size :]
    if len(text) > LARGEST_META or _cost(text) > _COSTLIEST_META:
        raise ForeignError(f"its meta has {len(text)} bytes")
    try:
        meta = strict_json.decode(text.decode())
    except ValueError as error:  # what is not UTF-8 included
        raise DamagedError(f"its meta cannot be read ({error})") from None
    if not isinstance(meta, dict):
        raise DamagedError("its meta is not an object")
    return meta


def _cost(text: bytes) -> int:
    """An upper bound on the memory that the values of a JSON text take, from how many of them there can be."""
    return 100 * (text.count(b",") + text.count(b"[")) + 210 * text.count(b"{") + 300 * text.count(b":")


def _check_format(meta: Meta) -> None:
    number, oldest = meta.get("format"), meta.get("min_reader")
    if type(number) is not int or type(oldest) is not int or not 1 <= oldest <= number:
        raise ForeignError("its meta names no format")
    if oldest > FORMAT:
        version = _shown(meta.get("cnntrain"))
        raise NewerError(f"was written by cnntrain {version} (format {number}), this one reads up to {FORMAT}")


def _check_entry(file: BinaryIO, member: Member, entry: Any) -> None:
    """Check what the table says of an array, and that its member has that header and that many bytes."""
    where = _shown(member.name)
    if not isinstance(entry, dict) or not {"dtype", "shape", "sha256"} <= entry.keys():
        raise DamagedError(f"the table lacks the dtype, shape or SHA-256 of {where}")
    descr, shape, digest = entry["dtype"], entry["shape"], entry["sha256"]
    if not isinstance(descr, str) or descr not in _DTYPES:
        raise DamagedError(f"{where} has the dtype {_shown(descr)}")
    if not isinstance(digest, str):
        raise DamagedError(f"{where} has no SHA-256")
    sizes = shape if isinstance(shape, list) and len(shape) <= _MOST_DIMENSIONS else [-1]
    if any(type(size) is not int or size < 0 for size in sizes) or math.prod(max(size, 1) for size in sizes) > 2**48:
        raise DamagedError(f"{where} has the shape {_shown(shape)}")
    file.seek(member.start)
    header = file.read(min(member.size, 2**10))
    if _data_size(header, member.size, descr, tuple(sizes)) != math.prod(sizes) * _DTYPES[descr].itemsize:
        raise DamagedError(f"{where} does not have as many bytes as its shape needs")


def _arrays(file: BinaryIO, meta: Meta, members: Mapping[str, Member]) -> Iterator[tuple[str, Array]]:
    """The arrays one by one, each read into new memory and verified; those of later versions are skipped."""
    for name, entry in meta["arrays"].items():
        if name.startswith(EXTENSION):
            continue
        member = members[f"{name}.npy"]
        array = aligned(tuple(entry["shape"]), _DTYPES[entry["dtype"]])
        file.seek(member.start + member.size - array.nbytes)
        if file.readinto(_bytes_of(array)) != array.nbytes:  # type: ignore[attr-defined]
            raise DamagedError("it is truncated")
        if _digest(array) != entry["sha256"]:
            raise DamagedError(f"{_shown(name)} does not match its SHA-256")
        from_file(array, entry["dtype"])
        yield name, array


def _npy_header(descr: str, shape: Shape) -> bytes:
    """The header NumPy's format 1.0 puts before the bytes of a C-contiguous array (numpy.lib.format)."""
    text = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}, }}"
    padding = -(len(_MAGIC) + 2 + len(text) + 1) % _HEADER_UNIT
    text += " " * padding + "\n"
    return _MAGIC + len(text).to_bytes(2, "little") + text.encode()


def _data_size(start: bytes, size: int, descr: str, shape: Shape) -> int:
    """Bytes after the header of a .npy of `size` bytes that begins with `start`; -1 in the shape is what is left.

    The header is never parsed: it must say, spaces aside, what ours would.
    """
    length = int.from_bytes(start[len(_MAGIC) : len(_MAGIC) + 2], "little")
    header = start[: len(_MAGIC) + 2 + length]
    left = size - len(_MAGIC) - 2 - length
    expected = _npy_header(descr, tuple(left if extent < 0 else extent for extent in shape))
    skip = len(_MAGIC) + 2
    if left < 0 or header[: len(_MAGIC)] != _MAGIC or header[skip:].split() != expected[skip:].split():
        raise DamagedError("an array's header contradicts its meta")
    return left


def _bytes_of(array: Array) -> memoryview:
    return array.reshape(-1).view(np.uint8).data


def _digest(array: Array) -> str:
    return hashlib.sha256(_bytes_of(array)).hexdigest()


def _sound(name: str) -> bool:
    """Whether a name may be printed as it is, and encoded."""
    return name.isprintable() and len(name.encode(errors="replace")) <= archive.LONGEST_NAME - len(".npy")


def _shown(value: Any) -> str:
    """Something a stranger wrote, short enough and harmless in one line of a message."""
    text = repr(value.removesuffix(".npy") if isinstance(value, str) else value)
    return text if len(text) <= 80 else text[:77] + "..."
