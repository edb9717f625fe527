"""A download brings one file of known size and digest here, from whichever mirror has it.

What a mirror says is not trusted: only the digest decides. A transfer that breaks off is continued, from the same
mirror or the next one, now or by a later process.
"""

from __future__ import annotations

import hashlib
import http.client
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from cnntrain.core import files
from cnntrain.core.bar import Bar
from cnntrain.core.errors import DataError, StorageError
from cnntrain.core.files import PartialFile
from cnntrain.data.manifest import digest

_PIECE = 2**16
_SLOWEST = 2**10  # bytes that must come within a timeout, or the mirror counts as stalled
_ATTEMPTS = 3  # at each mirror, each going on from the one before
_HERE = ("127.0.0.1", "localhost", "::1")  # where http is as good as https


@dataclass(frozen=True)
class Remote:
    """A file as it was published: its name, bytes, SHA-256 in hex, and the folders that mirror it."""

    name: str
    size: int
    sha256: str
    mirrors: tuple[str, ...]


class _MirrorError(Exception):
    """A mirror did not deliver; the text says why. `wrong` where what it delivered is not the file."""

    def __init__(self, reason: str, wrong: bool = False) -> None:
        super().__init__(reason)
        self.wrong = wrong


def download(remote: Remote, folder: Path, timeout: float = 30.0) -> bool:
    """Have the file in a folder, whole and verified; False where it was there already.

    Raises DataError where another file has its place or every mirror has other bytes; StorageError where none answers.
    """
    path = folder / remote.name
    files.make_directory(folder)
    if path.exists():
        _check_present(remote, path)
        return False
    failures: dict[str, _MirrorError] = {}
    with PartialFile(path) as part:
        for mirror in remote.mirrors:
            for _ in range(_ATTEMPTS):
                try:
                    _transfer(remote, f"{mirror}{remote.name}", part, timeout)
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
    found = digest(path)
    if found != remote.sha256:
        raise DataError(
            f"{path.absolute()} is there already and is not the published file: SHA-256 {found[:16]}..., "
            f"expected {remote.sha256[:16]}.... Move it away, or choose another --root"
        )


def _transfer(remote: Remote, url: str, part: PartialFile, timeout: float) -> None:
    """Fetch what is missing of a file, and verify all of it. Raises _MirrorError."""
    if part.length > remote.size:
        part.restart()
    if part.length < remote.size:
        try:
            with _open(url, part.length, timeout) as response:
                _accept(response, remote, part)
                _receive(response, remote, part, timeout)
        except urllib.error.HTTPError as error:
            error.close()
            raise _MirrorError(f"{error.code} {error.reason}") from error
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise _MirrorError(str(getattr(reason, "strerror", None) or reason or type(error).__name__)) from error
        if part.length < remote.size:
            raise _MirrorError(f"ended after {part.length:,} of {remote.size:,} bytes")
    sha = hashlib.sha256()
    for piece in part.read():
        sha.update(piece)
    if sha.hexdigest() != remote.sha256:
        raise _MirrorError(f"sent other bytes: SHA-256 {sha.hexdigest()[:16]}...", wrong=True)


def _open(url: str, start: int, timeout: float) -> Any:
    headers = {"User-Agent": "cnntrain", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    return _OPENER.open(urllib.request.Request(_secure(url), headers=headers), timeout=timeout)


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
        try:
            return super().redirect_request(req, fp, code, msg, headers, _secure(newurl))
        except _MirrorError:
            fp.close()
            raise


_OPENER = urllib.request.build_opener(_SecureRedirects)


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
    """Read to the end of the answer, never more than the file should have."""
    since, then = time.monotonic(), part.length
    with Bar(remote.name, remote.size, "B", part.length) as bar:
        while piece := response.read1(_PIECE):
            if part.length + len(piece) > remote.size:
                raise _MirrorError(f"sent more than {remote.size:,} bytes", wrong=True)
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
    return StorageError(
        f"cannot fetch {remote.name} ({reasons}). Check the network and run the same command again: it goes on where "
        f"it stopped. Or put the file into {folder.absolute()} yourself"
    )
