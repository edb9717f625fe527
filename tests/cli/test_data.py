"""Fetching a data set: all of its files or an error, and nothing out of an archive but what is expected."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile

import pytest

from cnntrain.cli.data import NAMES
from cnntrain.core.errors import DataError
from cnntrain.data import fetch
from cnntrain.data.download import Remote
from tests.support.mirrors import Mirror

KINDS = {"symlink": tarfile.SYMTYPE, "hard link": tarfile.LNKTYPE, "fifo": tarfile.FIFOTYPE}
MEMBERS = {"train.bin": 300, "test.bin": 100}


def archive(*members, inside="box"):
    """A .tar.gz of (name, content or kind)."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name, content in members:
            info = tarfile.TarInfo(f"{inside}/{name}" if inside else name)
            if isinstance(content, bytes):
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
            else:
                info.type, info.linkname, info.size = KINDS[content], "/etc/passwd", 100
                tar.addfile(info)
    return stream.getvalue()


TRAIN, TEST = ("train.bin", b"a" * 300), ("test.bin", b"b" * 100)


@pytest.fixture
def known(request):
    """A data set as published, on a server."""
    packed = archive(("readme.html", b"x"), TRAIN, TEST)
    with Mirror(packed) as server:
        remote = Remote("box.tar.gz", len(packed), hashlib.sha256(packed).hexdigest(), (server.url("good"),))
        yield fetch.Known("box", (remote,), MEMBERS)


def test_an_archive_is_unpacked_and_removed(known, tmp_path):
    fetched = fetch.fetch(known, tmp_path)
    assert (fetched.folder, fetched.new) == (tmp_path / "box", ("box.tar.gz",))
    assert {p.name: p.read_bytes() for p in fetched.folder.iterdir()} == dict([TRAIN, TEST])
    assert fetch.fetch(known, tmp_path) == fetch.Fetched(tmp_path / "box", ())
    (tmp_path / "box" / "test.bin").write_bytes(b"cut")
    assert fetch.fetch(known, tmp_path).new == ("box.tar.gz",)
    assert (tmp_path / "box" / "test.bin").read_bytes() == TEST[1]


def test_files_that_are_not_packed_stay_as_they_are(tmp_path):
    with Mirror(b"abc") as server:
        remotes = tuple(
            Remote(name, 3, hashlib.sha256(b"abc").hexdigest(), (server.url("good"),)) for name in ("a.gz", "b.gz")
        )
        assert fetch.fetch(fetch.Known("set", remotes), tmp_path).new == ("a.gz", "b.gz")
        (tmp_path / "set" / "b.gz").unlink()
        assert fetch.fetch(fetch.Known("set", remotes), tmp_path).new == ("b.gz",)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([TRAIN], "it has no box/test.bin"),
        ([TRAIN, ("test.bin", b"b" * 99)], "it has test.bin of 99 bytes, expected 100"),
        *(([TRAIN, ("test.bin", kind)], "it has test.bin as something other than a file") for kind in KINDS),
        ([("../test.bin", b"b" * 100), TRAIN], "it has no box/test.bin"),
        ([("big", b"0" * 10_000_001), TRAIN, TEST], "it holds 'box/big' of 10,000,001 bytes"),
    ],
)
def test_an_archive_of_other_content_is_refused(tmp_path, members, message):
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "box.tar.gz"
    path.write_bytes(archive(*members))
    with pytest.raises(DataError) as caught:
        fetch.unpack(path, "box", MEMBERS)
    assert message in str(caught.value)
    assert {p.name for p in (tmp_path / "in").iterdir()} <= {"box.tar.gz", "train.bin"}
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


def test_names_that_lead_elsewhere_lead_nowhere(tmp_path):
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "box.tar.gz"
    outside = [("/tmp/evil.bin", b"x"), ("../evil.bin", b"x"), ("box/../../evil.bin", b"x")]
    path.write_bytes(archive(*outside, ("box/train.bin", TRAIN[1]), ("box/test.bin", TEST[1]), inside=""))
    fetch.unpack(path, "box", MEMBERS)
    assert {p.name for p in tmp_path.rglob("*")} == {"in", "box.tar.gz", "train.bin", "test.bin"}


@pytest.mark.parametrize("damage", [lambda data: data[:-40], lambda data: b"no archive", lambda data: b""])
def test_a_damaged_archive(tmp_path, damage):
    path = tmp_path / "box.tar.gz"
    path.write_bytes(damage(archive(TRAIN, TEST)))
    with pytest.raises(DataError, match=r"box\.tar\.gz"):
        fetch.unpack(path, "box", MEMBERS)


def test_what_is_known_is_what_the_command_offers_and_looks_published():
    assert tuple(fetch.KNOWN) == NAMES
    for known in fetch.KNOWN.values():
        for remote in known.remotes:
            assert len(remote.sha256) == 64
            assert remote.mirrors
            assert all(mirror.startswith("https://") and mirror.endswith("/") for mirror in remote.mirrors)


def test_the_command(cnntrain, desk, known, monkeypatch):
    monkeypatch.setitem(fetch.KNOWN, "mnist", known)
    outcome = cnntrain("data", "fetch", "mnist")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == "mnist: fetched and verified, in data/box\nnext: cnntrain init --data data/box\n"
    assert cnntrain("data", "fetch", "mnist").out.startswith("mnist: was there already, in data/box\n")
    document = json.loads(cnntrain("data", "fetch", "mnist", "--root", "other", "--json").out)
    assert document == {"schema": "data/1", "name": "mnist", "folder": "other/box", "fetched": ["box.tar.gz"]}
    assert {path.name for path in desk.iterdir()} == {"data", "other"}
    outcome = cnntrain("data", "fetch", "imagenet")
    assert outcome.code == 2
    assert "'imagenet' is not one of 'mnist', 'fashion-mnist', 'kmnist', 'cifar10', 'cifar100'" in outcome.error
