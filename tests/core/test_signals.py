"""Signals: handlers are installed where Python allows it, and nowhere else is it tried."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from cnntrain.core import signals
from tests.support.experiments import evidence, run, write

PROGRAM = """
import sys
try:
    import _interpreters
    interpreter = _interpreters.create("legacy")
except ImportError:
    import _xxsubinterpreters as _interpreters
    interpreter = _interpreters.create(isolated=False)
failed = _interpreters.run_string(interpreter, '''
import sys
sys.path[:] = {path!r}
import cnntrain
cnntrain.fit({config!r}, run_dir={run_dir!r}, threads=2)
''')
sys.exit(failed and failed.formatted)
"""


def test_handlers_are_installed_in_the_main_thread_alone() -> None:
    before = signal.getsignal(signal.SIGTERM)
    seen = []
    thread = threading.Thread(target=lambda: seen.append((signals.can_be_handled(), signals.in_subinterpreter())))
    thread.start()
    thread.join()
    assert seen == [(False, False)]
    assert (signals.can_be_handled(), signals.in_subinterpreter()) == (True, False)
    assert signal.getsignal(signal.SIGTERM) is before


def test_nor_are_they_in_a_subinterpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(number: int, handler: object) -> None:
        raise ValueError("signal only works in main thread of the main interpreter")

    monkeypatch.setattr(signal, "signal", refuse)
    assert (signals.can_be_handled(), signals.in_subinterpreter()) == (False, True)


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="has no subinterpreters")
def test_a_subinterpreter_trains_with_the_same_bits(tmp_path: Path) -> None:
    config, there = write(tmp_path), tmp_path / "there"
    run(config, tmp_path / "here")
    program = PROGRAM.format(path=sys.path, config=str(config), run_dir=str(there))
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert evidence(there) == evidence(tmp_path / "here")
