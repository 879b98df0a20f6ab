"""Work for each new snapshot: done while it is wanted, and by no thread else."""

import threading
from types import SimpleNamespace

from viewer.served import eventually

from inr_plugins.viewer.follower import Follower
from inr_plugins.viewer.snapshot import Snapshot, edited


def threads() -> list[str]:
    return [each.name for each in threading.enumerate() if each.name == "viewer panel test"]


def test_each_snapshot_is_followed_once_while_it_is_on_and_no_thread_is_left():
    logged, told, seen = [], [], []
    live = SimpleNamespace(snapshot=None, log_once=lambda sentence, details: logged.append(sentence))

    def update(snapshot):
        seen.append(snapshot.step)
        if snapshot.step == 2:
            raise ValueError("Two is too many.")

    follower = Follower(live, update, fail=lambda error: told.append(str(error)), name="test", seconds=0.02)
    assert threads() == []
    follower.switch(True)
    live.snapshot = Snapshot(SimpleNamespace(), 1, False)
    assert eventually(lambda: seen == [1])
    # What is changed for drawing only is no new snapshot.
    live.snapshot = edited(live.snapshot, [lambda model: None])
    threading.Event().wait(0.1)
    assert seen == [1]
    follower.switch(True)
    assert eventually(lambda: seen == [1, 1])
    live.snapshot = Snapshot(SimpleNamespace(), 2, False)
    assert eventually(lambda: told == ["Two is too many."])
    live.snapshot = Snapshot(SimpleNamespace(), 3, False)
    assert eventually(lambda: seen == [1, 1, 2, 3])
    assert logged == ["test: Two is too many."]
    follower.switch(False)
    assert eventually(lambda: threads() == [])
    follower.switch(True)
    assert eventually(lambda: seen[-2:] == [3, 3])
    follower.close()
    assert threads() == []
