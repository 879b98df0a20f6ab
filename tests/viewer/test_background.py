"""Work beside training and drawing: done when asked for, or for each new snapshot, and by no thread else."""

import threading
import time
from types import SimpleNamespace

import pytest
import torch
from viewer.served import eventually

from inr_plugins.errors import InputError
from inr_plugins.viewer.background import Follower, Worker
from inr_plugins.viewer.snapshot import Snapshot, edited


class Live:
    """What both know of the live viewer."""

    def __init__(self):
        self.snapshot, self.after_snapshot, self.logged = None, [], []

    def log_once(self, sentence, details=""):
        self.logged.append((sentence, details))

    def take(self, step):
        """A snapshot, as the training thread takes it."""
        self.snapshot = Snapshot(SimpleNamespace(), step, False)
        for call in self.after_snapshot:
            call()


@pytest.fixture
def live():
    return Live()


def threads() -> list[str]:
    return [each.name for each in threading.enumerate() if each.name == "viewer test"]


def test_what_is_asked_for_several_times_is_done_once_and_then_again(live):
    begun, go_on, count = threading.Event(), threading.Event(), []

    def call():
        begun.set()
        go_on.wait(30)
        count.append(threading.current_thread().name)

    worker = Worker(live, call, fail=lambda _: None, name="test")
    assert threads() == []
    worker.ask()
    assert begun.wait(30)
    for _ in range(3):
        worker.ask()
    go_on.set()
    assert eventually(lambda: len(count) == 2)
    time.sleep(0.1)
    assert count == ["viewer test"] * 2
    worker.close()
    assert threads() == []
    worker.ask()
    assert threads() == []


def test_it_is_not_done_more_often_than_so_unless_at_once(live):
    done = []
    worker = Worker(live, lambda: done.append(time.monotonic()), fail=lambda _: None, name="test", every=0.4)
    worker.ask()
    assert eventually(lambda: len(done) == 1)
    worker.ask()
    assert eventually(lambda: len(done) == 2)
    assert done[1] - done[0] >= 0.39
    worker.close()
    patient = Worker(live, lambda: done.append(time.monotonic()), fail=lambda _: None, name="test", every=1000)
    patient.ask()
    assert eventually(lambda: len(done) == 3)
    patient.ask()
    patient.ask(at_once=True)
    assert eventually(lambda: len(done) == 4)
    patient.ask()
    patient.close()
    assert threads() == []


def test_troubles_are_sentences_and_do_not_end_it(live):
    troubles, told = [KeyError("x"), InputError("Say another."), ValueError("Two is too many.")], []

    def call():
        if troubles:
            raise troubles.pop(0)

    worker = Worker(live, call, fail=told.append, name="test")
    for count in (1, 2, 3, 3):
        worker.ask()
        assert eventually(lambda count=count: len(told) == count)
    worker.close()
    assert told == ["KeyError: 'x'", "Say another.", "Two is too many."]
    assert [sentence for sentence, _ in live.logged] == [f"test: {each}" for each in told]
    # What says what to do needs no traceback.
    assert ["Traceback" in details for _, details in live.logged] == [True, False, True]


def test_each_snapshot_is_followed_while_it_is_on_and_no_thread_is_left(live):
    seen = []
    follower = Follower(
        live, lambda snapshot: seen.append(snapshot.step), fail=lambda _: None, name="test", seconds=0.0
    )
    live.take(0)
    assert threads() == []
    follower.switch(True)
    assert eventually(lambda: seen == [0])
    live.take(1)
    assert eventually(lambda: seen == [0, 1])
    # What is changed for drawing only is no new snapshot.
    source = live.snapshot
    live.snapshot = edited(source, [lambda model: None])
    follower.switch(True)
    assert eventually(lambda: seen == [0, 1, 1])
    follower.switch(False)
    live.take(2)
    time.sleep(0.1)
    assert seen == [0, 1, 1]
    follower.switch(True)
    assert eventually(lambda: seen == [0, 1, 1, 2])
    follower.close()
    assert threads() == []


def test_an_update_that_fails_is_tried_again_with_the_next_snapshot(live):
    told, seen = [], []

    def update(snapshot):
        seen.append(snapshot)
        if len(seen) == 1:
            raise ValueError("Not this one.")

    follower = Follower(live, update, fail=told.append, name="test", seconds=0.0)
    follower.switch(True)
    # Before there is any.
    time.sleep(0.05)
    assert seen == []
    live.take(1)
    assert eventually(lambda: told == ["Not this one."])
    live.take(2)
    assert eventually(lambda: [each.step for each in seen] == [1, 2])
    live.snapshot = None
    follower.switch(True)
    follower.close()
    assert told == ["Not this one."]
    assert len(seen) == 2


def test_closing_waits_for_what_is_being_done_and_nothing_begins_after_it(live):
    begun, done = threading.Event(), []

    def call():
        begun.set()
        time.sleep(0.1)
        done.append(torch.get_num_threads())

    worker, never = (Worker(live, call, fail=lambda _: None, name="test") for _ in range(2))
    worker.ask()
    assert begun.wait(30)
    worker.close()
    # With one processor.
    assert done == [1]
    never.close()
    never.ask()
    assert never.ident is None
