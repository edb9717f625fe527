"""Fetching downloads a well-known data set: its published files, verified, and unpacked where they are archives.

Sizes and SHA-256 are those that TensorFlow Datasets publishes (url_checksums/mnist.txt, fashion_mnist.txt, kmnist.txt,
cifar10.txt and cifar100.txt of github.com/tensorflow/datasets, read on 2026-11-25).
"""

from __future__ import annotations

import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cnntrain.core import files
from cnntrain.core.errors import DataError
from cnntrain.core.partial_file import PartialFile
from cnntrain.data.download import Remote, download
from cnntrain.reading.input_files import reading

_PIECE = 2**20
_MOST_BESIDE = 10_000_000  # bytes of unexpected members; with more, an archive is not the published one


@dataclass(frozen=True)
class Known:
    """A data set that can be fetched: the folder it goes to, its files, and what is taken out of an archive."""

    folder: str
    remotes: tuple[Remote, ...]
    members: Mapping[str, int] = field(default_factory=dict)  # file -> its bytes; empty without an archive


@dataclass(frozen=True)
class Fetched:
    """Where a data set is now."""

    folder: Path
    new: tuple[str, ...]  # what was downloaded; the rest was there


def _idx(folder: str, mirrors: tuple[str, ...], *published: tuple[int, str]) -> Known:
    names = [f"{split}-{kind}-ubyte.gz" for split in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]
    return Known(folder, tuple(Remote(name, *facts, mirrors) for name, facts in zip(names, published, strict=True)))


_TORONTO = "https://www.cs.toronto.edu/~kriz/"
KNOWN: dict[str, Known] = {
    "mnist": _idx(
        "mnist",
        ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"),
        (9_912_422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
        (28_881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
        (1_648_877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
        (4_542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
    ),
    "fashion-mnist": _idx(
        "fashion-mnist",
        (
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
            "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
        ),
        (26_421_880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
        (29_515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
        (4_422_102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
        (5_148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
    ),
    "kmnist": _idx(
        "kmnist",
        ("https://codh.rois.ac.jp/kmnist/dataset/kmnist/",),
        (18_165_135, "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4"),
        (29_497, "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17"),
        (3_041_136, "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5"),
        (5_120, "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c"),
    ),
    "cifar10": Known(
        "cifar-10-batches-bin",
        (
            Remote(
                "cifar-10-binary.tar.gz",
                170_052_171,
                "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
                (_TORONTO, "https://storage.googleapis.com/s4tf-hosted-binaries/datasets/CIFAR10/"),
            ),
        ),
        dict.fromkeys((*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"), 30_730_000),
    ),
    "cifar100": Known(
        "cifar-100-binary",
        (
            Remote(
                "cifar-100-binary.tar.gz",
                168_513_733,
                "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
                (_TORONTO,),
            ),
        ),
        {"train.bin": 153_700_000, "test.bin": 30_740_000},
    ),
}


class _OtherError(Exception):
    """An archive has other content than it should; the text says which."""


def fetch(known: Known, root: Path, timeout: float = 30.0) -> Fetched:
    """Fetch a data set into its folder below `root`. Raises StorageError, or DataError for what is not as published.

    An archive lies in that folder only until it is unpacked.
    """
    folder = root / known.folder
    if known.members and all(_is_whole(folder / name, size) for name, size in known.members.items()):
        return Fetched(folder, ())
    new = tuple(remote.name for remote in known.remotes if download(remote, folder, timeout))
    if known.members:
        archive = folder / known.remotes[0].name
        unpack(archive, known.folder, known.members)
        files.remove(archive)
    return Fetched(folder, new)


def _is_whole(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def unpack(archive: Path, inside: str, members: Mapping[str, int]) -> None:
    """Take files of known names and sizes out of the folder `inside` of a .tar.gz, and put them beside it.

    Names in the archive are only compared, never used as paths; nothing but regular files of the exact size is taken.
    Raises DataError.
    """
    wanted = {f"{inside}/{name}": name for name in members}
    beside = 0
    with reading(archive):
        try:
            with tarfile.open(archive, "r|gz") as tar:
                for member in tar:
                    name = wanted.get(member.name)
                    if name is None:
                        beside += member.size
                        if beside > _MOST_BESIDE:
                            raise _OtherError(f"holds {member.name!r} of {member.size:,} bytes")
                        continue
                    if not member.isreg():
                        raise _OtherError(f"has {name} as something other than a file")
                    if member.size != members[name]:
                        raise _OtherError(f"has {name} of {member.size:,} bytes, expected {members[name]:,}")
                    _take(tar, member, archive.with_name(name))
                    del wanted[member.name]
            if wanted:
                raise _OtherError(f"has no {next(iter(wanted))}")
        except _OtherError as error:
            raise DataError(f"{archive} is not the published archive: it {error}. Remove it and fetch again") from error
        except tarfile.TarError as error:
            raise DataError(f"{archive} is damaged ({error}). Remove it and fetch again") from error


def _take(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    """Copy a regular member to a path, which appears when it is whole."""
    stream = tar.extractfile(member)
    assert stream is not None  # a regular file has one
    with PartialFile(path) as part:
        part.restart()
        while piece := stream.read(_PIECE):
            part.append(piece)
        part.finish()
