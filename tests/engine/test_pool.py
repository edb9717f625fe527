"""The pool: every index once, errors come back, threads end."""

from __future__ import annotations

import threading

import pytest

from cnntrain.engine.pool import Pool


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 2, 50])
def test_every_index_runs_exactly_once(threads, count):
    done = [0] * count
    lock = threading.Lock()

    def task(worker: int, index: int) -> None:
        assert 0 <= worker < threads
        with lock:
            done[index] += 1

    with Pool(threads) as pool:
        for _ in range(3):
            pool.run(count, task)
    assert done == [3] * count


@pytest.mark.parametrize("threads", [1, 3])
def test_the_error_of_the_lowest_index_comes_back_and_the_pool_goes_on(threads):
    def fail(worker: int, index: int) -> None:
        if index >= 4:
            raise ValueError(f"index {index}")

    with Pool(threads) as pool:
        with pytest.raises(ValueError, match="index"):
            pool.run(20, fail)
        ran = []
        pool.run(3, lambda worker, index: ran.append(index))
        assert sorted(ran) == [0, 1, 2]


def test_closing_ends_the_threads():
    before = threading.active_count()
    pool = Pool(4)
    assert threading.active_count() == before + 3
    pool.close()
    assert threading.active_count() == before
