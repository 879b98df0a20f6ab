"""The steps of finding poses, each in a process of pycolmap's: features, matches, mapping."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from inr_plugins.errors import first_line

LOG = "log.txt"


def run_step(step: str, job: dict[str, Any], *, log: Path, on_progress: Callable[[int], None]) -> Any:
    """Have a step of `photos.worker` done, and return its result.

    Args:
        step: its name.
        job: what it takes; JSON.
        log: a file that pycolmap's own words are added to.
        on_progress: told how much is done, in what the step counts.

    Raises:
        MemoryError: the system has ended the process, as it does with the largest one where memory runs out.
        RuntimeError: the step failed; the message says where its words are.
    """
    environment = {"OMP_WAIT_POLICY": "PASSIVE", **os.environ, "GLOG_minloglevel": "0"}
    with log.open("ab") as words:
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "inr_plugins.photos.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=words,
            env=environment,
        )
        try:
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
    if status == -9:
        raise MemoryError(f"the process of the step {step} was ended by the system")
    raise RuntimeError(f"{found.get('error') or f'the step {step} ended with {status}: {_last_word(log)}'} ({log})")


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
