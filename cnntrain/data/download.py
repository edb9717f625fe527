"""A download fetches one file of known size and digest from whichever mirror has it.

What a mirror says is not trusted: only the digest decides. Its time is limited, whatever it sends meanwhile, and
so are its bytes. A transfer that breaks off is continued, from the same mirror or the next one, now or by a later
process.
"""

from __future__ import annotations

import functools
import hashlib
import http.client
import io
import socket
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from cnntrain.core import files
from cnntrain.core.bar import Bar
from cnntrain.core.directories import make_directory
from cnntrain.core.errors import DataError, StorageError
from cnntrain.core.partial_file import PartialFile
from cnntrain.data.manifest import digest
from cnntrain.reading.input_files import is_special

_PIECE = 2**16
_SLOWEST = 2**10  # bytes that must come within a timeout, or the mirror counts as stalled
_ATTEMPTS = 3  # at each mirror, each continuing the one before
_RATE = 2**14  # bytes a second that a mirror must reach on average
_MOST_HEADERS = 2**18  # bytes before the content of an answer, and again after it
_WRAPPING = 8  # times the bytes of a file that may arrive for it, as with tiny chunks
_LONGEST_REASON = 200
_HERE = ("127.0.0.1", "localhost", "::1")  # where http is as good as https


@dataclass(frozen=True)
class Remote:
    """A file as it was published: its name, bytes, SHA-256 in hex, and the folders that mirror it."""

    name: str
    size: int
    sha256: str
    mirrors: tuple[str, ...]


class _Limits:
    """The limits of one attempt: time until its headers are there, time in all, and bytes."""

    def __init__(self, timeout: float, deadline: float, size: int) -> None:
        self.timeout, self._deadline, self._size = timeout, deadline, size
        self._headers_until = time.monotonic() + timeout
        self._bytes = _MOST_HEADERS
        self.answers: list[http.client.HTTPResponse] = []  # to close, also those that urllib loses on the way

    def left(self) -> float:
        """Seconds that the next piece may take. Raises TimeoutError."""
        left = min(self._deadline, self._headers_until) - time.monotonic()
        if left <= 0:
            raise TimeoutError("took too long")
        return min(left, self.timeout)

    def count(self, received: int) -> None:
        """Raises _MirrorError where more has arrived than there can be."""
        self._bytes -= received
        if self._bytes < 0:
            raise _MirrorError("sends endlessly")

    def begin(self) -> None:
        """The headers are there, and what they announce may come."""
        self._headers_until = self._deadline
        self._bytes = _MOST_HEADERS + _WRAPPING * self._size

    def end(self) -> None:
        """The content is there; only what may follow it can come."""
        self._bytes = min(self._bytes, _MOST_HEADERS)


class _MirrorError(Exception):
    """A mirror did not deliver; the text says why. `wrong` where what it delivered is not the file."""

    def __init__(self, reason: str, wrong: bool = False) -> None:
        super().__init__(reason)
        self.wrong = wrong


def download(remote: Remote, folder: Path, timeout: float = 30.0) -> bool:
    """Fetch the file into a folder, whole and verified; False where it was there already.

    Raises DataError where another file is in its place or every mirror has other bytes; StorageError where none
    answers.
    """
    path = folder / remote.name
    make_directory(folder)
    if path.exists():
        _check_present(remote, path)
        return False
    failures: dict[str, _MirrorError] = {}
    with PartialFile(path) as part:
        for mirror in remote.mirrors:
            deadline = time.monotonic() + _ATTEMPTS * timeout + remote.size / _RATE
            for _ in range(_ATTEMPTS):
                try:
                    _transfer(remote, f"{mirror}{remote.name}", part, _Limits(timeout, deadline, remote.size))
                    part.finish()
                    return True
                except _MirrorError as error:
                    failures[urllib.parse.urlsplit(mirror).netloc] = error
                    if error.wrong:
                        part.restart()
                        break
        if not part.length:
            files.remove(part.part)
    raise _give_up(remote, folder, failures)


def _check_present(remote: Remote, path: Path) -> None:
    if is_special(path):
        raise DataError(f"{path.absolute()} is not a regular file. Remove it, or choose another --root")
    found = digest(path)
    if found != remote.sha256:
        raise DataError(
            f"{path.absolute()} is there already and is not the published file: SHA-256 {found[:16]}..., "
            f"expected {remote.sha256[:16]}.... Move it away, or choose another --root"
        )


def _transfer(remote: Remote, url: str, part: PartialFile, limits: _Limits) -> None:
    """Fetch what is missing of a file, and verify all of it. Raises _MirrorError."""
    if part.length > remote.size:
        part.restart()
    begun = part.length  # by whatever mirror, process or stranger
    if part.length < remote.size:
        try:
            with _open(url, part.length, limits) as response:
                _accept(response, remote, part)
                _receive(response, remote, part, limits.timeout)
        except urllib.error.HTTPError as error:
            error.close()
            raise _MirrorError(_shortened(f"{error.code} {error.reason}")) from error
        except (OSError, http.client.HTTPException, ValueError) as error:  # the last for what is not an address
            reason = getattr(error, "reason", error)
            text = str(getattr(reason, "strerror", None) or reason or type(error).__name__)
            raise _MirrorError(_shortened(text)) from error
        finally:
            for answer in limits.answers:
                answer.close()
        if part.length < remote.size:
            raise _MirrorError(f"ended after {part.length:,} of {remote.size:,} bytes")
    sha = hashlib.sha256()
    for piece in part.read():
        sha.update(piece)
    if sha.hexdigest() != remote.sha256:
        if begun:
            part.restart()
            raise _MirrorError("continued with other bytes than the file's")
        raise _MirrorError(f"sent other bytes: SHA-256 {sha.hexdigest()[:16]}...", wrong=True)


def _shortened(reason: str) -> str:
    """What a mirror has said, in one short line."""
    return " ".join(reason.split())[:_LONGEST_REASON]


def _open(url: str, start: int, limits: _Limits) -> Any:
    headers = {"User-Agent": "cnntrain", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    opener = urllib.request.build_opener(_SecureRedirects, _Http(limits), _Https(limits))
    return opener.open(urllib.request.Request(_secure(url), headers=headers), timeout=limits.left())


class _Watched(io.RawIOBase):
    """The bytes that come out of a connection, within limits."""

    def __init__(self, connection: socket.socket, limits: _Limits) -> None:
        self._file = connection.makefile("rb", buffering=0)
        self._connection, self._limits = connection, limits

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Raises TimeoutError or _MirrorError at a limit."""
        self._connection.settimeout(self._limits.left())
        count: int | None = self._file.readinto(buffer)
        self._limits.count(count or 0)
        return count

    def close(self) -> None:
        """Let go of the connection."""
        self._file.close()
        super().close()


class _Response(http.client.HTTPResponse):
    """An answer that is read within limits."""

    def __init__(self, limits: _Limits, connection: socket.socket, *arguments: Any, **options: Any) -> None:
        super().__init__(connection, *arguments, **options)
        self.fp.close()
        self.fp = io.BufferedReader(_Watched(connection, limits))
        self._limits = limits
        limits.answers.append(self)

    def begin(self) -> None:
        """Read the headers."""
        super().begin()
        self._limits.begin()

    def _read_and_discard_trailer(self) -> None:
        self._limits.end()
        super()._read_and_discard_trailer()  # type: ignore[misc]


class _Http(urllib.request.HTTPHandler):
    def __init__(self, limits: _Limits) -> None:
        super().__init__()
        self._limits = limits

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        """Ask within limits."""
        return self.do_open(functools.partial(_connection, http.client.HTTPConnection, self._limits), req)


class _Https(urllib.request.HTTPSHandler):
    def __init__(self, limits: _Limits) -> None:
        super().__init__()
        self._limits = limits

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        """Ask within limits."""
        return self.do_open(functools.partial(_connection, http.client.HTTPSConnection, self._limits), req)


def _connection(kind: Any, limits: _Limits, host: str, **options: Any) -> Any:
    connection = kind(host, **options | {"timeout": limits.left()})
    connection.response_class = functools.partial(_Response, limits)
    return connection


def _secure(url: str) -> str:
    """The URL, if it is https or leads to this machine. Raises _MirrorError."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _HERE):
        return url
    raise _MirrorError(f"leads to {parts.scheme}://{parts.netloc}, expected https")


class _SecureRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirections to where a download may come from."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        fp.close()  # or all that comes with it would be read
        return super().redirect_request(req, fp, code, msg, headers, _secure(newurl))


def _accept(response: Any, remote: Remote, part: PartialFile) -> None:
    """Make the part fit what the answer is about to send. Raises _MirrorError where that cannot be the file."""
    if part.length and response.status == 206:
        span = f"bytes {part.length}-{remote.size - 1}/{remote.size}"
        if response.headers.get("Content-Range") != span:
            raise _MirrorError(f"sent {response.headers.get('Content-Range')}, expected {span}", wrong=True)
    else:
        part.restart()  # it does not go on from the middle
    declared = response.headers.get("Content-Length")
    if declared is not None and declared != str(remote.size - part.length):
        raise _MirrorError(f"declares {declared} bytes, expected {remote.size - part.length}", wrong=True)


def _receive(response: Any, remote: Remote, part: PartialFile, timeout: float) -> None:
    """Read as many bytes as the file should have, and none of those that may follow: the digest judges these."""
    since, then = time.monotonic(), part.length
    with Bar(remote.name, remote.size, "B", part.length) as bar:
        while part.length < remote.size and (piece := response.read1(min(_PIECE, remote.size - part.length))):
            part.append(piece)
            bar.advance(len(piece))
            if time.monotonic() - since > timeout:
                if part.length - then < _SLOWEST:
                    raise _MirrorError(f"stalled after {part.length:,} of {remote.size:,} bytes")
                since, then = time.monotonic(), part.length


def _give_up(remote: Remote, folder: Path, failures: dict[str, _MirrorError]) -> Exception:
    """The error that says what every mirror did."""
    reasons = "; ".join(f"{host}: {error}" for host, error in failures.items())
    if any(error.wrong for error in failures.values()):
        return DataError(
            f"no mirror has the published {remote.name} ({reasons}). Try again later, or put the file into "
            f"{folder.absolute()} yourself"
        )
    proxies = ", ".join(sorted({proxy for mirror in remote.mirrors if (proxy := _proxy(mirror))}))
    through, check = (f" through the proxy {proxies}", ", and the proxy,") if proxies else ("", "")
    return StorageError(
        f"cannot fetch {remote.name}{through} ({reasons}). Check the network{check} and run the same command again: it "
        f"continues where it stopped. Or put the file into {folder.absolute()} yourself"
    )


def _proxy(url: str) -> str:
    """The proxy that the environment sets for a URL, without its password; empty where there is none."""
    parts = urllib.parse.urlsplit(url)
    proxy = urllib.request.getproxies().get(parts.scheme, "")
    return "" if urllib.request.proxy_bypass(parts.hostname or "") else proxy.rpartition("@")[2]
