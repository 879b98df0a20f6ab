"""Signals: the first one is ours, the second one the system's, and afterwards all is as it was."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from inr_plugins.engine.interrupt import Terminated, end_when_told, exit_status, on_first_signal, sigterm_as_ctrl_c


@pytest.fixture(autouse=True)
def _usual():
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        assert signal.getsignal(number) == handler


def interrupted_by(number: signal.Signals) -> KeyboardInterrupt:
    with pytest.raises(KeyboardInterrupt) as caught, sigterm_as_ctrl_c():
        signal.raise_signal(number)
    return caught.value


def test_sigterm_is_a_ctrl_c_with_a_status_of_its_own():
    assert type(interrupted_by(signal.SIGTERM)) is Terminated
    assert exit_status(interrupted_by(signal.SIGTERM)) == 143
    assert exit_status(interrupted_by(signal.SIGINT)) == 130


def test_the_first_signal_is_told_and_the_second_one_is_the_systems():
    told = []
    with on_first_signal(told.append) as seen:
        assert not seen.is_sigterm
        signal.raise_signal(signal.SIGTERM)
        assert seen.is_sigterm
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert told == [signal.SIGTERM]


def test_a_handler_that_somebody_else_has_set_stays():
    heard = []
    usual = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        with sigterm_as_ctrl_c(), on_first_signal(heard.append):
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, usual)
    assert heard == [signal.SIGTERM]


def test_outside_of_the_main_thread_nothing_is_handled():
    found = []

    def work() -> None:
        with sigterm_as_ctrl_c():
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [signal.SIG_DFL]


def test_a_forked_child_ends_as_usual():
    with sigterm_as_ctrl_c():
        child = os.fork()
        if child == 0:
            try:
                os.kill(os.getpid(), signal.SIGTERM)
            finally:
                os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGTERM


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_process_that_is_to_end_when_told_says_so(number, status, capfd):
    end_when_told("Stopped before it began.")
    with pytest.raises(SystemExit) as end:
        signal.raise_signal(number)
    assert end.value.code == status
    assert capfd.readouterr().err == "Stopped before it began.\n"


def test_what_ends_a_process_when_told_makes_room_for_work_and_for_others():
    end_when_told("Not this.")
    told = []
    with on_first_signal(told.append):
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert told == [signal.SIGTERM]
    heard = []
    usual = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        end_when_told("Only for Ctrl-C.")
        signal.raise_signal(signal.SIGTERM)
        with sigterm_as_ctrl_c():
            pass
    finally:
        signal.signal(signal.SIGTERM, usual)
    assert heard == [signal.SIGTERM]
