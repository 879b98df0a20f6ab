"""When the next snapshot is due: as often as the budget allows, by hand, and neither too soon nor too late."""

from types import SimpleNamespace

import pytest

from inr_plugins.viewer import pace as module
from inr_plugins.viewer.budget import Budget, Toll
from inr_plugins.viewer.pace import Pace
from inr_plugins.viewer.source import FrameSource


@pytest.fixture
def clock(monkeypatch):
    """Time as the test says; a pace by what copying, making ready and drawing take, at a share of a processor."""
    now = SimpleNamespace(seconds=100.0)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now.seconds))

    def make(*, copying: float, overhead: float, sharp: float, share: float) -> Pace:
        source = FrameSource(SimpleNamespace())
        source.overhead = overhead
        source.cost_of("refresh").learn_anew(512 * 288, sharp)
        # A processor that is drawn on all the time costs all of training's speed; 0.7 of what is allowed is drawing.
        pace = Pace(Budget(lambda: 1 - share / 0.7, toll=Toll(guess=1.0)), source)
        assert pace.is_due
        now.seconds = 100.0
        pace.note_snapshot(copying)
        return pace

    return now, make


def first_due(now, pace: Pace) -> float:
    """Seconds after the snapshot, of hundredths."""
    for hundredths in range(1000):
        now.seconds = 100.0 + hundredths / 100
        if pace.is_due:
            return hundredths / 100
    raise AssertionError("never")


@pytest.mark.parametrize(
    ("copying", "overhead", "sharp", "share", "seconds"),
    [
        # All that one takes, within a tenth of a processor: a second.
        (0.02, 0.03, 0.05, 0.1, 1.0),
        (0.05, 0.0, 0.05, 0.1, 1.0),
        # What costs nothing is not copied all the time.
        (0.0, 0.0, 0.0, 0.1, 0.5),
        # A sharp frame that takes too long is drawn smaller, at the least in 0.1 and at the most in 1 s.
        (0.1, 0.0, 50.0, 0.5, 2.2),
        (0.01, 0.0, 50.0, 0.05, 4.0),
        # However long it takes.
        (9.0, 0.0, 0.0, 0.1, 4.0),
    ],
)
def test_snapshots_and_what_is_drawn_of_them_stay_within_the_budget(clock, copying, overhead, sharp, share, seconds):
    now, make = clock
    pace = make(copying=copying, overhead=overhead, sharp=sharp, share=share)
    # Nobody has seen it yet.
    assert first_due(now, pace) == pytest.approx(4.0, abs=0.02)
    pace.is_drawn = True
    assert first_due(now, pace) == pytest.approx(seconds, abs=0.02)
    now.seconds = 100.0
    pace.note_snapshot(copying)
    assert first_due(now, pace) == pytest.approx(4.0, abs=0.02)


@pytest.mark.parametrize(("share", "seconds"), [(0.15, 0.55), (0.02, 0.1), (1.0, 1.0)])
def test_a_refresh_has_what_is_left_of_four_seconds(clock, share, seconds):
    _, make = clock
    pace = make(copying=0.02, overhead=0.03, sharp=1.0, share=share)
    assert pace.refresh_seconds == pytest.approx(seconds)
