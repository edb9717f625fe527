"""A listener is a socket on this machine's own address, 127.0.0.1, which no other machine reaches."""

from __future__ import annotations

import errno
import socket

from cnntrain.core.errors import StorageError, UsageError

PORT = 8265
_PORTS = 50  # that are tried


def listening(port: int | None) -> socket.socket:
    """A socket on 127.0.0.1 at that port, by default at the first free one. Raises UsageError where there is none."""
    for number in range(PORT, PORT + _PORTS) if port is None else (port,):
        found = socket.socket()
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            found.bind(("127.0.0.1", number))
            found.listen()
            return found
        except OSError as error:
            found.close()
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise StorageError(f"cannot listen on 127.0.0.1:{number}: {error.strerror}") from error
    tried = f"ports {PORT} to {PORT + _PORTS - 1} are" if port is None else f"port {port} is"
    raise UsageError(f"{tried} not free. Name another with --port")


def address(listener: socket.socket, token: str) -> str:
    """What to open in a browser."""
    return f"http://127.0.0.1:{listener.getsockname()[1]}/?token={token}"
