"""Seconds that count and moments to look, on a time that the test turns by hand."""

import pytest

from inr_plugins.bench.clock import Moment, Schedule, TrainingClock, moments


class Time:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def test_the_clock_stands_still_while_it_is_paused_and_before_it_is_started():
    time = Time()
    clock = TrainingClock(time)
    time.now += 5
    assert (clock.is_started, clock.seconds) == (False, 0.0)
    clock.start()
    time.now += 3
    assert clock.seconds == 3
    with clock.paused():
        time.now += 100
        assert clock.seconds == 3
    time.now += 2
    assert clock.seconds == 5


def test_a_pause_that_ends_in_an_error_is_left_out_too():
    time = Time()
    clock = TrainingClock(time)
    clock.start()

    def fail():
        time.now += 7
        raise RuntimeError

    with pytest.raises(RuntimeError), clock.paused():
        fail()
    time.now += 1
    assert clock.seconds == 1


def test_moments_hold_every_budget_and_points_evenly_spaced_in_the_logarithm():
    found = moments([64.0], unit="seconds", curve_points=3)
    # A fiftieth of the last budget, the geometric mean of that and the budget, the budget.
    assert [moment.at for moment in found] == pytest.approx([1.28, (1.28 * 64) ** 0.5, 64.0])
    assert [moment.is_budget for moment in found] == [False, False, True]


def test_a_point_close_to_a_budget_is_the_budget():
    near = (1.28 * 64) ** 0.5 * 1.1
    assert [m.at for m in moments([near, 64.0], unit="seconds", curve_points=3)] == pytest.approx([1.28, near, 64.0])


def test_moments_in_steps_are_whole_and_each_there_once():
    found = [moment.at for moment in moments([10, 20], unit="steps", curve_points=12)]
    assert found == sorted(set(found))
    assert all(value == int(value) >= 1 for value in found)
    assert {10, 20} <= set(found)


def test_one_point_of_the_curve_is_the_last_budget_alone():
    assert moments([5.0, 9.0], unit="seconds", curve_points=1) == (Moment(5.0, True), Moment(9.0, True))


def test_a_long_step_reaches_several_moments_at_once():
    schedule = Schedule([Moment(3, False), Moment(1, False), Moment(2, True)])
    assert schedule.reached(0.5) == []
    assert [moment.at for moment in schedule.reached(2.0)] == [1, 2]
    assert not schedule.is_over
    assert [moment.at for moment in schedule.rest()] == [3]
    assert schedule.is_over
