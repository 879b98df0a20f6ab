"""ns-train with a page that is opened while it starts, where the usual port is taken; then Ctrl-C under the page."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path

import pytest
from browser.chromium import PATIENCE

SMALL = """
    --pipeline.model.width 24 --pipeline.model.hidden-layers 2 --pipeline.model.skips --pipeline.model.colour-width 16
    --pipeline.model.colour-layers 1 --pipeline.model.uniform-samples 24 --pipeline.model.finer-samples 16
    --pipeline.model.outside-samples 8 --pipeline.model.eikonal-points 64 --pipeline.model.start-steps 500
    --pipeline.datamanager.train-num-rays-per-batch 96 --machine.device-type cpu
"""


class Command:
    """ns-train in a terminal, and what it prints there."""

    def __init__(self, arguments: list[str], folder: Path) -> None:
        program = Path(sys.executable).with_name("ns-train")
        self._terminal, its_end = pty.openpty()
        fcntl.ioctl(its_end, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 160, 0, 0))
        self.process = subprocess.Popen([program, *arguments], cwd=folder, stdout=its_end, stderr=its_end)
        os.close(its_end)
        self._printed: list[bytes] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        # A terminal whose program has ended gives an error.
        with contextlib.suppress(OSError):
            while part := os.read(self._terminal, 1 << 16):
                self._printed.append(part)

    @property
    def text(self) -> str:
        """Without colours and movements of the cursor."""
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", b"".join(self._printed).decode(errors="replace"))

    def wait(self, pattern: str, seconds: float) -> re.Match[str]:
        """What has been printed, once it has been."""
        until = time.monotonic() + PATIENCE * seconds
        while not (found := re.search(pattern, self.text)):
            assert self.process.poll() is None, self.text
            assert time.monotonic() < until, self.text
            time.sleep(0.05)
        return found


@pytest.fixture(scope="module")
def taken():
    """A port that another program listens on."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


@pytest.fixture(scope="module")
def command(knot, taken, tmp_path_factory):
    arguments = ["cn-neus", "--data", str(knot), "--viewer.websocket-port-default", str(taken), *SMALL.split()]
    started = Command(arguments, tmp_path_factory.mktemp("runs"))
    yield started
    started.process.kill()
    started.process.wait()


@pytest.fixture(scope="module")
def page(browser, command):
    """Opened as soon as somebody listens."""
    port = command.wait(r"HTTP\W+http://127\.0\.0\.1:(\d+)", 60)
    return browser.open(int(port.group(1)))


def test_a_page_that_is_opened_during_the_start_lives(page, command):
    assert page.wait(lambda: page.is_connected, 20)
    # The sphere that the surface begins as is being learnt.
    assert "(% Done)" not in command.text
    assert page.wait(lambda: page.step > 3, 60)
    assert page.wait(lambda: page.frames and page.frames[-1].image.std() > 5, 30)
    assert page.notes == []
    assert page.complaints == []


def test_the_address_that_is_printed_is_the_one_that_works(page, command, taken):
    printed = command.wait(r"Viewer running locally at: (\S+:\d+)", 20).group(1)
    assert printed == page.raw.url.rstrip("/")
    assert str(taken) not in printed


def test_ctrl_c_with_a_page_open_saves_and_ends_without_a_complaint(page, command):
    command.process.send_signal(signal.SIGINT)
    begin = time.monotonic()
    while command.process.poll() is None and time.monotonic() < begin + 30 * PATIENCE:
        page.raw.wait_for_timeout(50)
    assert command.process.returncode == 130
    assert "Stopped after step" in command.text
    for word in ("terminate called", "Traceback", "core dumped"):
        assert word not in command.text
    assert page.wait(lambda: not page.is_connected)
