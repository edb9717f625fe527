"""Whichever thread the system does not start (ulimit -u, pids.max, no memory for a stack), the result is the same."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import subprocess
import threading

import pytest

from cnntrain.cli import main
from cnntrain.core.errors import CnntrainError
from cnntrain.engine.pool import Pool
from cnntrain.reading.reader import Reader
from tests.support.experiments import evidence, write


def failing(monkeypatch: pytest.MonkeyPatch, first: int, last: int) -> list[int]:
    """Have the starts of threads with these numbers, from 0, fail; the list has as many as were tried."""
    begin, tried = threading.Thread.start, []

    def start(thread: threading.Thread) -> None:
        tried.append(len(tried))
        if first <= tried[-1] <= last:
            raise RuntimeError("can't start new thread")
        begin(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    return tried


@pytest.mark.parametrize("given", [0, 1, 2])
def test_a_reader_reads_with_the_threads_it_gets(monkeypatch, given):
    failing(monkeypatch, given, 99)
    assert list(Reader(threads=4).map(lambda number: number * number, range(100))) == [n * n for n in range(100)]


def test_a_reader_raises_in_the_place_of_the_item(monkeypatch):
    def refuse(number):
        if number == 7:
            raise CnntrainError("seven")
        return number

    for given in (0, 99):
        with monkeypatch.context() as patch:
            failing(patch, given, 99)
            results = Reader(threads=3).map(refuse, range(100))
            assert [next(results) for _ in range(7)] == list(range(7))
            with pytest.raises(CnntrainError, match="seven"):
                next(results)


@pytest.mark.filterwarnings("ignore:the system gives")
@pytest.mark.parametrize("given", [0, 1, 2])
def test_a_pool_works_with_the_threads_it_gets(monkeypatch, given):
    failing(monkeypatch, given, 99)
    done = []
    with Pool(4) as pool:
        assert pool.threads == given + 1
        pool.reserve()
        pool.run(20, lambda worker, index: done.append((worker, index)))
        pool.each(lambda worker: done.append((worker, -1)))
    assert sorted(index for _, index in done) == [-1] * (given + 1) + list(range(20))
    assert {worker for worker, _ in done} <= set(range(given + 1))


def test_a_pool_says_that_there_are_fewer(monkeypatch):
    failing(monkeypatch, 1, 99)
    with pytest.warns(RuntimeWarning, match="the system gives 2 of 4 threads"), Pool(4):
        pass


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that got all it asked for, what `eval` said of it, and its evidence."""
    folder = tmp_path_factory.mktemp("whole")
    with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()) as said:
        assert main(["fit", str(write(folder)), "-o", "RUN", "-q", "-j3", "-s", "train.epochs=1"]) == 0
        assert main(["eval", "RUN", "--json"]) == 0
    return said.getvalue(), evidence(folder / "RUN")


@pytest.mark.filterwarnings("ignore:the system gives")
@pytest.mark.parametrize("lost", range(8))
def test_fit_and_eval_do_without_any_thread_to_the_same_bit(cnntrain, config, desk, whole, monkeypatch, lost):
    said, expected = whole
    failing(monkeypatch, lost, lost + 1)
    outcome = cnntrain("fit", config, "-o", "lossy", "-q", "-j3", "-s", "train.epochs=1")
    assert outcome.code == 0, outcome.err
    assert evidence(desk / "lossy") == expected
    assert cnntrain("eval", "lossy", "--json", "-j3").out.replace("lossy", "RUN") == said


def test_fit_does_without_processes(cnntrain, config, desk, whole, monkeypatch):
    def fork() -> int:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(os, "fork", fork)
    assert cnntrain("fit", config, "-o", "lossy", "-q", "-j3", "-s", "train.epochs=1").code == 0
    assert evidence(desk / "lossy") == whole[1]


SWEEP = """\
config: full.yaml
set: {train.steps: 3, train.epochs: null, schedule: constant}
grid: {optimizer.lr: [0.1, 0.2]}
"""


def test_a_sweep_that_gets_no_process_says_so_and_one_that_gets_fewer_goes_on(cnntrain, config, tmp_path, monkeypatch):
    path = tmp_path / "many.yaml"
    path.write_text(SWEEP)
    begin, open_now = subprocess.Popen, []

    def limited(most: int):
        def start(*arguments, **options):
            open_now[:] = [process for process in open_now if process.poll() is None]
            if len(open_now) >= most:
                raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
            open_now.append(begin(*arguments, **options))
            return open_now[-1]

        return start

    monkeypatch.setattr(subprocess, "Popen", limited(0))
    outcome = cnntrain("sweep", path, "-o", "none")
    assert outcome.code == 7
    assert "ulimit -u" in outcome.err
    assert "standard output" not in outcome.err
    monkeypatch.setattr(subprocess, "Popen", limited(1))
    outcome = cnntrain("sweep", path, "-o", "some", "-p", "3")
    assert outcome.code == 0, outcome.err
