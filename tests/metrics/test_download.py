"""Downloads from a server on this machine: a slow one, a silent one, one that breaks off, and none."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from long_form import long_form

from inr_plugins.metrics import download
from inr_plugins.metrics.download import DownloadError, fetch

CONTENT = os.urandom(40_000)
DIGITS = hashlib.sha256(CONTENT).hexdigest()[:8]


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


class Server:
    """Sends CONTENT as `deliver` does it, and counts how often it is asked."""

    def __init__(self, deliver: Callable[[Callable[[bytes], object]], None]) -> None:
        asked = self.asked = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                self.send_response(200)
                self.send_header("Content-Length", str(len(CONTENT)))
                self.end_headers()
                with suppress(OSError):
                    deliver(self.wfile.write)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/weights"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(deliver: Callable[[Callable[[bytes], object]], None]) -> Server:
        servers.append(Server(deliver))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


def slowly(write: Callable[[bytes], object]) -> None:
    """A second and a half in all, with a tenth between the parts."""
    for start in range(0, len(CONTENT), 2700):
        write(CONTENT[start : start + 2700])
        time.sleep(0.1)


def get(url: str, target: Path, told: list[str] | None = None) -> None:
    fetch(url, target, sha256=DIGITS, tell=[].append if told is None else told.append)


@long_form
def test_a_slow_server_is_waited_for_as_long_as_bytes_come(serve, tmp_path, monkeypatch):
    """The whole takes several times what is allowed to pass without a byte."""
    monkeypatch.setattr(download, "SILENCE_SECONDS", 0.4)
    monkeypatch.setattr(download, "_NOTE_SECONDS", 0.5)
    told: list[str] = []
    get(serve(slowly).url, tmp_path / "deep" / "weights", told)
    assert (tmp_path / "deep" / "weights").read_bytes() == CONTENT
    assert os.listdir(tmp_path / "deep") == ["weights"]
    assert any("MB are here" in text for text in told)


def test_silence_ends_it_and_is_remembered_by_the_next_process(serve, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "SILENCE_SECONDS", 0.3)
    silence = threading.Event()

    def silent(write: Callable[[bytes], object]) -> None:
        write(CONTENT[:1000])
        silence.wait(60)

    server, target = serve(silent), tmp_path / "weights"
    with pytest.raises(DownloadError, match="nothing came for"):
        get(server.url, target)
    with pytest.raises(DownloadError, match=r"nothing came for .* it is tried again in 10 min"):
        get(server.url, target)
    silence.set()
    assert len(server.asked) == 1
    assert not target.exists()
    assert os.listdir(tmp_path) == ["cache"]
    monkeypatch.setattr(download, "REMEMBERED_SECONDS", 0.0)
    get(serve(lambda write: write(CONTENT)).url, target)
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("sent", "digits"),
    [(CONTENT[:-100], ""), (bytes(len(CONTENT)), DIGITS)],
    ids=["cut short", "other bytes"],
)
def test_a_part_or_something_else_is_not_kept(serve, tmp_path, sent, digits):
    url = serve(lambda write: write(sent)).url
    with pytest.raises(DownloadError, match="cut short"):
        fetch(url, tmp_path / "weights", sha256=digits, tell=[].append)
    assert os.listdir(tmp_path) == ["cache"]


@long_form
def test_several_that_want_it_ask_once(serve, tmp_path):
    server, told = serve(slowly), []
    threads = [
        threading.Thread(target=get, args=(server.url, tmp_path / "weights", told), daemon=True) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(server.asked) == 1
    assert sum("waits for it" in text for text in told) == 2
    assert (tmp_path / "weights").read_bytes() == CONTENT


def test_no_server_and_one_that_never_answers_fail_fast(tmp_path, monkeypatch):
    monkeypatch.setattr(download, "ANSWER_SECONDS", 0.3)
    begin = time.monotonic()
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        with pytest.raises(DownloadError, match="refused"):
            get(f"http://127.0.0.1:{nobody.getsockname()[1]}/a", tmp_path / "a")
        nobody.listen()
        with pytest.raises(DownloadError, match="does not answer"):
            get(f"http://127.0.0.1:{nobody.getsockname()[1]}/b", tmp_path / "b")
    assert time.monotonic() - begin < 30


def test_ctrl_c_ends_the_wait_and_leaves_no_part(serve, tmp_path):
    def interrupt(text: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(serve(slowly).url, tmp_path / "weights", sha256=DIGITS, tell=interrupt)
    assert os.listdir(tmp_path) == ["cache"]
