"""A download is the published file or nothing, whatever the mirrors do, and is gone on with after a break."""

from __future__ import annotations

import hashlib
import os
import re
import resource
import time

import numpy as np
import pytest

from cnntrain.core.errors import DataError, StorageError
from cnntrain.core.partial_file import PartialFile
from cnntrain.data.download import Remote, download
from tests.support.mirrors import CONTENT, PARTS, Mirror

TIMEOUT = 0.3


@pytest.fixture
def server():
    with Mirror() as server:
        yield server


@pytest.fixture
def fetch(server, tmp_path):
    """Download from mirrors of these behaviours."""

    def ask(*behaviours, timeout=TIMEOUT):
        digest = hashlib.sha256(CONTENT).hexdigest()
        remote = Remote("file.bin", len(CONTENT), digest, tuple(server.url(name) for name in behaviours))
        return download(remote, tmp_path / "there", timeout)

    return ask


def leave(folder, data):
    """What an interrupted download leaves."""
    (folder / "there").mkdir()
    (folder / "there" / "file.bin.part").write_bytes(data)


def contents(folder):
    return {path.name: path.read_bytes() for path in (folder / "there").iterdir()}


def test_a_good_mirror(fetch, server, tmp_path):
    assert fetch("good") is True
    assert contents(tmp_path) == {"file.bin": CONTENT}
    assert fetch("good") is False
    assert server.requests == [("/good/file.bin", None)]


def test_a_file_is_read_whole_however_many_pieces_it_takes(tmp_path):
    data = np.random.default_rng(0).bytes(10_000)
    with PartialFile(tmp_path / "file.bin") as part:
        part.append(data)
        assert b"".join(part.read(999)) == data
        part.finish()


@pytest.mark.parametrize(
    "bad",
    ["stalls", "trickles", "declares_less", "declares_more", "wrong_and_more", "wrong", "absent", "elsewhere", "page"],
)
def test_after_a_bad_mirror_the_next_is_asked(fetch, tmp_path, bad):
    assert fetch(bad, "good") is True
    assert contents(tmp_path) == {"file.bin": CONTENT}


@pytest.mark.parametrize(
    ("bad", "error", "reason"),
    [
        ("stalls", StorageError, "timed out"),
        ("trickles", StorageError, r"stalled after [\d,]+ of 10,240 bytes"),
        ("absent", StorageError, "404 Not Found"),
        ("elsewhere", StorageError, "leads to http://example.com, expected https"),
        ("declares_less", DataError, "declares 500 bytes, expected 10240"),
        ("declares_more", DataError, "declares 1000000000000000 bytes, expected 10240"),
        ("wrong_and_more", DataError, r"sent other bytes: SHA-256 [0-9a-f]{16}\.\.\."),
        ("wrong", DataError, r"sent other bytes: SHA-256 [0-9a-f]{16}\.\.\."),
        ("page", DataError, "declares 20 bytes, expected 10240"),
    ],
)
def test_where_no_mirror_has_it_the_reasons_are_told(fetch, tmp_path, bad, error, reason):
    with pytest.raises(error, match=rf"file\.bin \(127\.0\.0\.1:\d+: {reason}") as caught:
        fetch(bad)
    assert str(caught.value).endswith(f"put the file into {tmp_path / 'there'} yourself")
    assert "\n" not in str(caught.value)
    assert "file.bin" not in contents(tmp_path)


def test_what_follows_the_file_is_not_read(fetch, tmp_path):
    assert fetch("sends_more") is True
    assert contents(tmp_path) == {"file.bin": CONTENT}


def test_what_breaks_off_goes_on_where_it_broke_off(fetch, server, tmp_path):
    assert fetch("truncates", "truncates", timeout=20) is True
    assert contents(tmp_path) == {"file.bin": CONTENT}
    piece = len(CONTENT) // PARTS + 1
    assert [asked for _, asked in server.requests] == [None, *(f"bytes={n * piece}-" for n in range(1, PARTS))]


def test_what_another_process_began_is_gone_on_with(fetch, server, tmp_path):
    leave(tmp_path, CONTENT[:9000])
    assert fetch("good") is True
    assert server.requests == [("/good/file.bin", "bytes=9000-")]
    assert contents(tmp_path) == {"file.bin": CONTENT}


@pytest.mark.parametrize("left", [b"x" * 9000, b"x" * len(CONTENT), CONTENT + b"more"])
def test_a_wrong_beginning_is_thrown_away(fetch, tmp_path, left):
    leave(tmp_path, left)
    assert fetch("good", "good") is True
    assert contents(tmp_path) == {"file.bin": CONTENT}


@pytest.mark.parametrize("answer", ["from_the_start", "wrong_range"])
def test_a_mirror_that_cannot_go_on_from_the_middle(fetch, tmp_path, answer):
    leave(tmp_path, CONTENT[:9000])
    assert fetch(answer, "good") is True
    assert contents(tmp_path) == {"file.bin": CONTENT}


def test_without_a_network_it_says_so_and_what_to_do(tmp_path):
    mirrors = ("https://no-such-host.invalid/", "http://127.0.0.1:9/", "ftp://example.com/", "http://example.org/")
    with pytest.raises(
        StorageError, match=r"cannot fetch a\.gz \(no-such-host\.invalid: .*; 127\.0\.0\.1:9: "
    ) as caught:
        download(Remote("a.gz", 3, "0" * 64, mirrors), tmp_path, TIMEOUT)
    assert "leads to ftp://example.com, expected https" in str(caught.value)
    assert "Check the network and run the same command again" in str(caught.value)
    assert caught.value.exit_code == 5
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("proxy", ["http://somebody:secret@127.0.0.1:9", "http://127.0.0.1:nine", "http://", "x:y:z"])
def test_a_proxy_that_fails_is_named_and_not_laid_to_the_mirror(tmp_path, monkeypatch, proxy):
    monkeypatch.setenv("https_proxy", proxy)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    remote = Remote("a.gz", 3, "0" * 64, ("https://example.invalid/",))
    with pytest.raises(StorageError) as caught:
        download(remote, tmp_path, TIMEOUT)
    said = str(caught.value)
    assert f"cannot fetch a.gz through the proxy {proxy.rpartition('@')[2]} (example.invalid: " in said
    assert "Check the network, and the proxy, and run the same command again" in said
    assert "secret" not in said
    monkeypatch.setenv("no_proxy", "*")
    with pytest.raises(StorageError, match=r"cannot fetch a\.gz \(example.invalid: "):
        download(remote, tmp_path, TIMEOUT)


def test_another_file_in_its_place_is_left_alone(fetch, tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file.bin").write_bytes(b"mine")
    with pytest.raises(DataError, match="is there already and is not the published file"):
        fetch("good")
    assert contents(tmp_path) == {"file.bin": b"mine"}


def test_two_processes_do_not_write_the_same_file(fetch, tmp_path):
    (tmp_path / "there").mkdir()
    with (
        PartialFile(tmp_path / "there" / "file.bin"),
        pytest.raises(StorageError, match=re.escape("file.bin.part is being written by another process")),
    ):
        fetch("good")


ENDLESS = [
    *("slow_headers", "slow_line", "many_headers", "continues", "slow_continues", "slow_pieces", "trailers"),
    *("slow_trailers", "tiny_chunks", "negative_chunks", "no_http", "round", "redirects_ill"),
]


@pytest.mark.parametrize("bad", ENDLESS)
def test_no_mirror_holds_up_the_next_for_long(fetch, tmp_path, bad):
    """Whatever it sends, slowly or fast: no hang, no memory, no bug."""
    began, held = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert fetch(bad, "good") is True
    assert time.monotonic() - began < 15
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - held < 50_000
    assert contents(tmp_path) == {"file.bin": CONTENT}


@pytest.mark.parametrize("bad", ENDLESS)
def test_where_there_is_no_other_mirror_that_is_said(fetch, bad):
    with pytest.raises((StorageError, DataError), match=r"file\.bin \(127\.0\.0\.1:\d+: .{1,300}\)\. "):
        fetch(bad)


def test_what_comes_with_a_redirection_is_not_read(fetch, tmp_path):
    assert fetch("endless_redirect") is True
    assert contents(tmp_path) == {"file.bin": CONTENT}


@pytest.mark.parametrize("kind", ["link", "broken link", "fifo", "directory"])
@pytest.mark.parametrize("name", ["file.bin.part", "file.bin"])
def test_nothing_is_written_through_what_a_stranger_has_put_there(fetch, tmp_path, kind, name):
    outside, place = tmp_path / "outside", tmp_path / "there" / name
    place.parent.mkdir()
    if kind == "link":
        outside.write_bytes(b"mine")
    if kind == "fifo":
        os.mkfifo(place)
    elif kind == "directory":
        place.mkdir()
    else:
        place.symlink_to(outside)
    if (kind, name) == ("broken link", "file.bin"):  # which leads to nothing, and is replaced
        assert fetch("good") is True
    else:
        with pytest.raises((StorageError, DataError), match=re.escape(str(place))):
            fetch("good")
    assert not outside.exists() or outside.read_bytes() == b"mine"
