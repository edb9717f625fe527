"""Decoded files: the same values with the cache cold, warm, shared, full or damaged, and by any number of threads."""

from __future__ import annotations

import errno
import os
import re
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cnntrain.core import files, storage
from cnntrain.core.errors import DataError, OutOfMemoryError, StorageError
from cnntrain.reading import decoded as module
from cnntrain.reading.decoded import Content, Recipe, Sample, decoded
from cnntrain.reading.input_files import reading
from cnntrain.reading.reader import Reader
from cnntrain.reading.stored import Stored


class Decoder:
    """Decodes text files of three numbers, and counts how often."""

    def __init__(self) -> None:
        self.calls = 0
        self._lock = threading.Lock()

    def __call__(self, sample: Sample) -> Content:
        with self._lock:
            self.calls += 1
        text = sample[0].read_text()
        if text == "bad":
            raise DataError(f"{sample[0]}: damaged")
        return Content(np.array([[text.split()]], np.float32), "are negative" if text.startswith("-") else "")


def write(folder: Path, *texts: str) -> list[Sample]:
    folder.mkdir(exist_ok=True)
    samples = [(folder / f"{number:02}.txt",) for number in range(len(texts))]
    for sample, text in zip(samples, texts, strict=True):
        sample[0].write_text(text)
    return samples


@pytest.fixture
def samples(tmp_path: Path) -> list[Sample]:
    return write(tmp_path / "data", *(f"{number} {number * number} 1" for number in range(20)))


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def reader(tmp_path: Path, said: list[str]) -> Reader:
    return Reader(threads=3, cache=tmp_path / "cache", say=said.append, warn=said.append)


def recipe(decoder: Decoder, skip: bool = False, **settings: int) -> Recipe:
    return Recipe(decoder, settings, "numbers", skip)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_of_no_samples_no_file_is_made(reader: Reader, said: list[str]) -> None:
    assert len(decoded([], recipe(Decoder()), reader).values) == 0
    assert not said
    assert reader.cache is not None
    assert not reader.cache.exists()


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_cold_and_warm_and_without_a_cache(samples: list[Sample], reader: Reader, threads: int) -> None:
    decoder = Decoder()
    reader = replace(reader, threads=threads)
    cold = decoded(samples, recipe(decoder), reader)
    assert decoder.calls == len(samples)
    warm = decoded(samples, recipe(decoder), reader)
    assert decoder.calls == len(samples)  # no file is decoded twice
    plain = decoded(samples, recipe(decoder), replace(reader, cache=None))
    assert cold.values.shape == (20, 1, 1, 3)
    for found in (cold, warm, plain):
        assert found.values.dtype == np.float32
        assert np.array_equal(found.values[:][:, 0, 0, 1], np.arange(20.0) ** 2)
        assert np.array_equal(found.kept, np.arange(20))
        assert found.skipped == ()
    assert isinstance(warm.values, Stored)


def test_what_changes_the_values_changes_the_file(samples: list[Sample], reader: Reader, said: list[str]) -> None:
    decoder = Decoder()
    assert reader.cache is not None
    decoded(samples, recipe(decoder, size=1), reader)
    decoded(samples, recipe(decoder, size=2), reader)
    samples[3][0].write_text("7 7 7")
    assert decoded(samples, recipe(decoder, size=1), reader).values[3:4].tolist() == [[[[7, 7, 7]]]]
    assert decoded(samples[::-1], recipe(decoder, size=1), reader).values[19:].tolist() == [[[[0, 0, 1]]]]
    assert len(names(reader.cache)) == 4
    assert said == [f"decoding 20 numbers into {reader.cache}, once"] * 4


def test_files_that_were_moved_are_known_by_what_they_hold(samples: list[Sample], reader: Reader) -> None:
    decoder = Decoder()
    decoded(samples, recipe(decoder), reader)
    moved = samples[0][0].parent.rename(samples[0][0].parent.with_name("moved"))
    decoded([(moved / path.name,) for (path,) in samples], recipe(decoder), reader)
    assert decoder.calls == len(samples)


@pytest.mark.parametrize("cached", [True, False])
def test_what_cannot_be_read(tmp_path: Path, reader: Reader, said: list[str], cached: bool) -> None:
    samples = write(tmp_path / "data", "1 1 1", "bad", "3 3 3", "bad")
    (tmp_path / "data" / "03.txt").unlink()

    def decode(sample: Sample) -> Content:
        try:
            return Decoder()(sample)
        except OSError as error:
            raise DataError(f"cannot read {sample[0]}: gone") from error

    reader = reader if cached else replace(reader, cache=None)
    first = f"2 of 4 numbers unreadable, first: {samples[1][0]}: damaged"
    with pytest.raises(DataError) as caught:
        decoded(samples, Recipe(decode, {}, "numbers"), reader)
    assert str(caught.value) == f"{first}. Mend or remove them"
    assert not cached or names(tmp_path / "cache") == set()  # nothing is kept, and no half of it
    for _ in range(2):
        del said[:]
        found = decoded(samples, Recipe(decode, {}, "numbers", skip=True), reader)
        assert found.values[:][:, 0, 0, 0].tolist() == [1, 3]
        assert found.kept.tolist() == [0, 2]
        assert found.skipped == (f"{samples[1][0]}: damaged", f"cannot read {samples[3][0]}: gone")
        assert said[-1] == f"{first}. Skipped, as the config says"
    with pytest.raises(DataError, match="2 of 4"):  # also where the cache knows them already
        decoded(samples, Recipe(decode, {}, "numbers"), reader)
    with pytest.raises(DataError, match="1 of 1 numbers unreadable"):
        decoded(samples[1:2], Recipe(decode, {}, "numbers", skip=True), reader)


def test_long_decoding_says_how_far_it_is(
    samples: list[Sample], reader: Reader, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SAY_EVERY", -1.0)
    decoded(samples, recipe(Decoder()), reader)
    assert said[1:] == [f"decoded {number} of 20 numbers" for number in range(1, 21)]


def test_notes_are_told_once_each_time(tmp_path: Path, reader: Reader, said: list[str]) -> None:
    samples = write(tmp_path / "data", "1 1 1", "-2 1 1", "-3 1 1")
    for _ in range(2):
        decoded(samples, recipe(Decoder()), reader)
        assert said[-1] == f"2 numbers are negative; the first is {samples[1][0]}"


def test_different_shapes(tmp_path: Path, reader: Reader) -> None:
    samples = write(tmp_path / "data", "1 1 1", "1 1")
    shapes = {samples[0]: (4, 6, 3), samples[1]: (5, 6, 3)}
    unequal = Recipe(lambda sample: Content(np.zeros(shapes[sample])), {}, "numbers")
    with pytest.raises(DataError, match=r"01.txt is 5x6 \(height x width\), .*00.txt is 4x6: expected one size"):
        decoded(samples, unequal, reader)


@pytest.mark.parametrize("when", ["the directory", "the start", "the middle", "the end"])
def test_a_full_disk(
    samples: list[Sample], reader: Reader, said: list[str], monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    assert reader.cache is not None
    written = []

    def write(descriptor: int, data: bytes) -> int:
        written.append(data)
        if len(written) > {"the start": 0, "the middle": 10, "the end": 21}[when]:
            raise full
        return real(descriptor, data)

    def mkdir(*_: object, **__: object) -> None:
        raise full

    real = os.write
    monkeypatch.setattr(files, "_GATHERED", 0)  # every sample is written on its own
    if when == "the directory":
        monkeypatch.setattr(files.os, "makedirs", mkdir)
    else:
        monkeypatch.setattr(files.os, "write", write)
    found = decoded(samples, recipe(Decoder()), reader)
    assert found.values[:][:, 0, 0, 0].tolist() == list(range(20))
    assert "No space left on device" in said[-1]
    assert said[-1].endswith("Going on without a cache: numbers are held in memory")
    monkeypatch.undo()
    assert when == "the directory" or names(reader.cache) == set()
    with pytest.raises(OutOfMemoryError, match="20 numbers need"):
        decoded(samples, recipe(Decoder()), replace(reader, cache=None, memory=100))


def test_a_disk_that_is_known_to_be_too_small_is_not_filled(
    samples: list[Sample], reader: Reader, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "free", lambda directory: 239)
    assert decoded(samples, recipe(Decoder()), reader).values.shape == (20, 1, 1, 3)
    assert "has no room for the decoded numbers (needs 240 bytes, 239 bytes free)" in said[-1]
    monkeypatch.setattr(storage, "free", lambda directory: 240)
    assert isinstance(decoded(samples, recipe(Decoder()), reader).values, Stored)


@pytest.mark.parametrize("damage", ["cut", "longer", "empty", "nonsense", "another", "200 bytes"])
def test_a_damaged_file_is_made_again(samples: list[Sample], reader: Reader, said: list[str], damage: str) -> None:
    assert reader.cache is not None
    decoded(samples, recipe(Decoder(), size=2), reader)
    (another,) = reader.cache.iterdir()
    decoded(samples, recipe(Decoder()), reader)
    (path,) = set(reader.cache.iterdir()) - {another}
    data = path.read_bytes()
    damaged = {"cut": data[:-3], "longer": data + b"x", "empty": b"", "nonsense": b"\0" * 100}
    damaged |= {"another": another.read_bytes(), "200 bytes": bytes(byte ^ 1 for byte in data[:200]) + data[200:]}
    path.write_bytes(damaged[damage])
    decoder = Decoder()
    for _ in range(2):
        found = decoded(samples, recipe(decoder), reader)
        assert found.values[:][:, 0, 0, 0].tolist() == list(range(20))
        assert decoder.calls == 20
    assert f"{path} is damaged" in said[-2]
    assert said[-1].startswith("decoding 20 numbers")
    assert path.read_bytes() == data


def test_any_flipped_bit_anywhere_is_found(samples: list[Sample], reader: Reader, said: list[str]) -> None:
    """Of the samples, their checksums and the description, when a run begins."""
    assert reader.cache is not None
    decoded(samples, recipe(Decoder()), reader)
    (path,) = reader.cache.iterdir()
    data = path.read_bytes()
    for place in range(len(data)):
        path.write_bytes(data[:place] + bytes([data[place] ^ (1 << place % 8)]) + data[place + 1 :])
        with pytest.raises(module._DamagedError):
            module._open(path, reader)
    path.write_bytes(data)
    module._open(path, reader)


@pytest.mark.parametrize("harm", ["flipped", "cut"])
def test_harm_done_while_it_is_used_is_found(samples: list[Sample], reader: Reader, harm: str) -> None:
    assert reader.cache is not None
    values = decoded(samples, recipe(Decoder()), reader).values
    (path,) = reader.cache.iterdir()
    if harm == "cut":
        os.truncate(path, 12 * 7 + 5)
    else:
        with path.open("r+b") as file:
            file.seek(12 * 7 + 5)
            file.write(b"\x55")
    assert values[np.array([0, 6])].tolist() == [[[[0, 0, 1]]], [[[6, 36, 1]]]]
    with pytest.raises(StorageError, match=f"{path}.*Run the command again: it is made again"):
        values[np.array([2, 7])]


@pytest.mark.parametrize("how", ["replaced", "rewritten", "replaced and brought back"])
def test_what_is_decoded_decides_and_not_what_lay_there_before(samples: list[Sample], reader: Reader, how: str) -> None:
    """A file that becomes another between hashing and decoding spoils no later run."""
    before = samples[3][0].read_text()
    decode, swapped = Decoder(), False

    def swapping(sample: Sample) -> Content:
        nonlocal swapped
        if sample != samples[3] or swapped:
            return decode(sample)
        swapped = True
        if how == "rewritten":
            sample[0].write_text("7 7 7")
        else:
            other = sample[0].with_suffix(".new")
            other.write_text("7 7 7")
            other.replace(sample[0])
        content = decode(sample)
        if how == "replaced and brought back":
            other.write_text(before)
            other.replace(sample[0])
        return content

    found = decoded(samples, Recipe(swapping, {}, "numbers"), reader)
    there = samples[3][0].read_text()
    assert found.values[3:4].tolist() == [[[[float(word) for word in there.split()]]]]
    for text in (before, "7 7 7"):
        samples[3][0].write_text(text)
        values = decoded(samples, recipe(decode), reader).values
        assert values[3:4].tolist() == [[[[float(word) for word in text.split()]]]]


def test_a_file_that_never_rests(samples: list[Sample], reader: Reader) -> None:
    def growing(sample: Sample) -> Content:
        with sample[0].open("a") as file:
            file.write(" ")
        return Decoder()(sample)

    with pytest.raises(StorageError, match=r"00\.txt changes while it is read"):
        decoded(samples, Recipe(growing, {}, "numbers"), reader)


PASSING = [errno.EMFILE, errno.ENFILE, errno.ESTALE, errno.ENOMEM, errno.EIO, errno.ETIMEDOUT, errno.EAGAIN]


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("number", PASSING, ids=[errno.errorcode[number] for number in PASSING])
def test_a_passing_shortage_leaves_nothing_out(
    samples: list[Sample], reader: Reader, number: int, cached: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither where files are hashed nor where they are decoded, and no later run hears of it."""
    reader = reader if cached else replace(reader, cache=None)
    real = module._digest

    def fails(sample: Sample) -> Content:
        with reading(sample[0]):
            raise OSError(number, os.strerror(number))

    def digest_fails(sample: Sample) -> bytes:
        return real(sample) if sample != samples[5] else fails(sample) and b""

    expected = OutOfMemoryError if number == errno.ENOMEM else StorageError
    short = Recipe(
        lambda sample: Decoder()(sample) if sample != samples[5] else fails(sample), {}, "numbers", skip=True
    )
    with pytest.raises(expected, match=re.escape(f"cannot read {samples[5][0]}: {os.strerror(number)}")):
        decoded(samples, short, reader)
    if cached:
        monkeypatch.setattr(module, "_digest", digest_fails)
        with pytest.raises(expected, match=re.escape(f"cannot read {samples[5][0]}: {os.strerror(number)}")):
            decoded(samples, recipe(Decoder(), skip=True), reader)
        monkeypatch.undo()
    assert decoded(samples, recipe(Decoder(), skip=True), reader).skipped == ()


def test_a_failure_that_looked_like_the_files_own_is_tried_again(
    samples: list[Sample], reader: Reader, said: list[str]
) -> None:
    """As where a decoder got no memory and calls the file damaged."""
    short = True

    def decode(sample: Sample) -> Content:
        if short and sample == samples[5]:
            raise DataError(f"{sample[0]}: damaged")
        return Decoder()(sample)

    wanted = Recipe(decode, {}, "numbers", skip=True)
    assert decoded(samples, wanted, reader).skipped == (f"{samples[5][0]}: damaged",)
    assert decoded(samples, wanted, reader).skipped == (f"{samples[5][0]}: damaged",)
    short = False
    for _ in range(2):
        assert decoded(samples, wanted, reader).values[5:6].tolist() == [[[[5, 25, 1]]]]
    assert said.count("numbers that could not be read can be read now") == 1


def test_several_at_a_time(samples: list[Sample], reader: Reader) -> None:
    """They all get the right values, and one whole file remains."""
    results: list[np.ndarray] = []
    assert reader.cache is not None

    def work() -> None:
        results.append(decoded(samples, recipe(Decoder()), reader).values)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 6
    assert all(np.array_equal(values[:][:, 0, 0, 0], np.arange(20)) for values in results)
    assert len(names(reader.cache)) == 1


def test_a_file_removed_while_it_is_used_stays_readable(samples: list[Sample], reader: Reader) -> None:
    found = decoded(samples, recipe(Decoder()), reader)
    assert reader.cache is not None
    for path in reader.cache.iterdir():
        path.unlink()
    assert found.values[19:].tolist() == [[[[19, 361, 1]]]]


def test_what_a_killed_process_left_is_removed_and_what_is_being_written_is_not(
    samples: list[Sample], reader: Reader
) -> None:
    """Whatever their numbers: in containers every process is number 1, or this one's."""
    assert reader.cache is not None
    reader.cache.mkdir()
    left = [reader.cache / f"{files.TEMPORARY}{number}-0123" for number in (1, os.getpid(), 2**22 + 1)]
    for path in left:
        path.write_bytes(b"half")
    mine, descriptor = files._create_owned(reader.cache)
    decoded(samples, recipe(Decoder()), reader)
    os.close(descriptor)
    assert names(reader.cache) - {mine.name} == {path.name for path in reader.cache.glob("*.decoded")}
    assert mine.exists()
    samples[0][0].write_text("9 9 9")
    decoded(samples, recipe(Decoder()), reader)
    assert not mine.exists()


def test_a_process_that_is_killed_while_it_decodes_leaves_nothing_for_long(
    samples: list[Sample], reader: Reader
) -> None:
    assert reader.cache is not None
    for _ in range(3):
        child = os.fork()
        if not child:
            kill = Recipe(lambda sample: os.kill(os.getpid(), 9) or Content(np.zeros(3)), {}, "numbers")  # type: ignore[func-returns-value]
            try:
                decoded(samples, kill, replace(reader, threads=1))
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -9
        assert len(names(reader.cache)) == 1
    decoded(samples, recipe(Decoder()), reader)
    assert [name for name in names(reader.cache) if files.TEMPORARY in name] == []


def anonymous() -> int:
    """Bytes of memory this process has to itself, what is mapped from files left out."""
    found = re.search(r"RssAnon:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) * 1024 if found else 0


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells how memory is used")
def test_more_than_memory_need_not_hold(tmp_path: Path, reader: Reader) -> None:
    """160 MB of pixels pass through a few: what a process has to itself does not grow with the data."""
    samples = write(tmp_path / "data", *map(str, range(80)))
    before, most = anonymous(), 0

    def decode(sample: Sample) -> Content:
        nonlocal most
        most = max(most, anonymous() - before)
        return Content(np.full((1000, 2000, 1), int(sample[0].read_text()), np.uint8))

    found = decoded(samples, Recipe(decode, {}, "numbers"), reader)
    for start in range(0, 80, 4):
        assert found.values[np.arange(start, start + 4)].max() == start + 3
        most = max(most, anonymous() - before)
    assert most < 80e6


def test_a_device_that_fails(samples: list[Sample], reader: Reader) -> None:
    def decode(sample: Sample) -> Content:
        raise StorageError(f"cannot read {sample[0]}: the device failed. Check the disk")

    with pytest.raises(StorageError, match="the device failed"):
        decoded(samples, Recipe(decode, {}, "numbers"), reader)


# The reader


def test_items_come_in_order_and_not_far_ahead() -> None:
    started: list[int] = []

    def work(item: int) -> int:
        started.append(item)
        return item * item

    results = Reader(threads=3).map(work, iter(range(100)))
    assert [next(results) for _ in range(5)] == [0, 1, 4, 9, 16]
    assert len(started) < 30
    assert list(results) == [number * number for number in range(5, 100)]
    assert list(Reader().map(work, [])) == []


def test_the_error_of_an_item_comes_out_and_giving_up_ends_the_threads() -> None:
    def work(item: int) -> int:
        if item == 7:
            raise ValueError("seven")
        return item

    with pytest.raises(ValueError, match="seven"):
        list(Reader(threads=2).map(work, range(50)))

    others = set(threading.enumerate())  # of tests whose error, which holds on to them, is still known
    results = Reader(threads=2).map(work, range(5))
    assert next(results) == 0
    assert len(set(threading.enumerate()) - others) == 2
    results.close()
    assert set(threading.enumerate()) <= others


def test_the_cache_is_where_runs_are() -> None:
    assert Path("runs/.cache") == module.CACHE
