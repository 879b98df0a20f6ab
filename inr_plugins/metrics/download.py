"""One file from a server into a cache: once for all processes, whole or not at all, and as slowly as the network is.

What ends a download is that nothing comes any more, not how long it takes. What could not be had is not asked for again
by every process that follows: for some minutes the answer is remembered.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from inr_plugins import files

ANSWER_SECONDS = 5.0
"""A server that has not answered by then is not there; no timeout of a socket covers the look-up of a name."""
SILENCE_SECONDS = 30.0
"""Without a byte for so long a download has ended."""
REMEMBERED_SECONDS = 600.0
"""For so long a failure counts for other processes too."""
_NOTE_SECONDS = 20.0
_BLOCK_BYTES = 1 << 16

Tell = Callable[[str], None]
"""Told sentences on how a download goes."""


class DownloadError(Exception):
    """A file could not be had; the message says why."""


def fetch(url: str, target: Path, *, sha256: str, tell: Tell) -> None:
    """Fetch `url` to `target`, unless it is there by then.

    Ctrl-C ends it. Of several processes one asks the server, and the others wait for it.

    Args:
        url: the file.
        target: where it goes; folders above it are made.
        sha256: hexadecimal digits that its SHA-256 begins with.
        tell: told what is going on when it takes a while.

    Raises:
        DownloadError: it could not be had now, or a moment ago.
    """
    notes = files.cache_folder() / f"{target.name}.failed.json"
    lock = files.cache_folder() / f"{target.name}.lock"
    try:
        with files.locked(lock):
            return _fetch_alone(url, target, notes, sha256=sha256, tell=tell)
    except BlockingIOError:
        tell(f"Another process is fetching {target.name}; this one waits for it.")
    with files.locked(lock, wait=True):
        _fetch_alone(url, target, notes, sha256=sha256, tell=tell)


def _fetch_alone(url: str, target: Path, notes: Path, *, sha256: str, tell: Tell) -> None:
    if target.is_file():
        return
    _recall(notes, url)
    try:
        _Download(url, target, sha256).run(tell)
    except DownloadError as error:
        with suppress(OSError):
            files.write_json(notes, {"url": url, "reason": str(error), "time": time.time()})
        raise
    with suppress(OSError):
        notes.unlink()


def _recall(notes: Path, url: str) -> None:
    """Raise what went wrong a moment ago, if something did."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        found = json.loads(notes.read_text(encoding="utf8"))
        left = found["time"] + REMEMBERED_SECONDS - time.time()
        if found["url"] == url and 0 < left <= REMEMBERED_SECONDS:
            raise DownloadError(f"{found['reason']}; it is tried again in {left / 60:.0f} min, or without {notes}")


class _Download:
    """A download in a thread of its own, so that whoever waits for it can be interrupted, and can give up waiting."""

    def __init__(self, url: str, target: Path, sha256: str) -> None:
        self._url, self._target, self._sha256 = url, target, sha256
        self._answered, self._ended, self._given_up = threading.Event(), threading.Event(), threading.Event()
        self._bytes, self._all_bytes = 0, 0
        self._error: Exception | None = None

    def run(self, tell: Tell) -> None:
        """Wait for the end.

        Raises:
            DownloadError: it did not end well.
        """
        thread = threading.Thread(target=self._work, daemon=True, name=f"fetch {self._target.name}")
        thread.start()
        try:
            if not self._answered.wait(ANSWER_SECONDS):
                raise DownloadError("the server does not answer")
            told = -_NOTE_SECONDS
            while not self._ended.wait(0.2):
                if time.monotonic() - told > _NOTE_SECONDS:
                    told = time.monotonic()
                    size = f" of {self._all_bytes / 1e6:.0f}" if self._all_bytes else ""
                    tell(f"Fetching {self._target}: {self._bytes / 1e6:.0f}{size} MB are here.")
        except BaseException:
            self._given_up.set()
            if self._answered.is_set():
                thread.join(1.0)  # it removes what it has written
            raise
        if self._error is not None:
            raise DownloadError(_reason(self._error)) from self._error

    def _work(self) -> None:
        try:
            with urllib.request.urlopen(self._url, timeout=SILENCE_SECONDS) as response:
                self._answered.set()
                if not self._given_up.is_set():
                    self._receive(response)
        except Exception as error:
            self._error = error
        finally:
            self._answered.set()
            self._ended.set()

    def _receive(self, response: Any) -> None:
        self._all_bytes = int(getattr(response, "headers", {}).get("Content-Length") or 0)
        digest = hashlib.sha256()
        with files.replacing(self._target) as partial:
            with partial.open("wb") as file:
                while block := response.read1(_BLOCK_BYTES):
                    if self._given_up.is_set():
                        raise DownloadError("nobody waits for it any more")
                    digest.update(block)
                    file.write(block)
                    self._bytes += len(block)
            if self._bytes < self._all_bytes or not digest.hexdigest().startswith(self._sha256):
                raise DownloadError("the download was cut short")


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"nothing came for {SILENCE_SECONDS:.0f} s"
    return str(getattr(error, "reason", None) or error or type(error).__name__)
