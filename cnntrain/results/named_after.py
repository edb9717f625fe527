"""Files named after samples: a folder in which each sample's file, or files, have the sample's own name."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from cnntrain.core import files
from cnntrain.core.directories import make_directory
from cnntrain.core.errors import StorageError, UsageError


class NamedAfter:
    """A folder whose files are named after samples; two samples never share one."""

    def __init__(self, path: Path, names: Sequence[str], endings: Iterable[str], overwrite: bool = False) -> None:
        """For samples of these names, each with a file of every ending, such as "-mask.png"; nothing is made yet.

        Raises UsageError where two samples would have one file, or a sample would be overwritten, and StorageError
        where a file is there and `overwrite` is off, or where the folder is none.
        """
        self._path, self._overwrite = path, overwrite
        self._samples = {os.path.realpath(name) for name in names}
        self._owners: dict[Path, str] = {}
        endings = [*endings]
        for name in names:
            for ending in endings:
                self._claim(self._place(name, ending), name)
        if path.exists():
            make_directory(path)

    def write(self, name: str, contents: Mapping[str, bytes]) -> None:
        """Write one sample's files, by their endings, the first time into a folder that is made for them.

        Raises what the constructor does, for a row of a .npz.
        """
        make_directory(self._path)
        for ending, data in contents.items():
            place = self._place(name, ending)
            self._claim(place, name)
            files.write_atomic(place, data)

    def _place(self, name: str, ending: str) -> Path:
        stem = Path(name).stem if Path(name).is_file() else Path(name).name
        return self._path / f"{stem}{ending}"

    def _claim(self, place: Path, name: str) -> None:
        """Keep a file for one sample."""
        owner = self._owners.get(place)
        if owner == name:
            return
        if owner is not None:
            raise UsageError(
                f"{owner} and {name} would both be written to {place}. Rename one, or use a folder for each"
            )
        if os.path.realpath(place) in self._samples:
            raise UsageError(f"{place} is one of the samples, and {name} would overwrite it. Name another folder")
        if os.path.lexists(place) and not self._overwrite:
            raise StorageError(
                f"{place} exists and {name} would overwrite it. Say --overwrite to replace it, or name another folder"
            )
        self._owners[place] = name
