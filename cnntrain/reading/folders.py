"""Folders: what the names in a folder of data mean: which are splits, which are classes, and which to ignore."""

from __future__ import annotations

import contextlib
import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeVar

from cnntrain.core.errors import DataError
from cnntrain.reading.input_files import reading

SPLITS = ("train", "val", "test")
SPECIAL = "special (pipe, socket or device)"  # in place of a suffix, where files that are left out are counted


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_SYSTEM = frozenset(["system volume information", "network trash folder", "temporary items"]) | _set(
    "__macosx @eadir @recycle @recently-snapshot #recycle #snapshot $recycle.bin recycler lost+found __pycache__"
)  # folders that systems and storage devices make for themselves, in lower case
_THUMBNAILS = _set("thumbs thumbnails _thumbs _thumbnails")  # below a class, smaller copies of its pictures
_MEANT = {  # words for a split
    **dict.fromkeys(_set("train training trn tr fit learn learning"), "train"),
    **dict.fromkeys(_set("val valid validation validate validating dev development eval evaluation vld vl va"), "val"),
    **dict.fromkeys(_set("test testing tst te ts holdout"), "test"),
}
_ALWAYS = _set("train training val valid validation dev test testing")  # those also written in one word with others
_NEUTRAL = _set(  # words that say nothing beside such a word
    "set sets data dataset datasets image images img imgs picture pictures pic pics photo photos sample samples split "
    "splits folder dir file files part subset the of my new final original orig raw jpg jpeg png wav audio sound "
    "sounds clips frames"
)
_MEDIA = _set(  # endings of pictures, sounds and films, whether they can be read here or not
    ".png .jpg .jpeg .jpe .jfif .jif .bmp .gif .webp .tif .tiff .pbm .pgm .ppm .pnm .heic .heif .avif .jp2 .j2k .jxl "
    ".tga .psd .svg .ico .raw .dng .cr2 .cr3 .nef .arw .orf .raf .rw2 .dcm .exr .hdr .mov .mp4 .m4v .avi .mkv .webm "
    ".mpg .mpeg .wmv .3gp .wav .mp3 .flac .ogg .oga .opus .m4a .aac .aif .aiff .wma .amr"
)


_seen: ContextVar[dict[Any, Any] | None] = ContextVar("seen", default=None)  # within `one_look`, what was listed
_T = TypeVar("_T")


@contextlib.contextmanager
def one_look() -> Iterator[None]:
    """Within, what is listed once is not listed again: the files that a manifest names are those that are read."""
    if _seen.get() is not None:
        yield
        return
    token = _seen.set({})
    try:
        yield
    finally:
        _seen.reset(token)


def looked_up(key: object, look: Callable[[], _T]) -> _T:
    """What `look` gives: within `one_look`, what it gave the first time for an equal key."""
    seen = _seen.get()
    if seen is None:
        return look()
    if key not in seen:
        seen[key] = look()
    found: _T = seen[key]
    return found


def class_name(folder: str) -> str:
    """What a class is called: its folder's name in Unicode's composed form (NFC), whichever form a system wrote."""
    return unicodedata.normalize("NFC", folder)


def is_hidden(name: str) -> bool:
    """Whether a file or folder is not the user's: hidden, or made by a system for itself."""
    return name.startswith(".") or name.casefold() in _SYSTEM


def _is_copies(name: str) -> bool:
    """Whether a folder below a class holds what is not the user's, or smaller copies of what is."""
    return is_hidden(name) or name.casefold() in _THUMBNAILS


def subfolders(folder: Path) -> list[str]:
    """The folders in a folder by name, sorted by code point, without hidden ones and the system's. Raises DataError."""
    with reading(folder), os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if _is_folder(entry) and not is_hidden(entry.name))
    for name in names:
        if not name.isprintable():
            raise DataError(f"{folder} has a folder named {name!r}, expected printable characters. Rename it")
    return names


def first_split_in(folder: Path) -> Path:
    """The folder of the first split that has one, or else the folder itself, which holds all there is."""
    return next((folder / split for split in SPLITS if (folder / split).is_dir()), folder)


def split_meant(name: str) -> tuple[str, str] | None:
    """The split that a name seems to mean, and what else it says in lower case; None where it means none.

    "Train", "seg_train", "test1" and "ValidationSet" mean "train", "train", "test" and "val"; besides, the second
    says "seg", the others nothing.
    """
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_A-Za-z]+", unicodedata.normalize("NFC", name))
    words = [part for word in words for part in _parts(word.casefold())]
    meant = [word for word in words if word in _MEANT]
    if len(meant) != 1:
        return None
    return _MEANT[meant[0]], " ".join(word for word in words if word not in _MEANT and word not in _NEUTRAL)


def _parts(word: str) -> Sequence[str]:
    """A word, divided where a split's word and words that say nothing are written as one: "trainset", "testdata"."""
    for meant in sorted(_ALWAYS, key=len, reverse=True):
        if word.startswith(meant) and word[len(meant) :] in _NEUTRAL:
            return meant, word[len(meant) :]
        if word.endswith(meant) and word[: -len(meant)] in _NEUTRAL:
            return word[: -len(meant)], meant
    return (word,)


def mistaken(names: Sequence[str]) -> dict[str, str]:
    """The names in a folder that look like splits but are not spelt so, each with the split it seems to mean.

    Beside a correctly spelt split, these are all names that mean one; without one, those that mean different splits
    and otherwise say the same: "seg_train" and "seg_test", but not "train_station" and "test_tube".
    """
    said = {name: found for name in names if name not in SPLITS and (found := split_meant(name))}
    if any(name in SPLITS for name in names):
        return {name: split for name, (split, _) in said.items()}
    groups: dict[str, list[str]] = defaultdict(list)
    for name, (_, rest) in said.items():
        groups[rest].append(name)
    mixed = [group for group in groups.values() if len({said[name][0] for name in group}) > 1]
    return {name: said[name][0] for group in mixed for name in group}


def check_spelling(folder: Path, names: Sequence[str], ending: str = "") -> None:
    """Raise DataError where names in a folder look like splits but are not spelt so.

    The names are those of folders, or of files without their `ending`.
    """
    wrong = mistaken(names)
    if wrong and (ending or any(name in SPLITS for name in names)):
        name, split = next(iter(wrong.items()))
        what, called = ("file", f"{split}{ending}") if ending else ("folder", repr(split))
        raise DataError(f"{folder / name}{ending} is not read: the {what} must be called {called}. Rename it")
    if wrong:
        found = ", ".join([*wrong][:8]) + ", ..." * (len(wrong) > 8)
        firsts = {split: name for name, split in reversed([*wrong.items()])}
        changes = " and ".join(f"{firsts[split]} to {split}" for split in SPLITS if split in firsts)
        raise DataError(
            f"{folder} has the folders {found}, which look like splits: a split's folder must be called 'train', 'val' "
            f"or 'test'. Rename {changes}"
        )


def check_spelling_of_lists(folder: Path) -> None:
    """The same for a folder of lists: train.txt, val.txt and test.txt, beside others such as that of the classes."""
    if folder.is_dir():
        with reading(folder):
            stems = sorted(path.stem for path in folder.glob("*.txt"))
        check_spelling(folder, [stem for stem in stems if (split_meant(stem) or ("", stem))[1] == ""], ".txt")


def split_folders(folder: Path) -> dict[str, Path]:
    """Split -> its folder, as annotation tools name them: train, val or valid, test. Raises DataError."""
    names = subfolders(folder)
    meant = {name: name for name in SPLITS} | {"valid": "val"}
    found: dict[str, Path] = {}
    for name in names:
        if name in meant and meant[name] in found:
            raise DataError(f"{folder} has val and valid, expected one of them. Rename or move one")
        if name in meant:
            found[meant[name]] = folder / name
    return {split: found[split] for split in SPLITS if split in found}


def splits_within(folder: Path) -> list[str]:
    """The folders in a folder that look like splits, where there are different ones."""
    found = {name: name if name in SPLITS else (split_meant(name) or ("", ""))[0] for name in subfolders(folder)}
    meant = {name: split for name, split in found.items() if split}
    return [*meant] if len(set(meant.values())) > 1 else []


def files_below(folder: Path, suffixes: frozenset[str], others: Counter[str] | None = None) -> Iterator[Path]:
    """Files with these suffixes in a folder and below. Each folder is visited once, none above.

    `others` counts by suffix, in lower case, the files that have another and are not hidden; by name and slash, the
    folders that are left out; and as SPECIAL what has a suffix asked for but is not a file.
    """
    for place, names in _names_below(folder, suffixes, Counter() if others is None else others):
        yield from (place / name for name in names)


def sorted_files_below(folder: Path, suffixes: frozenset[str], others: Counter[str] | None = None) -> list[Path]:
    """The same, sorted as paths are."""
    found = [*_names_below(folder, suffixes, Counter() if others is None else others)]
    paths = [place / name for place, names in found for name in names]
    return paths if len(found) < 2 else sorted(paths)  # one folder's are sorted by name, and comparing paths is slow


def _names_below(folder: Path, suffixes: frozenset[str], others: Counter[str]) -> Iterator[tuple[Path, list[str]]]:
    """Folder by folder, the names of its files with these suffixes, sorted."""
    with reading(folder):
        visited = {_identity(above) for above in folder.resolve().parents}
    pending = [folder]
    while pending:
        place = pending.pop()
        with reading(place):
            if _identity(place) in visited:
                continue
            visited.add(_identity(place))
            with os.scandir(place) as entries:  # which tells folders from files without a look at each
                found = sorted((entry for entry in entries if not entry.name.startswith(".")), key=_name_of)
        names = []
        for entry in found:
            name = entry.name
            dot = name.rfind(".")  # never its beginning: those are hidden
            suffix = name[dot:].lower() if dot > 0 else ""
            if _is_folder(entry):
                if not _is_copies(name):
                    pending.append(place / name)
                else:
                    others[f"{name}/"] += 1
            elif suffix not in suffixes:
                others[suffix] += 1
            elif _is_special(entry):
                others[SPECIAL] += 1
            else:
                names.append(name)
        yield place, names


def media(others: Mapping[str, int]) -> dict[str, int]:
    """Those among files that are not read which are pictures, sounds or films by their names."""
    return {suffix: count for suffix, count in others.items() if suffix in _MEDIA}


def listed(others: Mapping[str, int]) -> str:
    """Counts of files by suffix for people, most first: "4 .heic, 1 .avif"."""
    counts = sorted(others.items(), key=lambda item: (-item[1], item[0]))
    shown = [f"{count:,} {suffix or 'without an ending'}" for suffix, count in counts[:8]]
    return ", ".join(shown) + (", ..." if len(counts) > 8 else "")


def _name_of(entry: os.DirEntry[str]) -> str:
    return entry.name


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # links in a circle
        return False


def _is_special(entry: os.DirEntry[str]) -> bool:
    """Whether it is a pipe, socket or device: opening one may wait for ever. A broken link is not."""
    try:
        return not entry.is_file() and os.path.exists(entry.path)
    except OSError:
        return False


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def has_any(folder: Path, names: Iterable[str]) -> bool:
    """Whether a folder holds a file of one of these names."""
    return any((folder / name).is_file() for name in names)
