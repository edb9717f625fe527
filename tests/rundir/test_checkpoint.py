"""A checkpoint comes back bit for bit, or not at all: damaged and hostile files end in one error of one line."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import tracemalloc
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnntrain.core import archive
from cnntrain.core.arrays import Array, to_file
from cnntrain.core.errors import CheckpointError, UsageError
from cnntrain.rundir import checkpoint
from tests.support.closed import close

META = {"config": {"seed": 2**63 - 1, "lr": 0.1, "name": "päris"}, "classes": ["0", "1"], "position": {"step": 7}}


def example() -> dict[str, Array]:
    rng = np.random.default_rng(0)
    return {
        "param/stem.weight": rng.standard_normal((3, 3, 1, 4)).astype(np.float32),
        "param/stem.bias": np.zeros(4, np.float32),
        "slot/velocity/stem.weight": rng.standard_normal((3, 3, 1, 4)).astype(np.float32),
        "average/stem.bias": np.array([np.nan, np.inf, -0.0, 5e-324]),
        "metric/epoch": np.array(3.5),
        "metric/nothing": np.zeros((0, 5)),
    }


def small() -> dict[str, Array]:
    return {"param/w": np.arange(12, dtype=np.float32).reshape(3, 4), "slot/m/w": np.arange(2.0)}


def declared(arrays: Mapping[str, Array]) -> dict[str, tuple[tuple[int, ...], Any]]:
    return {name: (array.shape, array.dtype) for name, array in arrays.items()}


def bits(arrays: Mapping[str, Array]) -> dict[str, tuple[Any, ...]]:
    return {name: (to_file(array).dtype, array.shape, to_file(array).tobytes()) for name, array in arrays.items()}


def write(path: Path, meta: Any, arrays: Mapping[str, Array], **more: bytes) -> Path:
    """Write a file of whatever meta (an object or raw bytes), with right checksums: what a forger can make."""
    text = meta if isinstance(meta, bytes) else json.dumps(meta).encode()
    members = {"meta.npy": npy(np.frombuffer(text, np.uint8))}
    members |= {f"{name}.npy": npy(array) for name, array in arrays.items()} | more
    path.write_bytes(b"".join(archive.pack({name: [data] for name, data in members.items()})))
    return path


def npy(array: Array) -> bytes:
    stream = io.BytesIO()
    np.save(stream, to_file(array), allow_pickle=False)
    return stream.getvalue()


def table(arrays: Mapping[str, Array]) -> dict[str, Any]:
    return {
        name: {
            "dtype": to_file(array).dtype.str,
            "shape": list(array.shape),
            "sha256": hashlib.sha256(to_file(array).data).hexdigest(),
        }
        for name, array in arrays.items()
    }


def forged(**changes: Any) -> dict[str, Any]:
    return {"format": 1, "min_reader": 1, "cnntrain": "0.1.0", "arrays": table(small()), **changes}


def refused(path: Path) -> str:
    """The one line a file is refused with."""
    with pytest.raises(CheckpointError) as caught:
        checkpoint.read(path)
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 1000
    return message.replace(f"{path.parent}/", "")


# -- round trip ------------------------------------------------------------------------------------------------------


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "last.npz"
    size = checkpoint.save(path, META, example())
    found = checkpoint.read(path)
    assert size == path.stat().st_size
    assert bits(found.arrays) == bits(example())
    assert {key: found.meta[key] for key in META} == META
    assert (found.meta["format"], found.meta["min_reader"]) == (1, 1)
    assert checkpoint.read_meta(path) == found.meta
    assert found.digests() == {name: entry["sha256"] for name, entry in found.meta["arrays"].items()}
    for array in found.arrays.values():
        assert array.flags.writeable
        assert array.size == 0 or array.ctypes.data % 64 == 0


def test_numpy_opens_it(tmp_path: Path) -> None:
    path = tmp_path / "last.npz"
    checkpoint.save(path, META, example())
    with np.load(path, allow_pickle=False) as found:
        assert json.loads(found["meta"].tobytes())["config"] == META["config"]
        assert bits({name: found[name] for name in found if name != "meta"}) == bits(example())
    with zipfile.ZipFile(path) as found:
        assert found.testzip() is None
        for name in found.namelist():  # NumPy's format 1.0: so aligned that an array can be mapped into memory
            member = found.read(name)
            start = 10 + int.from_bytes(member[8:10], "little")
            assert (start % 64, member[start - 1 : start]) == (0, b"\n")


def test_what_numpy_writes_is_read(tmp_path: Path) -> None:
    path = tmp_path / "last.npz"
    checkpoint.save(path, META, example())
    with np.load(path, allow_pickle=False) as found:
        np.savez(tmp_path / "again.npz", **dict(found))
    assert bits(checkpoint.read(tmp_path / "again.npz").arrays) == bits(example())


def test_what_another_version_wrote_and_this_one_saves_is_of_this_version(tmp_path: Path) -> None:
    theirs = checkpoint.read(write(tmp_path / "theirs.npz", forged(format=2, cnntrain="0.0.1"), small()))
    checkpoint.save(tmp_path / "ours.npz", theirs.meta, theirs.arrays)
    checkpoint.save(tmp_path / "new.npz", {}, small())
    assert checkpoint.read_meta(tmp_path / "ours.npz") == checkpoint.read_meta(tmp_path / "new.npz")


def test_equal_content_gives_equal_bytes(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "a.npz", META, example())
    found = checkpoint.read(tmp_path / "a.npz")
    checkpoint.save(tmp_path / "b.npz", found.meta, found.arrays)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_views_and_foreign_byte_order_are_saved_by_value(tmp_path: Path) -> None:
    values = np.arange(12.0).reshape(3, 4)
    arrays = {"param/a": values.T, "param/b": values[:, ::2], "param/c": values.astype(">f8")}
    checkpoint.save(tmp_path / "a.npz", {}, arrays)
    found = checkpoint.read(tmp_path / "a.npz").arrays
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize("large_from", [1, 200])
def test_sizes_beyond_four_gigabytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large_from: int) -> None:
    monkeypatch.setattr(archive, "_WIDE_FROM", large_from)  # the wide fields, without the gigabytes
    path = tmp_path / "last.npz"
    checkpoint.save(path, META, example())
    assert bits(checkpoint.read(path).arrays) == bits(example())
    with np.load(path, allow_pickle=False) as found:
        assert bits({name: found[name] for name in found if name != "meta"}) == bits(example())


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        ({"weights": np.zeros(1)}, "is called param/ or"),
        ({"param/a\nb": np.zeros(1)}, "is called param/ or"),
        ({"param/" + "x" * 500: np.zeros(1)}, "is called param/ or"),
        ({"param/a": np.zeros(1, np.complex128)}, "is complex128"),
        ({"param/a": np.array([{}])}, "is object"),
    ],
)
def test_what_could_not_be_read_is_not_written(tmp_path: Path, arrays: dict[str, Array], expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        checkpoint.save(tmp_path / "a.npz", {}, arrays)
    assert os.listdir(tmp_path) == []


def test_a_meta_that_could_not_be_read_is_not_written(tmp_path: Path) -> None:
    for meta in ({"text": "x" * 5_000_000}, {"list": [0] * 1_000_000}):
        with pytest.raises(UsageError, match=r"0 arrays and the config .* more than would be read again"):
            checkpoint.save(tmp_path / "a.npz", meta, {})


# -- which file, and whose -------------------------------------------------------------------------------------------


def test_find_takes_best_then_last(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(CheckpointError, match=r"holds neither checkpoints/best\.npz nor checkpoints/last\.npz"):
        checkpoint.find(tmp_path)
    for name in ("last.npz", "best.npz"):
        checkpoint.save(tmp_path / "checkpoints" / name, META, small())
        assert checkpoint.find(tmp_path) == tmp_path / "checkpoints" / name
    file = tmp_path / "checkpoints" / "last.npz"
    assert checkpoint.find(file) == file
    (tmp_path / "latest").symlink_to(tmp_path)
    assert checkpoint.find(tmp_path / "latest").name == "best.npz"


def test_a_folder_of_runs_taken_for_one_is_told_of_the_latest(tmp_path: Path) -> None:
    (tmp_path / "latest/checkpoints").mkdir(parents=True)
    (tmp_path / "checkpoints").mkdir()
    meant = f"Did you mean {tmp_path}/latest?"
    with pytest.raises(CheckpointError) as caught:
        checkpoint.find(tmp_path)
    assert str(caught.value).endswith(meant)
    for name, hint in (("checkpoints/last.npz", meant), ("else/last.npz", WANTED), ("last.npz", WANTED)):
        with pytest.raises(CheckpointError) as caught:
            checkpoint.read(tmp_path / name)
        assert str(caught.value).endswith(hint)


@pytest.mark.parametrize("closed", ["run", "run/checkpoints", "run/checkpoints/best.npz"])
def test_where_one_may_not_look_no_checkpoint_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, closed: str
) -> None:
    best = tmp_path / "run" / "checkpoints" / "best.npz"
    best.parent.mkdir(parents=True)
    checkpoint.save(best, META, small())
    close(monkeypatch, tmp_path / closed)
    unread = f"{best} cannot be read: Permission denied. Check the permissions"
    unseen = f"cannot look into {tmp_path / closed}: Permission denied. Check the permissions"
    with pytest.raises(CheckpointError) as caught:
        checkpoint.read(checkpoint.find(tmp_path / "run"))
    assert str(caught.value) == (unread if closed.endswith(".npz") else unseen)
    with pytest.raises(CheckpointError) as caught:
        checkpoint.read(best)
    assert str(caught.value) == unread


@pytest.mark.parametrize("name", ["none", "n" * 300, "nul\0"])
def test_find_names_the_absolute_path_of_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError) as caught:
        checkpoint.find(Path(name))
    assert str(tmp_path / name) in str(caught.value)


def test_expect_lists_the_first_three_differences(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "a.npz", META, example())
    found = checkpoint.read(tmp_path / "a.npz")
    found.expect(declared(example()))
    other = declared(example())
    other["param/stem.weight"] = ((3, 3, 1, 8), np.float32)
    other["param/stem.bias"] = ((4,), np.float64)
    other["param/head.weight"] = ((8, 2), np.float32)
    del other["metric/epoch"]
    with pytest.raises(CheckpointError) as caught:
        found.expect(other)
    assert str(caught.value) == (
        f"{tmp_path}/a.npz is a checkpoint of another network or optimizer: "
        "its 'param/stem.weight' is float32 (3, 3, 1, 4), the config declares float32 (3, 3, 1, 8); "
        "its 'param/stem.bias' is float32 (4,), the config declares float64 (4,); "
        "it lacks 'param/head.weight'; and 1 more. Use the config it was trained with"
    )
    with pytest.raises(CheckpointError, match="it has 'metric/epoch', which the config does not declare"):
        found.expect({name: value for name, value in declared(example()).items() if name != "metric/epoch"})


def test_expect_can_be_of_one_prefix(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "a.npz", META, example())
    found = checkpoint.read(tmp_path / "a.npz")
    params = {name: value for name, value in declared(example()).items() if name.startswith("param/")}
    found.expect(params, prefix="param/")
    del params["param/stem.bias"]
    with pytest.raises(CheckpointError, match=r"it has 'param/stem\.bias', which the config does not declare"):
        found.expect(params, prefix="param/")


def test_require_names_what_the_meta_lacks(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "a.npz", META, small())
    found = checkpoint.read(tmp_path / "a.npz")
    found.require(config=dict, classes=list, position__step=int)
    found.meta["position"]["finished"] = True
    for lacking in (
        {"values": dict},
        {"position__finished": int},
        {"position__step": str},
        {"position__lr": int},
        {"classes__0": str},
    ):
        name = next(iter(lacking)).replace("__", ".")
        with pytest.raises(CheckpointError, match=f"its meta has no {name}"):
            found.require(**lacking)


# -- damage ----------------------------------------------------------------------------------------------------------

WANTED = "Give a .npz file written by cnntrain, or a run directory"


def test_each_kind_of_trouble_has_its_own_message(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    assert refused(path) == f"there is no checkpoint a.npz (that is a.npz). {WANTED}"
    os.mkfifo(path)
    assert refused(path) == f"a.npz is not a regular file. {WANTED}"
    path.unlink()
    path.mkdir()
    assert refused(path) == f"a.npz cannot be read: Is a directory. {WANTED}"
    path.rmdir()
    for content, expected in [
        (b"", "a.npz is damaged: it is empty (0 bytes). Restore it from a copy"),
        (b"PK\x03\x04", "a.npz is damaged: it is truncated: it ends before its directory. Restore it from a copy"),
        (b"\x89HDF\r\n", f"a.npz is not a checkpoint of cnntrain: it does not begin like one. {WANTED}"),
        (b"PK", f"a.npz is not a checkpoint of cnntrain: it does not begin like one. {WANTED}"),
    ]:
        path.write_bytes(content)
        assert refused(path) == expected
    np.savez(path, weights=np.zeros(3))
    assert refused(path) == f"a.npz is not a checkpoint of cnntrain: it has no meta. {WANTED}"
    write(path, forged(format=3, min_reader=3, cnntrain="0.9"), small())
    assert refused(path) == (
        "a.npz was written by cnntrain '0.9' (format 3), this one reads up to 1. Install a newer cnntrain"
    )


def test_compressed_members_are_refused(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "a.npz", META, small())
    with np.load(tmp_path / "a.npz", allow_pickle=False) as found:
        np.savez_compressed(tmp_path / "b.npz", **dict(found))
    assert "its member 'meta.npy' is compressed or encrypted" in refused(tmp_path / "b.npz")


def test_every_truncation_is_found(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "whole.npz", META, small())
    whole = (tmp_path / "whole.npz").read_bytes()
    path = tmp_path / "folder" / "a.npz"
    path.parent.mkdir()
    for length in range(4, len(whole), 7):
        path.write_bytes(whole[:length])
        assert refused(path) == (
            "a.npz is damaged: it is truncated: it ends before its directory. Restore it from a copy"
        )


def test_damage_names_the_next_best_sound_file_and_does_not_use_it(tmp_path: Path) -> None:
    hints = {"epoch-10001": "last", "last": "best", "best": "epoch-10000", "epoch-10000": "epoch-9999"}
    for name in (*hints, "epoch-9999"):
        checkpoint.save(tmp_path / f"{name}.npz", META, small())
    whole = (tmp_path / "last.npz").read_bytes()
    for name, hint in hints.items():
        damaged = bytearray(whole)
        damaged[whole.index(np.array(11, "<f4").tobytes())] ^= 1
        (tmp_path / f"{name}.npz").write_bytes(damaged)
        assert refused(tmp_path / f"{name}.npz") == (
            f"{name}.npz is damaged: 'param/w' does not match its SHA-256. {hint}.npz is sound: name it to use it"
        )
    (tmp_path / "epoch-9999.npz").unlink()
    assert refused(tmp_path / "last.npz").endswith("Restore it from a copy")


def test_what_is_no_help_beside_a_damaged_file_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / checkpoint.FOLDER
    folder.mkdir()
    for name in ("elsewhere", "checkpoints/epoch-0001", "checkpoints/epoch-0002"):
        checkpoint.save(tmp_path / f"{name}.npz", META, small())
    (folder / "last.npz").write_bytes(b"PK\x03\x04")
    (folder / "best.npz").symlink_to(tmp_path / "elsewhere.npz")
    opened = os.open

    def failing(path: Any, *arguments: Any, **further: Any) -> int:
        if str(path).endswith("epoch-0002.npz"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return opened(path, *arguments, **further)

    monkeypatch.setattr(os, "open", failing)
    cure = "to go on from it, copy it over last.npz: cp epoch-0001.npz last.npz"
    assert refused(folder / "last.npz").endswith(f"epoch-0001.npz is sound: name it to use it; {cure}")


def test_of_the_sound_files_beside_a_damaged_one_the_newest_is_named(tmp_path: Path) -> None:
    for name, step in (("best", 2), ("epoch-0002", 4), ("epoch-0001", 6)):
        checkpoint.save(tmp_path / f"{name}.npz", META | {"position": {"step": step}}, small())
    (tmp_path / "last.npz").write_bytes(b"PK\x03\x04")
    assert refused(tmp_path / "last.npz").endswith("epoch-0001.npz is sound: name it to use it")


# -- hostility -------------------------------------------------------------------------------------------------------


def without(name: str, **entry: Any) -> dict[str, Any]:
    """The table with one entry changed."""
    return table(small()) | {name: table(small())[name] | entry}


HOSTILE: dict[str, tuple[dict[str, Any], str]] = {
    "a table that lacks an array": (forged(arrays=table({})), "'param/w' is not in its table"),
    "a table with one too many": (forged(arrays=table(example()) | table(small())), "is missing"),
    "no table": (forged(arrays=None), "its table of arrays is missing"),
    "an entry that is no object": (
        forged(arrays=table(small()) | {"param/w": 3}),
        "lacks the dtype, shape or SHA-256 of 'param/w'",
    ),
    "no digest": (forged(arrays=without("param/w", sha256=None)), "'param/w' has no SHA-256"),
    "another digest": (forged(arrays=without("param/w", sha256="0" * 64)), "does not match its SHA-256"),
    "an object array": (forged(arrays=without("param/w", dtype="|O")), "has the dtype '|O'"),
    "a dtype that is no text": (forged(arrays=without("param/w", dtype=["<f4"])), "has the dtype ['<f4']"),
    "a larger dtype": (forged(arrays=without("param/w", dtype="<f8")), "header contradicts"),
    "a shape bomb": (forged(arrays=without("param/w", shape=[2**31, 2**31])), "has the shape"),
    "an empty shape bomb": (forged(arrays=without("param/w", shape=[0, 2**60])), "has the shape"),
    "negative sizes": (forged(arrays=without("param/w", shape=[-3, -4])), "has the shape [-3, -4]"),
    "a shape of floats": (forged(arrays=without("param/w", shape=[3.0, 4])), "has the shape"),
    "a shape of truths": (forged(arrays=without("param/w", shape=[True, 12])), "has the shape"),
    "too many dimensions": (forged(arrays=without("param/w", shape=[1] * 9)), "has the shape"),
    "a transposed shape": (forged(arrays=without("param/w", shape=[4, 3])), "header contradicts"),
    "no format": (forged(format=None), "names no format"),
    "a format that is a truth": (forged(format=True), "names no format"),
    "a format of nothing": (forged(format=0, min_reader=0), "names no format"),
    "a reader newer than the format": (forged(format=1, min_reader=2), "names no format"),
    "a version of many lines": (forged(format=9, min_reader=9, cnntrain="9\n\x1b[31m" * 99), "(format 9)"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_forged_meta_is_refused(tmp_path: Path, case: str) -> None:
    meta, expected = HOSTILE[case]
    path = write(tmp_path / "a.npz", meta, small())
    assert expected in refused(path)
    if "digest" not in case:  # known without reading arrays
        with pytest.raises(CheckpointError):
            checkpoint.read_meta(path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "cannot be read"),
        (b"[1]", "is not an object"),
        (b'{"format":1,"format":1}', "a key stands twice"),
        (b'{"format":NaN}', "NaN is not JSON"),
        (b'{"format":1e999}', "too large"),
        (b'{"format":' + b"9" * 5000 + b"}", "too large"),
        (b'{"a":' + b"[" * 200 + b"]" * 200 + b"}", "nested too deeply"),
        (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        (b'{"a":"\\ud800"}', "half a character"),
    ],
    ids=range(10),
)
def test_strange_json_is_refused(tmp_path: Path, text: bytes, expected: str) -> None:
    assert expected in refused(write(tmp_path / "a.npz", text, {}))


@pytest.mark.parametrize("name", ["other/w", "param/\x1b[31mw", "x/\n", "w", "../w"])
def test_strange_names_are_refused(tmp_path: Path, name: str) -> None:
    arrays = {name: np.zeros(3)}
    refused(write(tmp_path / "a.npz", forged(arrays=table(arrays)), arrays))


def test_headers_must_say_what_the_meta_says(tmp_path: Path) -> None:
    good = npy(small()["param/w"])
    for changed in (
        good.replace(b"False", b"True "),
        good.replace(b"'<f4'", b"'>f4'"),
        good.replace(b"NUMPY\x01", b"NUMPY\x02"),
        good.replace(b"(3, 4)", b"(12,) "),
        good[:20],
        good[:9],
        b"",
        good + b"\0",
    ):
        more = {"param/w.npy": changed, "slot/m/w.npy": npy(small()["slot/m/w"])}
        refused(write(tmp_path / "a.npz", forged(), {}, **more))


def members_of(meta: bytes, count: int = 0) -> Callable[[], bytes]:
    members = {"meta.npy": [npy(np.frombuffer(meta, np.uint8))]} | {str(number): [b""] for number in range(count)}
    return lambda: b"".join(archive.pack(members))


def crowd() -> bytes:
    """A file of nothing but directory entries, as many as fit."""
    entry = archive._CENTRAL.pack(b"PK\x01\x02", 20, 20, 0, 0, 0, 33, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    count = 60_000
    return b"PK\x03\x04" + entry * count + archive._end(count, len(entry) * count, 4)


@pytest.mark.parametrize(
    ("make", "expected"),
    [  # as much as the limits let through, then beyond them
        (members_of(b"[" + b"[]," * 199_000 + b"[]]"), "is not an object"),
        (members_of(b"[" + b'{"a":0},' * 65_000 + b"0]"), "is not an object"),
        (members_of(b"{" + b",".join(b'"%06x":"%x"' % (n, n) for n in range(99_000)) + b"}"), "names no format"),
        (members_of(b"[" + b",".join(b'"%x"' % n for n in range(390_000)) + b"]"), "is not an object"),
        (members_of(b"[" + '"é€",'.encode() * 390_000 + b"0]"), "is not an object"),
        (members_of(b"[" + b"0.1," * 390_000 + b"0]"), "is not an object"),
        (members_of(b'["' + b"x" * 4_100_000 + "😀".encode() + b'"]'), "is not an object"),
        (members_of(b"{}", 9_999), "names no format"),
        (members_of(b"[" + b"[]," * 1_300_000 + b"[]]"), "its meta has 3900004 bytes"),
        (members_of(b"x" * 20_000_000), "its meta has 20000128 bytes"),
        (crowd, "it holds 60,000 members"),
    ],
    ids=range(11),
)
def test_hostile_files_cannot_take_memory(tmp_path: Path, make: Callable[[], bytes], expected: str) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(make())
    size = path.stat().st_size
    tracemalloc.start()
    message = refused(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < size + 64e6
    assert expected in message


# -- versions --------------------------------------------------------------------------------------------------------


def test_additions_of_later_versions_are_passed_over(tmp_path: Path) -> None:
    arrays = small() | {"x/sketch": np.zeros(3)}
    meta = forged(format=2, min_reader=1, arrays=table(arrays), mood="new")
    assert bits(checkpoint.read(write(tmp_path / "a.npz", meta, arrays)).arrays) == bits(small())


def test_old_formats_are_upgraded_step_by_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.npz"
    checkpoint.save(path, {"trace": ["1"]}, small())
    before = path.read_bytes()

    def step(meta: dict[str, Any], arrays: dict[str, Array]) -> tuple[dict[str, Any], dict[str, Array]]:
        return meta | {"trace": [*meta["trace"], str(len(meta["trace"]) + 1)]}, arrays

    monkeypatch.setattr(checkpoint, "FORMAT", 3)
    monkeypatch.setattr(checkpoint, "UPGRADES", {1: step, 2: step})
    assert checkpoint.read(path).meta["trace"] == ["1", "2", "3"]
    assert path.read_bytes() == before


def test_every_format_down_to_the_first_has_its_upgrade() -> None:
    assert sorted(checkpoint.UPGRADES) == list(range(1, checkpoint.FORMAT))
