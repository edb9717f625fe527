"""The server shows runs to the browsers of this machine, and to nobody else: the standard library's, on 127.0.0.1.

A request must carry the token that stands in the address, so that neither another user of the machine nor a stranger's
page in the same browser can read anything. It must also ask for this machine by name: a page that makes its own name
resolve to this machine asks for that name.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import socket
import sys
import threading
import time
import urllib.parse
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from pathlib import Path
from typing import Any

import cnntrain
from cnntrain.core.console import Console
from cnntrain.results.report.html import Markup, element
from cnntrain.results.report.page import document
from cnntrain.results.watch.view import Views

_PORT = re.compile(r":\d+$")  # which a browser leaves out where it is 80
_REST, _LONGEST = 4.0, 30.0  # an answer is good for so many times as long as it took, and for seconds at most
_HOSTS = ("127.0.0.1", "localhost", "[::1]")  # as a browser on this machine, or at the other end of a tunnel, calls it
_POLICY = "default-src 'none'; connect-src 'self'; img-src data:; style-src 'unsafe-inline'; script-src"


def serve(listener: socket.socket, paths: list[Path], token: str) -> ThreadingHTTPServer:
    """A server on the socket, in a thread of its own, until it is shut down."""
    title = ", ".join(str(path) for path in paths)
    state = _States(Views(paths), title).state
    handler = type("Handler", (_Handler,), {"token": token, "page": _page(title), "state": staticmethod(state)})
    server = _Server(("127.0.0.1", 0), handler, bind_and_activate=False)
    server.socket.close()
    server.socket = listener
    server.server_address = listener.getsockname()
    threading.Thread(target=server.serve_forever, args=(0.2,), daemon=True).start()
    return server


class _States:
    """What pages are answered. Of thousands of runs that takes seconds, so an answer is given again for a while."""

    def __init__(self, views: Views, title: str) -> None:
        self._views, self._title, self._lock = views, title, threading.Lock()
        self._made: dict[str, tuple[float, bytes]] = {}  # by name of the run: until when an answer is good

    def state(self, name: str) -> bytes:
        """The sections of the run of that name, as JSON; however many pages ask, made in a small share of the time."""
        with self._lock:
            until, answer = self._made.get(name, (0.0, b""))
            begin = time.monotonic()
            if begin >= until:
                sections = [[key, text] for key, text in self._views.sections(name).items()]
                answer = json.dumps({"title": self._title, "sections": sections}).encode()
                end = time.monotonic()
                self._made = {key: made for key, made in self._made.items() if made[0] > end}
                self._made[name] = (end + min(_REST * (end - begin), _LONGEST), answer)
        return answer


class _Server(ThreadingHTTPServer):
    """Answers every browser in a thread of its own."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002  (the base's signature)
        """Warn in one line of an answer that failed; a browser that goes away during one is no failure."""
        error = sys.exception()
        if not isinstance(error, ConnectionError | TimeoutError):
            Console("none").warn(f"the page was not answered: {type(error).__name__}: {error}")


class _Handler(BaseHTTPRequestHandler):
    """Answers one browser."""

    token: str
    page: tuple[bytes, str]
    state: Callable[[str], bytes]
    server_version, sys_version = "cnntrain", ""
    timeout = 30

    def do_GET(self) -> None:
        """The page, or what it shows."""
        path, _, query = self.path.partition("?")
        given = dict(urllib.parse.parse_qsl(query))
        if _PORT.sub("", self.headers.get("Host", "")) not in _HOSTS:
            return self._answer(403, b"This server answers to 127.0.0.1 and localhost alone.")
        token = given.get("token", "") if path == "/" else self.headers.get("X-Token", "")
        if path not in ("/", "/state"):
            return self._answer(404, b"There is nothing here.")
        if not hmac.compare_digest(token.encode(), self.token.encode()):
            return self._answer(403, b"The address lacks the right token. Open the one that cnntrain printed.")
        if path == "/":
            text, policy = self.page
            return self._answer(200, text, "text/html; charset=utf-8", policy)
        if self.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
            return self._answer(403, b"Another page may not ask for this.")
        return self._answer(200, self.state(given.get("run", "")), "application/json")

    def _answer(self, status: int, body: bytes, kind: str = "text/plain; charset=utf-8", policy: str = "") -> None:
        self.send_response(status)
        headers = {
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            "Cache-Control": "no-store",
            "Content-Security-Policy": policy or "default-src 'none'",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
        }
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Log nothing: a visit is not worth a line."""


def _page(title: str) -> tuple[bytes, str]:
    """The page without its contents, and what it may load."""
    folder = resources.files("cnntrain.results.watch")
    code, style = ((folder / name).read_text("utf-8") for name in ("watch.js", "watch.css"))
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    policy = f"{_POLICY} 'sha256-{digest}'"
    text = document(
        title,
        "as it is now",
        Markup('<p id="told" role="status"></p>'),
        element("div", element("div", element("p", "Reading the runs.", class_="note")), id="sections"),
        Markup(f'<script type="module">{code}</script>'),
        footer=f"cnntrain {cnntrain.__version__}",
        style=style,
        policy=policy,
    )
    return text.encode(), policy + "; frame-ancestors 'none'"
