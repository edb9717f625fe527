"""The watching server: who is answered, who is not, and what a page shows of runs of every kind."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import struct
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest

from cnntrain.core.console import Console
from cnntrain.core.directory_lock import DirectoryLock
from cnntrain.results.watch.listener import address, listening
from cnntrain.results.watch.server import _States, serve
from cnntrain.results.watch.view import Views
from tests.support.browser import browser
from tests.support.closed import close
from tests.support.experiments import TINY, run, write

TOKEN = "t" * 43


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with a live file."""
    folder = tmp_path_factory.mktemp("watched")
    run(write(folder, TINY), folder / "run", live=True)
    return folder / "run"


@pytest.fixture
def served(watched):
    listener = listening(None)
    server = serve(listener, [watched], TOKEN)
    yield server.server_address[1]
    server.shutdown()
    listener.close()


def asked(port: int, path: str, **headers: str) -> tuple[int, str, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    found = answer.status, answer.read().decode(), dict(answer.headers)
    connection.close()
    return found


def test_whoever_has_the_token_and_asks_for_this_machine_is_answered(served):
    status, text, headers = asked(served, f"/?token={TOKEN}")
    assert (status, text[:15]) == (200, "<!doctype html>")
    assert "Reading the runs." in text  # until the first answer
    assert headers["X-Frame-Options"] == "DENY"
    assert "Access-Control-Allow-Origin" not in headers
    status, text, headers = asked(served, "/state?run=", X_Token=TOKEN, Host="localhost:4711")  # through a tunnel
    assert status == 200
    assert {name for name, _ in json.loads(text)["sections"]} >= {"cards", "progress", "curves", "live", "confusion"}


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/", {}, 403),
        ("/?token=", {}, 403),
        ("/?token=" + "u" * 43, {}, 403),
        ("/?token=%E2%82%AC", {}, 403),
        ("/state", {}, 403),
        (f"/state?token={TOKEN}", {}, 403),  # an <img> or a form of another page could ask so
        ("/state", {"X_Token": TOKEN, "Sec_Fetch_Site": "cross-site"}, 403),
        ("/state", {"X_Token": TOKEN, "Host": "evil.example:8265"}, 403),  # a name that leads here
        (f"/?token={TOKEN}", {"Host": "127.0.0.1.evil.example:8265"}, 403),
        (f"/?token={TOKEN}", {"Host": ""}, 403),
        (f"/../config.yaml?token={TOKEN}", {"X_Token": TOKEN}, 404),
        (f"/state/x?token={TOKEN}", {"X_Token": TOKEN}, 404),
    ],
)
def test_nobody_else_is(served, path, headers, status):
    found, text, _ = asked(served, path, **headers)
    assert found == status
    assert "quick" not in text
    assert "<" not in text


def test_it_listens_on_this_machine_alone():
    listener = listening(None)
    assert listener.getsockname()[0] == "127.0.0.1"
    assert address(listener, "x") == f"http://127.0.0.1:{listener.getsockname()[1]}/?token=x"
    other = listening(None)  # where one is taken, the next
    assert other.getsockname()[1] != listener.getsockname()[1]
    listener.close()
    other.close()


def test_a_browser_that_goes_away_during_an_answer_is_not_worth_a_line(watched, monkeypatch, capfd):
    told = []
    monkeypatch.setattr(Console, "warn", lambda _, text: told.append(text))
    listener = listening(None)
    server = serve(listener, [watched], TOKEN)
    for _ in range(4):
        with socket.create_connection(listener.getsockname()) as visitor:
            visitor.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closed by a reset
            visitor.sendall(f"GET /state HTTP/1.1\r\nHost: localhost\r\nX-Token: {TOKEN}\r\n\r\n".encode())
    assert asked(listener.getsockname()[1], "/state", X_Token=TOKEN)[0] == 200
    monkeypatch.setattr(Views, "sections", lambda *_: 1 / 0)  # any other error is told
    with pytest.raises(http.client.RemoteDisconnected):
        asked(listener.getsockname()[1], "/state?run=another", X_Token=TOKEN)
    for _ in range(600):
        if not told:
            time.sleep(0.1)
    server.shutdown()
    listener.close()
    assert told == ["the page was not answered: ZeroDivisionError: division by zero"]
    assert capfd.readouterr() == ("", "")


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        assert not [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data):
        self.texts.append(data)


@pytest.fixture
def a_run(watched, tmp_path):
    return Path(shutil.copytree(watched, tmp_path / "run", symlinks=True))


def test_names_of_strangers_are_text(a_run):
    names = ["<script>alert(1)</script>", "\x1b[31m", "שלום\u202e"]
    data = json.loads((a_run / "data.json").read_text())
    (a_run / "data.json").write_text(json.dumps(data | {"classes": names}))
    live = json.loads((a_run / "live.json").read_text())
    live["batch"]["captions"] = (names * 4)[:12]
    live["filters"]["name"] = names[0]
    (a_run / "live.json").write_text(json.dumps(live))
    found = Views([a_run]).sections()
    page = Tags("".join(found.values()))
    assert "script" not in page.tags
    assert {names[0], "␛[31m", names[2]} <= set(page.texts)


@pytest.mark.parametrize(
    "damage",
    [
        lambda live: live.update(step="many"),
        lambda live: live.update(images_per_second=float("1e999")),
        lambda live: live.update(batch=[1, 2]),
        lambda live: live["batch"].update(shape=[12, 10**9, 10**9, 3]),
        lambda live: live["batch"].update(shape=[12, -1]),
        lambda live: live["batch"].update(data="####"),
        lambda live: live["batch"].update(type="O"),
        lambda live: live["batch"].update(captions=3),
        lambda live: live["filters"].update(shape=[1]),
        lambda live: live["filters"].update(data=live["filters"]["data"][:-8]),
        lambda live: live.update(confusion=[[1, 2], [3]]),
        lambda live: live.update(confusion=[[-1] * 3] * 3),
        lambda live: live.update(confusion={"a": 1}),
    ],
)
def test_a_damaged_live_file_is_told_and_the_rest_still_comes(a_run, damage):
    live = json.loads((a_run / "live.json").read_text())
    damage(live)
    (a_run / "live.json").write_text(json.dumps(live))
    found = Views([a_run]).sections()
    assert "damaged" in "".join(found.values())
    assert "<svg" in found["curves"]


def test_a_run_that_one_may_not_read_is_told_and_the_others_still_come(a_run, tmp_path, monkeypatch):
    folder = tmp_path / "runs"
    for name in "ab":
        shutil.copytree(a_run, folder / name)
    close(monkeypatch, folder / "b")
    assert f"cannot look into {folder}/b: Permission denied" in Views([folder]).sections()["faults"]
    assert "progress" in Views([folder]).sections()
    assert f"cannot look into {folder}/b" in Views([folder / "b"]).sections()["faults"]


def test_runs_below_a_folder_come_one_after_the_other(a_run, tmp_path):
    folder = tmp_path / "sweep"
    views = Views([folder])
    assert "No run has begun" in views.sections()["told"]
    folder.mkdir()
    shutil.copytree(a_run, folder / "a")
    assert "progress" in views.sections()  # the only one
    shutil.copytree(a_run, folder / "b")
    (folder / "b/metrics.jsonl").write_text("{")  # not a whole line yet
    shutil.copytree(a_run, folder / "c")
    (folder / "c/metrics.jsonl").write_text("nonsense\n")
    found = views.sections()
    assert "is damaged" in found["faults"]
    assert f'data-run="{folder / "b"}"' in found["runs"]
    assert "back" in views.sections(str(folder / "a"))


def test_in_a_browser_it_follows_a_run_through_its_end_and_its_resume(a_run, tmp_path):
    """The page stays when nobody answers, says so, and goes on when somebody does again."""
    text = "const shown = () => document.body.textContent; while (!shown().includes(given[0])) "
    text += "await new Promise((next) => setTimeout(next, 50)); return shown();"
    listener = listening(None)
    port = listener.getsockname()[1]
    server = serve(listener, [a_run], TOKEN)
    with browser(tmp_path / "profile") as window:
        window.open(address(listener, TOKEN))
        window.run(text, "finished")
        server.shutdown()
        server.server_close()
        shown = window.run(text, "No answer")
        assert "Last batch" in shown
        assert "Reading the runs." not in shown
        status = json.loads((a_run / "status.json").read_text())
        (a_run / "status.json").write_text(json.dumps(status | {"state": "running"}))
        server = serve(listening(port), [a_run], TOKEN)
        with DirectoryLock(a_run):  # as the process of the resume does
            window.run(text, "running")
        server.shutdown()
        server.server_close()
        bad = [line for line in window.complaints() if "ERR_CONNECTION_REFUSED" not in line]
        assert bad == []


def test_an_answer_that_took_long_is_given_again_for_a_while(monkeypatch):
    """Each run has its own; the first question after that while is answered afresh."""
    now, made = [0.0], []

    class Slow:
        def sections(self, name: str) -> dict[str, str]:
            made.append(name)
            now[0] += 2.0
            return {"told": str(len(made))}

    monkeypatch.setattr("cnntrain.results.watch.server.time.monotonic", lambda: now[0])
    states = _States(Slow(), "runs")
    first = states.state("")
    for _ in range(100):
        assert states.state("") == first
    assert states.state("a") != first
    assert made == ["", "a"]
    now[0] += 8.0
    assert states.state("") != first
    assert made == ["", "a", ""]
