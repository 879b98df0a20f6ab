"""Processes of jobs: ended with all that they started, and their last words kept."""

import os
import signal
import sys
import time

import pytest

from inr_plugins.bench import process

# Starts a process that ignores the polite signal, says which, and waits.
_PARENT_OF_A_STUBBORN_CHILD = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); "
                          "print('ready', flush=True); time.sleep(60)"], stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep({sleep})
"""


def is_alive(number: int) -> bool:
    try:
        with open(f"/proc/{number}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(condition, seconds=30.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False


def start(tmp_path, code):
    return process.start([sys.executable, "-c", code], tmp_path)


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks into /proc")
@pytest.mark.parametrize("sleep", [60, 0])
def test_everything_that_a_job_started_ends_with_it(tmp_path, sleep, monkeypatch):
    """Whether it is ended in the middle or had ended by itself."""
    monkeypatch.setattr(process, "_GRACE_SECONDS", 0.3)
    running = start(tmp_path, _PARENT_OF_A_STUBBORN_CHILD.format(sleep=sleep))
    assert wait_until(lambda: running.stdout.read_text().endswith("\n"))
    if sleep == 0:
        assert wait_until(lambda: process.has_ended(running))
    child = int(running.stdout.read_text())
    assert is_alive(child)
    status = process.end(running)
    assert status == (0 if sleep == 0 else -signal.SIGTERM)
    assert wait_until(lambda: not is_alive(child))
    assert process.end(running) == status


def test_last_words_are_the_end_of_standard_error_without_control_characters(tmp_path):
    code = "import sys; print('out'); [print(f'\\x1b[31mline {i}\\x1b[0m\\r', file=sys.stderr) for i in range(40)]"
    running = start(tmp_path, code)
    process.end(running) if wait_until(lambda: process.has_ended(running)) else None
    assert process.last_words(running).splitlines() == [f"line {i}" for i in range(25, 40)]


def test_without_errors_the_last_words_are_those_of_standard_output(tmp_path):
    running = start(tmp_path, "print('all there is')")
    assert wait_until(lambda: process.has_ended(running))
    process.end(running)
    assert process.last_words(running) == "all there is"


@pytest.mark.parametrize(
    ("status", "words"), [(2, "status 2"), (-9, "want of memory"), (-11, "signal 11"), (0, "status 0")]
)
def test_an_exit_status_in_words(status, words):
    assert words in process.how_it_ended(status)
