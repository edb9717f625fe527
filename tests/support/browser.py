"""A browser for tests: headless Chromium, driven over WebDriver (W3C) with nothing but the standard library."""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars"),
    *("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"),
]
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


class Browser:
    """One window."""

    def __init__(self, server: str, folder: Path) -> None:
        options = {"args": [*FLAGS, f"--user-data-dir={folder}"], "binary": shutil.which("chromium")}
        logged = {"browser": "ALL"}
        patience = {"script": 120_000, "pageLoad": 120_000}  # milliseconds
        asked = {"goog:chromeOptions": options, "goog:loggingPrefs": logged, "timeouts": patience}
        wanted = {"capabilities": {"alwaysMatch": asked}}
        self._session = f"{server}/session"
        self._session += "/" + self._ask("", wanted)["sessionId"]

    def _ask(self, path: str, data: Any = None, method: str | None = None) -> Any:
        body = None if data is None else json.dumps(data).encode()
        request = urllib.request.Request(
            self._session + path, body, {"Content-Type": "application/json"}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=180) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(json.load(error)["value"]["message"]) from None

    def open(self, url: str) -> None:
        self._ask("/url", {"url": url})

    def run(self, script: str, *arguments: Any) -> Any:
        """What an asynchronous function with this body returns."""
        wrapped = "const done = arguments[arguments.length - 1], given = [...arguments].slice(0, -1);"
        wrapped += (
            f"(async (...given) => {{{script}}})(...given).then(done, (error) => done({{failed: String(error)}}))"
        )
        found = self._ask("/execute/async", {"script": wrapped, "args": list(arguments)})
        assert not (isinstance(found, dict) and "failed" in found), found["failed"]
        return found

    def upload(self, selector: str, path: Path) -> None:
        """Choose a file in an input."""
        found = self._ask("/element", {"using": "css selector", "value": selector})[_ELEMENT]
        self._ask(f"/element/{found}/value", {"text": str(path)})

    def stroke(self, selector: str, points: Sequence[tuple[float, float]], touch: bool = False) -> None:
        """Press the mouse, or a finger, on an element, move it along points (shares of width and height), release."""
        box = self.run(
            f"const one = document.querySelector({json.dumps(selector)}); one.scrollIntoView();"
            "const {left, top, width, height} = one.getBoundingClientRect(); return [left, top, width, height]"
        )
        places = [(round(box[0] + x * box[2]), round(box[1] + y * box[3])) for x, y in points]
        moves = [{"type": "pointerMove", "duration": 20, "x": x, "y": y} for x, y in places]
        pressed = [moves[0], {"type": "pointerDown", "button": 0}, *moves[1:], {"type": "pointerUp", "button": 0}]
        kind = "touch" if touch else "mouse"
        self._ask(
            "/actions",
            {"actions": [{"type": "pointer", "id": kind, "parameters": {"pointerType": kind}, "actions": pressed}]},
        )

    def press(self, key: str) -> None:
        """Press and release a key."""
        keys = [{"type": kind, "value": key} for kind in ("keyDown", "keyUp")]
        self._ask("/actions", {"actions": [{"type": "key", "id": "keys", "actions": keys}]})

    def look(self, width: int, dark: bool = False, height: int = 900) -> None:
        """Make the window so wide, and light or dark."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self._devtools("Emulation.setDeviceMetricsOverride", metrics)
        self._devtools("Emulation.setEmulatedMedia", {"features": scheme})

    def as_printed(self, dark: bool = False) -> None:
        """Lay the page out as for A4 paper."""
        self.look(794, dark)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self._devtools("Emulation.setEmulatedMedia", {"media": "print", "features": scheme})

    def screenshot(self, path: Path) -> None:
        path.write_bytes(
            base64.b64decode(self._devtools("Page.captureScreenshot", {"captureBeyondViewport": True})["data"])
        )

    def complaints(self) -> list[str]:
        """What the browser logged: errors of scripts, what a policy refused."""
        return [entry["message"] for entry in self._ask("/se/log", {"type": "browser"})]

    def _devtools(self, command: str, params: dict[str, Any]) -> Any:
        return self._ask("/goog/cdp/execute", {"cmd": command, "params": params})

    def close(self) -> None:
        self._ask("", method="DELETE")


@contextlib.contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """A browser whose profile is in a folder; the test is skipped where Chromium or its driver is absent."""
    driver = shutil.which("chromedriver")
    if driver is None or shutil.which("chromium") is None:
        pytest.skip("needs chromium and chromium-driver: apt-get install chromium chromium-driver")
    process = subprocess.Popen([driver, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        port = ""
        while "successfully on port" not in port:
            port = process.stdout.readline()
            assert port, "chromedriver did not start"
        server = f"http://127.0.0.1:{port.rpartition('on port')[2].strip().rstrip('.')}"
        window = Browser(server, folder)
        try:
            yield window
        finally:
            with contextlib.suppress(OSError, AssertionError):
                window.close()
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()
