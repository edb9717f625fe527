"""Web servers in this process that answer as bad mirrors do, by the first part of the path."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CONTENT = bytes(range(256)) * 40  # 10,240 bytes
PARTS = 4  # in how many pieces a mirror that drops connections gets the file across


class Mirror(ThreadingHTTPServer):
    """Serves CONTENT; `requests` has (path, Range header) of each request it got."""

    daemon_threads = False  # closing waits for them

    def __init__(self, content: bytes = CONTENT) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content = content
        self.requests: list[tuple[str, str | None]] = []
        self.closing = threading.Event()
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    def url(self, behaviour: str) -> str:
        """The mirror that behaves so."""
        return f"http://127.0.0.1:{self.server_port}/{behaviour}/"

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients hang up: that is what is tested."""

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self.shutdown()
        self.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: Mirror

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.requests.append((self.path, wanted))
        getattr(self, f"answer_{self.path.split('/')[1]}")(int(wanted[6:-1]) if wanted else 0)

    def log_message(self, *_: object) -> None:
        pass

    def _head(self, start: int, length: int | None = None, code: int | None = None) -> None:
        size = len(self.server.content)
        self.send_response(code or (206 if start else 200))
        if start and not code:
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        self.send_header("Content-Length", str(size - start if length is None else length))
        self.end_headers()

    def answer_good(self, start: int) -> None:
        self._head(start)
        self.wfile.write(self.server.content[start:])

    def answer_from_the_start(self, _: int) -> None:
        self.answer_good(0)

    def answer_stalls(self, start: int) -> None:
        self._head(start)
        self.wfile.write(self.server.content[start : start + 1000])
        self.wfile.flush()
        self.server.closing.wait(20)

    def answer_trickles(self, start: int) -> None:
        self._head(start)
        for place in range(start, len(self.server.content)):
            self.wfile.write(self.server.content[place : place + 1])
            self.wfile.flush()
            if self.server.closing.wait(0.02):
                return

    def answer_truncates(self, start: int) -> None:
        self._head(start)
        self.wfile.write(self.server.content[start : start + len(self.server.content) // PARTS + 1])

    def answer_declares_less(self, start: int) -> None:
        self._head(start, 500)
        self.wfile.write(self.server.content[start : start + 500])

    def answer_declares_more(self, start: int) -> None:
        self._head(start, 10**15)
        self.wfile.write(self.server.content[start:])

    def answer_sends_more(self, _: int) -> None:
        self.send_response(200)
        self.end_headers()
        for _ in range(50):
            self.wfile.write(self.server.content)

    def answer_wrong_and_more(self, _: int) -> None:
        self.send_response(200)
        self.end_headers()
        for _ in range(50):
            self.wfile.write(self.server.content[::-1])

    def answer_wrong(self, start: int) -> None:
        self._head(start)
        self.wfile.write(self.server.content[::-1][start:])

    def answer_wrong_range(self, start: int) -> None:
        self.send_response(206)
        self.send_header("Content-Range", f"bytes 0-{len(self.server.content) - 1}/{len(self.server.content)}")
        self.end_headers()
        self.wfile.write(self.server.content[start:])

    def answer_absent(self, _: int) -> None:
        self.send_error(404)

    def answer_elsewhere(self, _: int) -> None:
        self.send_response(302)
        self.send_header("Location", "http://example.com/file")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def answer_page(self, _: int) -> None:
        page = b"<html>sign in</html>"
        self._head(0, len(page), 200)
        self.wfile.write(page)

    def _for_ever(self, piece: bytes, pause: float = 0.0) -> None:
        while not self.server.closing.wait(pause):
            self.wfile.write(piece)
            self.wfile.flush()

    def answer_slow_headers(self, _: int) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\n")
        self._for_ever(b"X-More: yes\r\n", 0.05)

    def answer_slow_line(self, _: int) -> None:
        self._for_ever(b"H", 0.05)

    def answer_many_headers(self, _: int) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\n")
        self._for_ever(b"X-More: yes\r\n" * 100)

    def answer_continues(self, _: int) -> None:
        self._for_ever(b"HTTP/1.1 100 Continue\r\n\r\n")

    def answer_slow_continues(self, _: int) -> None:
        self._for_ever(b"HTTP/1.1 100 Continue\r\n\r\n", 0.05)

    def answer_slow_pieces(self, start: int) -> None:
        self._head(start)
        self._for_ever(self.server.content[:250], 0.05)

    def _chunked(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")

    def answer_trailers(self, _: int) -> None:
        self._chunked()
        self.wfile.write(b"3\r\nabc\r\n0\r\n")
        self._for_ever(b"X-More: yes\r\n" * 100)

    def answer_slow_trailers(self, _: int) -> None:
        self._chunked()
        self.wfile.write(b"3\r\nabc\r\n0\r\n")
        self._for_ever(b"X-More: yes\r\n", 0.05)

    def answer_tiny_chunks(self, _: int) -> None:
        self._chunked()
        self._for_ever(b"1;" + b"x" * 1000 + b"\r\na\r\n")

    def answer_negative_chunks(self, _: int) -> None:
        self._chunked()
        self._for_ever(b"-5\r\na\r\n", 0.01)

    def answer_no_http(self, _: int) -> None:
        self._for_ever(b"\0" * 1000)

    def _redirect(self, location: bytes, code: bytes = b"302") -> None:
        self.wfile.write(b"HTTP/1.1 " + code + b" Found\r\nLocation: " + location + b"\r\n\r\n")

    def answer_endless_redirect(self, _: int) -> None:
        self._redirect(b"/good/file.bin")
        self._for_ever(b"x" * 1000)

    def answer_round(self, _: int) -> None:
        self._redirect(b"/round/file.bin")

    def answer_redirects_ill(self, _: int) -> None:
        locations = (
            b"http://[",
            b"http://127.0.0.1:port/",
            b"http://[::1",
            b"//",
            b"\xff\xfe",
            b"http://\xc3\xa9.\xe2/",
        )
        self._redirect(locations[len(self.server.requests) % len(locations)])
