"""A sample's identity is what older runs have written of it, bit for bit."""

from __future__ import annotations

import hashlib

import numpy as np

from cnntrain.data import identity
from cnntrain.data.identity import SampleIdentity, identify
from cnntrain.parts.datasets.base import Images

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 2, 3, 1), np.uint8)


def digest(data: bytes) -> int:
    """By hand: the 8 bytes that BLAKE2b gives."""
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


def test_pixels_a_class_by_its_name_and_the_path_of_a_file():
    names = tuple(f"/dätä/{number}.png" for number in range(5))
    found = identify(Images(PIXELS, np.array([0, 1, 1, 0, 1]), ("cat", "dog"), names=names), np.array([3, 1]))
    assert found.pixels.tolist() == [digest(PIXELS[3].tobytes()), digest(PIXELS[1].tobytes())]
    assert found.targets.tolist() == [digest(b"cat"), digest(b"dog")]
    assert found.names.tolist() == [digest(names[3].encode()), digest(names[1].encode())]
    assert found.take(np.array([1])).names.tolist() == [digest(names[1].encode())]


def test_a_target_without_a_name_by_its_bytes():
    values = np.random.default_rng(1).random((5, 2)).astype(np.float32)
    found = identify(Images(PIXELS.astype(np.float32), values, ()), np.arange(5))
    assert found.targets.tolist() == [digest(row.tobytes()) for row in values.astype("<f4")]
    assert found.pixels.tolist() == [digest(row.tobytes()) for row in PIXELS.astype("<f4")]
    assert found.names is None
    assert len(identify(Images(PIXELS, values, ()), np.arange(0))) == 0


def test_how_many_are_read_at_a_time_does_not_matter(monkeypatch):
    monkeypatch.setattr(identity, "_CHUNK", 2)
    found = identify(Images(PIXELS, np.arange(5), tuple("abcde")), np.array([4, 2, 0, 1, 3]))
    assert found.pixels.tolist() == [digest(PIXELS[index].tobytes()) for index in (4, 2, 0, 1, 3)]


def test_samples_are_among_others_by_their_pixels_or_their_names():
    numbers = np.array([3, 2**64 - 1, 0, 7], np.uint64)
    mine = SampleIdentity(numbers, numbers, np.arange(4, dtype=np.uint64))
    others = SampleIdentity(numbers[[1, 0]], numbers[:2], np.array([3, 9], np.uint64))
    assert mine.among(others).tolist() == [True, True, False, True]
    assert not mine.among(others.take(np.empty(0, np.int64))).any()
