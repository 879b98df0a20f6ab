"""The steps of finding poses, each in a process of pycolmap's: features, matches, mapping."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from inr_plugins.errors import first_line

LOG = "log.txt"
_LOOK_EVERY = 0.5


def run_step(
    step: str, job: dict[str, Any], *, log: Path, on_progress: Callable[[int], None], counted: str | None = None
) -> Any:
    """Have a step of `photos.worker` done, and return its result.

    Args:
        step: its name.
        job: what it takes; JSON.
        log: a file that pycolmap's own words are added to.
        on_progress: told how much is done, in what the step counts.
        counted: the table of the database whose rows are how much is done, where the step does not count itself.

    Raises:
        KeyboardInterrupt: the process was told to end, as all of its group are by Ctrl-C.
        MemoryError: the system has ended the process, as it does with the largest one where memory runs out.
        RuntimeError: the step failed; the message says where its words are.
    """
    environment = {"OMP_WAIT_POLICY": "PASSIVE", **os.environ}
    with log.open("ab") as words:
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "inr_plugins.photos.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=words,
            env=environment,
        )
        try:
            with _watching(Path(job["database"]), counted, on_progress):
                found = _listen(process, {"step": step, **job}, on_progress)
                status = process.wait()
        finally:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
    if "result" in found and status == 0:
        return found["result"]
    if status in (-signal.SIGINT, -signal.SIGTERM):
        raise KeyboardInterrupt
    if status == -signal.SIGKILL:
        raise MemoryError(f"the process of the step {step} was ended by the system")
    raise RuntimeError(f"{found.get('error') or f'the step {step} ended with {status}: {_last_word(log)}'} ({log})")


@contextmanager
def _watching(database: Path, table: str | None, on_progress: Callable[[int], None]) -> Iterator[None]:
    """While the body runs, tell how many rows a table of the database has.

    From here, and never from the process that writes: a process that closes a file lets go of all locks that it has on
    it, and pycolmap has an SQLite of its own beside Python's.
    """
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_LOOK_EVERY):
            with suppress(sqlite3.Error):
                connection = sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)
                try:
                    on_progress(connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0])
                finally:
                    connection.close()

    thread = threading.Thread(target=watch, daemon=True)
    if table is not None:
        thread.start()
    try:
        yield
    finally:
        over.set()
        if table is not None:
            thread.join()


def _listen(
    process: subprocess.Popen[bytes], job: dict[str, Any], on_progress: Callable[[int], None]
) -> dict[str, Any]:
    """Tell the process its job, pass on its progress, and return its last word."""
    assert process.stdin is not None
    assert process.stdout is not None
    found = dict[str, Any]()
    try:
        process.stdin.write(json.dumps(job).encode() + b"\n")
        process.stdin.flush()
        for line in process.stdout:
            try:
                said = json.loads(line)
            except ValueError:
                continue  # something that a library prints
            if isinstance(said, dict) and "done" in said:
                on_progress(int(said["done"]))
            elif isinstance(said, dict):
                found |= said
    except BrokenPipeError as error:
        return {"error": first_line(error)}
    return found


def _last_word(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "without a word")
