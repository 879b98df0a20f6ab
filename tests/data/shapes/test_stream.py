"""Batches come by the number of their step, made ahead, and the thread that makes them is never left behind."""

from __future__ import annotations

import gc
import signal
import subprocess
import sys
import threading
import time

import pytest

from inr_plugins.data.shapes.stream import SampleStream


def wait_until(condition, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.002)


def running() -> int:
    return sum(thread.name == "sample-stream" for thread in threading.enumerate())


def square(step: int) -> int:
    return step * step


@pytest.mark.parametrize(
    "steps",
    [range(20), [0, 1, 2, 50, 51, 3, 4, 0, 0, 0], [7, 9, 11, 10, 8], [5, 6, 8, 30, 7]],
    ids=["in order", "jumps", "one left out, then back", "forwards and back"],
)
@pytest.mark.parametrize("ahead", [1, 4])
def test_what_comes_is_that_of_the_step_whatever_was_asked_before(steps, ahead):
    stream = SampleStream(square, ahead=ahead)
    assert [stream.get(step) for step in steps] == [square(step) for step in steps]
    stream.close()


def test_jumps_while_a_batch_is_in_the_making_do_not_mix_steps_up():
    def make(step: int) -> int:
        time.sleep(0.002)
        return step

    stream = SampleStream(make, ahead=3)
    for step in (0, 10, 11, 5, 6, 7, 20, 0, 1, 3, 2):
        assert stream.get(step) == step
        time.sleep(0.001 * (step % 4))
    stream.close()


def test_as_many_batches_as_asked_for_are_made_ahead_and_each_once():
    made: list[int] = []

    def make(step: int) -> int:
        made.append(step)
        return step

    stream = SampleStream(make, ahead=3)
    stream.get(0)
    wait_until(lambda: len(made) == 4)
    time.sleep(0.02)
    assert made == [0, 1, 2, 3]
    stream.get(1)
    wait_until(lambda: len(made) == 5)
    # One left out costs nothing of what is ready.
    assert stream.get(3) == 3
    wait_until(lambda: len(made) == 7)
    assert made == list(range(7))
    stream.close()


def test_only_waits_that_making_ahead_could_have_spared_are_counted():
    allowed = {step: threading.Event() for step in range(20)}

    def make(step: int) -> int:
        assert allowed[step].wait(30)
        return step

    def allow(*steps: int) -> None:
        for step in steps:
            allowed[step].set()

    stream = SampleStream(make, ahead=2)
    allow(1, 2)
    threading.Timer(0.05, allow, (0,)).start()
    assert stream.get(0) == 0  # the first of all
    wait_until(lambda: len(stream._worker._ready) == 2)
    assert stream.get(1) == 1  # it was ready
    allow(3)
    threading.Timer(0.05, allow, (10,)).start()
    assert stream.get(10) == 10  # a jump
    assert (stream.waits, stream.waited_seconds) == (0, 0.0)
    threading.Timer(0.05, allow, (11,)).start()
    assert stream.get(11) == 11
    assert stream.waits == 1
    assert 0.03 < stream.waited_seconds < 20
    allow(12, 13)
    stream.close()


def test_an_error_comes_out_of_get_for_its_step_and_the_next_call_tries_again():
    broken = {2}

    def make(step: int) -> int:
        if step in broken:
            raise ValueError(f"step {step} is broken")
        return step

    stream = SampleStream(make, ahead=4)
    assert [stream.get(0), stream.get(1)] == [0, 1]
    for _ in range(2):
        with pytest.raises(ValueError, match="step 2 is broken"):
            stream.get(2)
    assert stream.get(7) == 7
    with pytest.raises(ValueError, match="step 2 is broken"):
        stream.get(2)
    broken.clear()
    assert [stream.get(2), stream.get(3)] == [2, 3]
    stream.close()


def test_closing_ends_the_thread_and_what_is_asked_then_is_refused():
    before = running()
    stream = SampleStream(square, ahead=2)
    stream.get(0)
    assert running() == before + 1
    stream.close()
    stream.close()
    assert running() == before
    with pytest.raises(RuntimeError, match="closed"):
        stream.get(1)


def test_letting_go_of_a_stream_ends_its_thread():
    before = running()
    stream = SampleStream(square, ahead=2)
    stream.get(0)
    del stream
    gc.collect()
    wait_until(lambda: running() == before)


def test_nothing_made_ahead_is_refused():
    with pytest.raises(ValueError, match="ahead is 0"):
        SampleStream(square, ahead=0)


PROGRAM = """
import time
from inr_plugins.data.shapes.stream import SampleStream

def make(step):
    time.sleep(0.05)
    return step

stream = SampleStream(make, ahead=3)
stream.get(0)
print("ready", flush=True)
{rest}
"""


@pytest.mark.parametrize(
    ("rest", "interrupt"),
    [("", False), ("raise SystemExit(0)", False), ("for step in range(1, 10**6): stream.get(step)", True)],
    ids=["end of the program", "exit", "Ctrl-C"],
)
def test_python_ends_at_once_while_batches_are_being_made(rest, interrupt):
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(rest=rest)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A process that is started in the background of a shell ignores the signal, and so do its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        assert program.stdout is not None
        assert program.stdout.readline() == "ready\n"
        if interrupt:
            program.send_signal(signal.SIGINT)
        errors = program.communicate(timeout=30)[1]
    finally:
        program.kill()
    assert program.returncode in ((-signal.SIGINT, 130) if interrupt else (0,))
    assert "Fatal" not in errors
    assert ("KeyboardInterrupt" in errors) == interrupt
