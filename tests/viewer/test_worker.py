"""Work that is done once it is asked for: once for many wishes, not too often, whatever goes wrong, and never again."""

import threading
import time

import torch
from inr_plugins.viewer.worker import Worker
from viewer.served import eventually


def test_wishes_that_come_meanwhile_are_one_and_the_next_waits_its_time():
    begun, may_end, threads = [], threading.Event(), []

    def call():
        begun.append(time.monotonic())
        threads.append(torch.get_num_threads())
        assert may_end.wait(5)

    worker = Worker(call, fail=lambda *_: None, name="test", every=0.2)
    # Nothing runs before it is asked.
    assert not worker.is_alive()
    worker.ask()
    assert eventually(lambda: len(begun) == 1)
    for _ in range(3):
        worker.ask()
    may_end.set()
    assert eventually(lambda: len(begun) == 2)
    assert begun[1] - begun[0] >= 0.2
    time.sleep(0.3)
    assert len(begun) == 2
    assert threads == [1, 1]
    worker.close()
    assert not worker.is_alive()
    worker.ask()
    assert len(begun) == 2


def test_what_fails_is_told_with_its_traceback_and_tried_again():
    told, called = [], []

    def call():
        called.append(1)
        raise ValueError("Too many.")

    worker = Worker(call, fail=lambda *words: told.append(words), name="test")
    for number in range(2):
        worker.ask()
        assert eventually(lambda number=number: len(told) == number + 1)
    sentence, details = told[0]
    assert sentence == "ValueError: Too many."
    assert "in call" in details
    worker.close()


def test_closing_waits_for_what_is_being_done_and_a_closed_one_does_not_begin():
    begun, done = threading.Event(), []

    def call():
        begun.set()
        time.sleep(0.1)
        done.append(1)

    worker = Worker(call, fail=lambda *_: None, name="test")
    worker.ask()
    assert begun.wait(5)
    worker.close()
    assert done == [1]
    never = Worker(call, fail=lambda *_: None, name="test")
    never.close()
    never.ask()
    assert never.ident is None
