"""`cnntrain watch` serves a page on this machine that shows runs while they train."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import click

from cnntrain.cli.options import PATH, Command, WholeNumber, debug
from cnntrain.core import bounds, launcher, terminal

_TOKEN = "watch-token"  # a file of the user's own, kept so that an open page still works after a resume
_PATIENCE = 5.0  # seconds in which the page's process must end


@click.command(
    cls=Command,
    examples=[
        "cnntrain watch runs/quickstart/latest",
        "cnntrain watch runs/my-sweep",
        "cnntrain watch runs --port 8300",
    ],
)
@click.argument("runs", nargs=-1, required=True, type=PATH, metavar="RUN...")
@click.option(
    "--port",
    type=WholeNumber(bounds.PORT),
    metavar="PORT",
    help="Where to listen; by default the first free from 8265.",
)
@click.option("--listener", type=int, hidden=True, help="A socket that listens already; the token comes on stdin.")
@debug
def command(runs: tuple[Path, ...], port: int | None, listener: int | None) -> None:
    """Serve a page that shows RUN, or all runs below a folder, as they train. Ctrl-C ends it, with exit code 0.

    It shows curves, speed, time left and every run of a sweep or search; with `fit --watch` also the last batch, first
    filters and confusion matrix. It listens on 127.0.0.1 alone. From another machine, forward the port and open the
    same address there: ssh -L 8265:127.0.0.1:8265 HOST.
    """
    from cnntrain.core.errors import UsageError
    from cnntrain.core.presence import exists
    from cnntrain.core.secret_file import kept_secret
    from cnntrain.results.watch.listener import address, listening
    from cnntrain.results.watch.server import serve

    missing = [path for path in runs if not exists(path)]
    if missing and listener is None:
        raise UsageError(f"{missing[0]} does not exist (looked for {missing[0].absolute()}). Name run directories")
    over = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        over.set()

    if listener is None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, end)
        found, token = listening(port), kept_secret(_TOKEN)
        server = serve(found, list(runs), token)
        terminal.out(address(found, token), now=True)
        while not over.wait(0.5):
            pass
        server.shutdown()
        return
    server = serve(socket.socket(fileno=listener), list(runs), sys.stdin.readline().strip())
    sys.stdin.read()  # until the training that it shows is over, however it ends
    server.shutdown()


class Watching:
    """A page about a training, served by a process of its own so that it takes no time from the training."""

    def __init__(self) -> None:
        from cnntrain.core.secret_file import kept_secret
        from cnntrain.results.watch.listener import address, listening

        self._listener, token = listening(None), kept_secret(_TOKEN)
        self._token, self.address = token, address(self._listener, token)
        self._process: subprocess.Popen[bytes] | None = None

    def begin(self, run: Path) -> None:
        """Serve the page of a run from now on."""
        from cnntrain.sweep import child

        number = self._listener.fileno()
        arguments = child.command(["watch", str(run), "--listener", str(number)])
        quiet = subprocess.DEVNULL
        self._process = subprocess.Popen(
            arguments,
            env=launcher.without(),
            stdin=subprocess.PIPE,
            stdout=quiet,
            stderr=quiet,
            pass_fds=[number],
            start_new_session=True,
        )
        assert self._process.stdin
        self._process.stdin.write(self._token.encode() + b"\n")
        self._process.stdin.flush()

    def end(self) -> None:
        """Stop serving."""
        self._listener.close()
        if self._process is not None:
            assert self._process.stdin
            self._process.stdin.close()
            try:
                self._process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:  # nobody waits for a page
                self._process.kill()
                self._process.wait()


@contextmanager
def watching(wanted: bool) -> Iterator[Watching | None]:
    """Serve a page while the block runs, if it is wanted."""
    if not wanted:
        yield None
        return
    page = Watching()
    try:
        yield page
    finally:
        page.end()
