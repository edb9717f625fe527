"""Threads: as many as the system gives, without a signal among them."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from cnntrain.core.threads import start


def test_fewer_are_started_where_the_system_gives_fewer(monkeypatch):
    begin, asked = threading.Thread.start, []

    def limited(thread):
        asked.append(thread)
        if len(asked) > 2:
            raise RuntimeError("can't start new thread")
        begin(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)
    threads = [threading.Thread(target=lambda: None) for _ in range(5)]
    running = start(threads)
    assert running == threads[:2]
    assert len(asked) == 3  # the next would fare no better
    for thread in running:
        thread.join()


def test_a_signal_waits_until_they_have_begun(monkeypatch):
    class Stop(Exception):
        pass

    def stop(_number, _frame):
        assert threading.current_thread() is threading.main_thread()
        raise Stop

    begin, seen = threading.Thread.start, []

    def interrupted(thread):
        os.kill(os.getpid(), signal.SIGTERM)
        begin(thread)
        seen.append(thread)

    before = signal.signal(signal.SIGTERM, stop)
    monkeypatch.setattr(threading.Thread, "start", interrupted)
    threads = [threading.Thread(target=lambda: None) for _ in range(3)]
    try:
        with pytest.raises(Stop):
            start(threads)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert seen == threads
    for thread in threads:
        thread.join()
