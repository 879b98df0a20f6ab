"""Forks a child for each command that it is told to run, from a process that has imported everything already.

Starting a command of nerfstudio's takes ten seconds, nearly all of it imports. A child goes on where the server waits:
it gets the streams, folder, environment and arguments of the command, calls its entry point at the top of the
interpreter, and ends as the interpreter ends. What is not as in a process of its own: imports cannot be interrupted,
and the environment is that of the server while modules are imported.

Usage: server.py SOCKET PROCESS. It ends when that process does: then it kills its children and removes the folder that
the socket is in.
"""

from __future__ import annotations

import faulthandler
import importlib
import json
import os
import pkgutil
import resource
import select
import shutil
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

import inr_plugins

ENTRY_POINTS = {
    "ns-train": "nerfstudio.scripts.train",
    "ns-eval": "nerfstudio.scripts.eval",
    "ns-render": "nerfstudio.scripts.render",
    **{
        f"inr-{name}": f"inr_plugins.cli.{name}" for name in ("mesh", "scene", "eval", "bench", "demo", "check", "view")
    },
}


class Children:
    """The children that run, each with the connection that wants to know how it ends."""

    def __init__(self) -> None:
        self._running: dict[int, socket.socket] = {}

    def add(self, process: int, connection: socket.socket) -> None:
        self._running[process] = connection

    def reap(self) -> None:
        """Tell how children ended that have."""
        for process, connection in list(self._running.items()):
            ended, status = os.waitpid(process, os.WNOHANG)
            if ended:
                del self._running[process]
                with suppress(OSError):  # Nobody may want to know any more.
                    connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
                connection.close()

    def kill(self) -> None:
        for process in self._running:
            with suppress(ProcessLookupError):
                os.killpg(process, signal.SIGKILL)


def serve(listener: socket.socket, owner: int) -> str | None:
    """Fork children until `owner` has ended; in each child, return the module whose entry point it is to call."""
    children = Children()
    while is_running(owner):
        ready, _, _ = select.select([listener], [], [], 0.02)
        children.reap()
        if not ready:
            continue
        connection, _ = listener.accept()
        text, handles, _, _ = socket.recv_fds(connection, 1 << 16, 3)
        wanted = json.loads(text)
        process = os.fork()
        if process == 0:
            listener.close()
            connection.close()
            become(wanted, handles)
            return ENTRY_POINTS[wanted["arguments"][0]]
        for handle in handles:
            os.close(handle)
        children.add(process, connection)
        connection.sendall(f"{process}\n".encode())
    children.kill()
    return None


def is_running(process: int) -> bool:
    """Whether there is such a process."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def become(wanted: dict, handles: list[int]) -> None:
    """Make this child what a shell would have started."""
    os.setsid()
    for number, (stream, handle) in enumerate(zip(("stdin", "stdout", "stderr"), handles, strict=True)):
        os.dup2(handle, number)
        os.close(handle)
        if stream in wanted["closed"]:
            os.close(number)
            setattr(sys, stream, None)
    os.chdir(wanted["folder"])
    os.environ.update(wanted["environment"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for limit, value in wanted["limits"].items():
        resource.setrlimit(getattr(resource, limit), (value, value))
    if sys.stderr is not None:
        # How a command that hangs tells where.
        faulthandler.register(signal.SIGUSR1, all_threads=True)
    name, *arguments = wanted["arguments"]
    sys.argv = [str(Path(sys.executable).parent / name), *arguments]


def main() -> None:
    """Import everything, then serve; in a child, call the entry point of its command."""
    # Ctrl-C at the terminal is for the campaign; children that have a handler of their own set it again.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    path, owner = Path(sys.argv[1]), int(sys.argv[2])
    # Parsers and hooks look at the arguments while modules are imported.
    sys.argv = ["ns-train"]
    for module in (*ENTRY_POINTS.values(), "nerfstudio.viewer.viewer"):
        importlib.import_module(module)
    # Commands import some of these only when they need them.
    for module in pkgutil.walk_packages(inr_plugins.__path__, "inr_plugins."):
        importlib.import_module(module.name)
    tasks = Path("/proc/self/task")
    if tasks.is_dir() and len(list(tasks.iterdir())) > 1:
        sys.exit("A process that forks must have one thread, but importing has started others.")
    with socket.socket(socket.AF_UNIX) as listener:
        hidden = path.with_name("server.new")
        listener.bind(str(hidden))
        listener.listen()
        hidden.rename(path)
        module = serve(listener, owner)
    if module is None:
        shutil.rmtree(path.parent, ignore_errors=True)
    else:
        sys.exit(importlib.import_module(module).entrypoint())


if __name__ == "__main__":
    main()
