"""The process that pycolmap works in: its end, and what is said of one that does not end well."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest
from with_pycolmap import needs_pycolmap

from inr_plugins.photos.solve import run_step

pytestmark = needs_pycolmap

IMPORTING = """
import os, signal
def told(*_):
    print("told", flush=True)
    os._exit(7)
signal.signal(signal.SIGTERM, told)
from inr_plugins.photos.pycolmap_import import import_pycolmap
import_pycolmap()
os.kill(os.getpid(), signal.SIGTERM)
"""


def test_what_sigterm_does_stays_as_it_was():
    done = subprocess.run([sys.executable, "-c", IMPORTING], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (7, "told\n", "")


def test_a_step_that_fails_says_why_and_where_its_words_are(tmp_path):
    job = {"database": str(tmp_path / "none" / "a.db"), "list": "x", "threads": 1, "seed": 0}
    with pytest.raises(RuntimeError, match=r"log\.txt"):
        run_step("matches", job, log=tmp_path / "log.txt", on_progress=lambda _: None)


@pytest.mark.parametrize(("number", "error"), [(signal.SIGKILL, MemoryError), (signal.SIGINT, KeyboardInterrupt)])
def test_a_process_that_is_ended_is_no_result(tmp_path, monkeypatch, number, error):
    """SIGKILL is what the system sends where memory runs out; Ctrl-C reaches the process too."""
    started = subprocess.Popen

    def start(command, **options):
        process = started([sys.executable, "-c", "import time; time.sleep(60)"], **options)
        threading.Timer(0.2, lambda: os.kill(process.pid, number)).start()
        return process

    monkeypatch.setattr(subprocess, "Popen", start)
    job = {"database": str(tmp_path / "a.db")}
    with pytest.raises(error):
        run_step("features", job, log=tmp_path / "log.txt", on_progress=lambda _: None)
