"""Start commands as a shell would, from the fork server or as programs of their own, and wait for them."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from campaign.case import Fault

# As this is imported: cases run in children of the campaign, with a folder of their own for temporary files.
_CAMPAIGN, _TEMPORARY = os.getpid(), tempfile.gettempdir()
_SHARED = Path(_TEMPORARY) / f"campaign-processes-{_CAMPAIGN}"
HANG_SECONDS = 60.0
"""Without output and without use of a processor: a hang."""
_LINES = 12
_POLL_SECONDS = 0.02


@dataclass(frozen=True)
class Ended:
    """A command that has ended.

    Attributes:
        words: the command line.
        status: its exit status, -N where signal N has ended it.
        out: what it wrote to standard output, where that was a file.
        err: the same of standard error.
        seconds: how long it ran.
    """

    words: tuple[str, ...]
    status: int
    out: str
    err: str
    seconds: float

    @property
    def said(self) -> str:
        """Both streams."""
        return f"{self.out}\n{self.err}"

    def told(self) -> str:
        """Command, status and last words, for the sentence of a fault."""
        lines = [line.rstrip() for line in self.said.splitlines() if line.strip()]
        return "\n".join([f"$ {' '.join(self.words)}", *lines[-_LINES:], f"-> {self.status}"])


class Running:
    """A command that runs, as the leader of a group of its own."""

    def __init__(
        self,
        words: Sequence[str],
        process: int,
        streams: tuple[Path, Path],
        poll: Callable[[float], int | None],
        pumps: Sequence[subprocess.Popen[bytes]] = (),
    ) -> None:
        self.words, self.process, self._pumps = tuple(words), process, pumps
        self._out, self._err = streams
        self._poll = poll
        self._begin = time.monotonic()
        self._status: int | None = None

    def send(self, number: int) -> None:
        """Send a signal to the command alone."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.process, number)

    def poll(self, seconds: float = 0.0) -> int | None:
        """Its exit status, if it ends within so many seconds."""
        if self._status is None:
            self._status = self._poll(seconds)
        return self._status

    def said(self) -> str:
        """What it has written so far."""
        return _read(self._out) + _read(self._err)

    def wait_for(self, sign: Callable[[], bool], limit: float) -> bool:
        """Wait until `sign` holds or the command has ended; whether it held."""
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            if sign():
                return True
            if self.poll(_POLL_SECONDS) is not None:
                return sign()
        self._hangs(f"{limit:.0f} s without the sign that was waited for")
        return False

    def let_run(self, seconds: float) -> None:
        """Let it run for so long, or to its end."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0 and self.poll(min(left, 1.0)) is None:
            print(".", end="", flush=True)  # The campaign watches over this process too.

    def wait(self, limit: float = 150.0) -> Ended:
        """Wait for its end.

        Raises:
            Fault: it hangs; it is killed with all its group.
        """
        deadline, quiet_since, before = time.monotonic() + limit, time.monotonic(), ()
        while self.poll(1.0 if self.poll(0.5) is None else 0.0) is None:
            now = time.monotonic()
            signs = (_size(self._out), _size(self._err), _processor_ticks(self.process))
            if signs != before:
                quiet_since, before = now, signs
                print(".", end="", flush=True)
            if now > deadline:
                self._hangs(f"no end after {limit:.0f} s")
            if now - quiet_since > HANG_SECONDS:
                self._hangs(f"no output and no use of a processor for {HANG_SECONDS:.0f} s")
        return self._ended()

    def _ended(self) -> Ended:
        assert self._status is not None
        for each in self._pumps:
            each.wait(10.0)
        return Ended(self.words, self._status, _read(self._out), _read(self._err), time.monotonic() - self._begin)

    def _hangs(self, why: str) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.process, signal.SIGUSR1)
            time.sleep(1.0)
        self.kill_group()
        self.poll(5.0)
        raise Fault("hang", f"{why}: $ {' '.join(self.words)}\n{self.said()[-3000:]}")

    def kill_group(self) -> None:
        """Kill what is left of its group."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process, signal.SIGKILL)


def start(
    folder: Path,
    *words: object,
    environment: Mapping[str, str] | None = None,
    limits: Mapping[str, int] | None = None,
    closed: Sequence[str] = (),
    stdout: int | None = None,
    fresh: bool = False,
) -> Running:
    """Start a command.

    Args:
        folder: to run it in. What it writes is kept in its subfolder ".said".
        words: the command line.
        environment: variables besides the usual ones.
        limits: names of resource's limits and their values.
        closed: which of stdin, stdout and stderr it gets closed; stdin is empty otherwise.
        stdout: a handle for standard output in place of a file.
        fresh: as a program of its own, imports and all.
    """
    arguments = [str(word) for word in words]
    said = folder / ".said"
    said.mkdir(exist_ok=True)
    number = len(list(said.iterdir())) // 2
    streams = said / f"{number}.out", said / f"{number}.err"
    with open(os.devnull, "rb") as stdin, streams[0].open("wb") as out, streams[1].open("wb") as err:
        # A limit on the size of files is not meant for these.
        pumps = [_pump(file) for file in (out, err)] if limits else []
        handles = [stdin.fileno(), out.fileno() if stdout is None else stdout, err.fileno()]
        if pumps:
            handles[1:] = [each.stdin.fileno() for each in pumps if each.stdin is not None]
        if fresh:
            return _start_fresh(arguments, folder, streams, handles, dict(environment or {}))
        wanted = {
            "arguments": arguments,
            "folder": str(folder),
            "environment": dict(environment or {}),
            "limits": dict(limits or {}),
            "closed": list(closed),
        }
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(_server())
        socket.send_fds(connection, [json.dumps(wanted).encode()], handles)
        for each in pumps:
            if each.stdin is not None:
                each.stdin.close()
    lines = connection.makefile("r")
    process = int(lines.readline())

    def poll(seconds: float) -> int | None:
        connection.settimeout(max(seconds, 0.001))
        try:
            text = connection.recv(64)
        except TimeoutError:
            return None
        connection.close()
        if not text:
            raise RuntimeError("The fork server has ended.")
        return int(text)

    return Running(arguments, process, streams, poll, pumps)


def _pump(file: BinaryIO) -> subprocess.Popen[bytes]:
    """A process that writes to `file` what comes to its standard input."""
    return subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=file)


def run(folder: Path, *words: object, limit: float = 150.0, **options: object) -> Ended:
    """As :func:`start`, and wait for its end."""
    return start(folder, *words, **options).wait(limit)  # type: ignore[arg-type]


def _start_fresh(
    arguments: list[str], folder: Path, streams: tuple[Path, Path], handles: list[int], environment: dict[str, str]
) -> Running:
    program = Path(sys.executable).parent / arguments[0]
    child = subprocess.Popen(
        [str(program), *arguments[1:]],
        cwd=folder,
        env={**_environment(), **environment},
        stdin=handles[0],
        stdout=handles[1],
        stderr=handles[2],
        start_new_session=True,
    )

    def poll(seconds: float) -> int | None:
        try:
            return child.wait(max(seconds, 0.001))
        except subprocess.TimeoutExpired:
            return None

    return Running(arguments, child.pid, streams, poll)


def shared() -> Path:
    """A folder for all cases of this campaign, which the fork server removes when the campaign ends."""
    _SHARED.mkdir(exist_ok=True)
    return _SHARED


@contextmanager
def alone(name: str) -> Iterator[None]:
    """What one case makes for all of them is made once: the others wait here."""
    with (shared() / f"{name}.lock").open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                print(".", end="", flush=True)  # The campaign watches over this process too.
                time.sleep(0.2)
        yield


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "INR_"))}
    home = shared() / "home"  # Empty, so that nothing of the user's matters; caches in it are filled once.
    home.mkdir(exist_ok=True)
    return {
        **kept,
        "HOME": str(home),
        "TMPDIR": _TEMPORARY,
        "INR_LPIPS": "off",
        "OMP_NUM_THREADS": "1",
        "MPLBACKEND": "Agg",
        "PYTHONWARNINGS": "ignore",
    }


def _server() -> str:
    """The address of the fork server, which is started by whoever is first and ends with the campaign."""
    path = shared() / "server"
    with alone("server"):
        if not path.exists():
            _start_server(path)
    return str(path)


def _start_server(path: Path) -> None:
    said = shared() / "server.txt"
    with said.open("wb") as file:
        server = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("server.py")), str(path), str(_CAMPAIGN)],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env=_environment(),
            cwd=shared(),
            start_new_session=True,
        )
    while not path.exists():
        if server.poll() is not None:
            raise RuntimeError(f"The fork server has ended:\n{_read(said)}")
        time.sleep(0.1)


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def _size(path: Path) -> int:
    return path.stat().st_size


def _processor_ticks(group: int) -> int:
    """Processor time that the group of a process has used, in ticks; where the system does not tell, the time."""
    total = 0
    try:
        numbers = [name for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return int(time.monotonic())
    for number in numbers:
        with suppress(OSError, ValueError, IndexError):
            entries = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
            if int(entries[2]) == group:
                total += int(entries[11]) + int(entries[12])
    return total
