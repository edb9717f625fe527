"""The pool: every index once, errors come back, threads end."""

from __future__ import annotations

import multiprocessing
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


def test_a_forked_process_works_alone_with_a_lock_of_its_own():
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    with Pool(3) as pool:
        pool.run(3, lambda worker, index: None)

        def child() -> None:
            workers: list[int] = []
            with pool.computing:
                pool.run(5, lambda worker, index: workers.append(worker))
            pool.each(lambda worker: workers.append(-1))
            sender.send(workers)

        held, let_go = threading.Event(), threading.Event()

        def hold() -> None:
            with pool.computing:
                held.set()
                let_go.wait()

        holder = threading.Thread(target=hold)
        holder.start()
        held.wait()
        process = context.Process(target=child)
        process.start()
        try:
            assert receiver.poll(20), "the child hangs"
            assert receiver.recv() == [0] * 5 + [-1] * 3
        finally:
            let_go.set()
            holder.join()
            process.kill()
            process.join()


def test_a_pool_that_is_closed_while_another_thread_runs_leaves_nobody_waiting() -> None:
    for _ in range(300):
        pool = Pool(3)
        done: list[int] = []
        caller = threading.Thread(
            target=lambda pool=pool, done=done: [pool.run(3, lambda _w, i: done.append(i)) for _ in range(20)],
            daemon=True,
        )
        caller.start()
        pool.close()
        caller.join(20)
        assert not caller.is_alive()
        assert len(done) == 60
