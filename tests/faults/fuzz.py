"""Files that a fuzzer makes up, guided by which lines of the package they reach.

    python -m tests.faults.fuzz config|archive|checkpoint|idx|npz|csv|voc|coco|yolo|masks|... FOLDER -max_total_time=60

feeds a reader with what atheris (`pip install 'cnntrain[fuzz]'`) makes of the seeds in FOLDER/corpus, which is filled
where it is empty and keeps what was new. Ends with a traceback at the first file that is neither read nor refused in
order, and leaves it in FOLDER.
"""

from __future__ import annotations

import contextlib
import gc
import io
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FunctionType

from cnntrain.config.load import load
from cnntrain.core import archive
from cnntrain.core.errors import ConfigError, DataError
from cnntrain.rundir import checkpoint
from tests.config.record import BROKEN
from tests.faults.data_files import FORMATS
from tests.faults.mutations import fits, outcome
from tests.support.experiments import FULL, TINY, run, write

Target = Callable[[bytes], None]
WATCHED = ("cnntrain", "yaml", "json", "csv", "zipfile", "gzip", "wave")  # the packages whose lines guide the fuzzer


def _config(folder: Path) -> tuple[Sequence[bytes], Target]:
    path = folder / "config.yaml"

    def read(data: bytes) -> None:
        path.write_bytes(data)
        with contextlib.suppress(ConfigError):
            load([path])

    return [FULL.encode(), TINY.encode(), *(file.read_bytes() for file in sorted(BROKEN.glob("*.yaml")))], read


def _archive(folder: Path) -> tuple[Sequence[bytes], Target]:
    def read(data: bytes) -> None:
        found: dict[str, archive.Member] = {}
        with contextlib.suppress(archive.DamagedError):
            found = archive.members(io.BytesIO(data))
        assert all(member.start + member.size <= len(data) for member in found.values())

    return [_saved(folder).read_bytes(), *FORMATS["npz"](folder)[0]], read


def _checkpoint(folder: Path) -> tuple[Sequence[bytes], Target]:
    """A sound archive with a meta made up: the checksums of the rest would refuse anything else."""
    path = _saved(folder)
    with path.open("rb") as file:
        found, whole = archive.members(file), path.read_bytes()
    parts = {name: whole[member.start : member.start + member.size] for name, member in found.items()}
    text = parts["meta.npy"][parts["meta.npy"].index(b'{"', 16) :]
    victim = folder / "victim.npz"

    def read(data: bytes) -> None:
        meta = {"meta.npy": [checkpoint._npy_header("|u1", (len(data),)), data]}
        chunks = archive.pack(meta | {name: [part] for name, part in parts.items() if name != "meta.npy"})
        victim.write_bytes(b"".join(chunks))
        read = outcome(victim)
        if read is not None:
            fits(read)

    return [text], read


def _saved(folder: Path) -> Path:
    run(write(folder, TINY), folder / "run", ("train.epochs=1",), threads=1)
    return folder / "run" / "checkpoints" / "last.npz"


def _data(kind: str) -> Callable[[Path], tuple[Sequence[bytes], Target]]:
    def prepare(folder: Path) -> tuple[Sequence[bytes], Target]:
        seeds, path, reader = FORMATS[kind](folder)

        def read(data: bytes) -> None:
            path.write_bytes(data)
            said = ""
            try:
                reader(path)
            except DataError as error:  # which names the file, or one that it names: a table of pictures may
                said = str(error)
            assert "\n" not in said

        return seeds, read

    return prepare


DATA = ("idx", "idx.gz", "npz", "csv", "voc", "coco", "yolo", "data.yaml", "boxes_csv", "masks", "masks-colours", "wav")
TARGETS: dict[str, Callable[[Path], tuple[Sequence[bytes], Target]]] = {
    "config": _config,
    "archive": _archive,
    "checkpoint": _checkpoint,
    **{kind: _data(kind) for kind in DATA},
}


def main(kind: str, folder: str, *options: str) -> None:
    """Fuzz one reader; returns only by ending the process."""
    import atheris

    corpus = Path(folder) / "corpus"
    corpus.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        seeds, target = TARGETS[kind](Path(place))
        for number, seed in enumerate(seeds) if not any(corpus.iterdir()) else ():
            (corpus / str(number)).write_bytes(seed)
        for function in gc.get_objects():
            if isinstance(function, FunctionType) and str(function.__module__).partition(".")[0] in WATCHED:
                atheris.instrument_func(function)
        atheris.Setup([sys.argv[0], str(corpus), f"-artifact_prefix={folder}/", *options], target)
        atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
