"""Measuring a stand-in for a trainer, whose steps and evaluations take the time that the test says."""

import math

import pytest

from inr_plugins.bench.clock import Moment, Schedule, TrainingClock
from inr_plugins.bench.measurement import Measurement, mean_of


class StandIn:
    """Trains in steps of a given length; its PSNR is its number of steps, plus the number of the view."""

    def __init__(self, *, step_seconds: float, view_seconds: float = 50.0, **options):
        self.now, self.step_seconds, self.view_seconds = 0.0, step_seconds, view_seconds
        self.is_stopped, self.views, self.saved = False, [], []
        self.measurement = Measurement(
            clock=TrainingClock(lambda: self.now),
            curve_indices=[0, 2],
            all_indices=[0, 1, 2],
            score=self.score,
            stop=self.stop,
            on_budget=self.saved.append,
            **options,
        )

    def score(self, indices):
        self.views.append(list(indices))
        self.now += self.view_seconds * len(indices)
        steps = self.measurement.steps
        return {index: (float(steps + index), 0.5, 0.1 * (index + 1)) for index in indices}

    def stop(self):
        self.is_stopped = True

    def train(self, steps=1000):
        self.now += 30.0  # start-up
        for step in range(steps):
            if self.is_stopped:
                break
            self.measurement.before_step()
            self.now += self.step_seconds
            self.measurement.after_step(step)
        self.measurement.finish(step)
        return self.measurement


def schedule(*budgets, curve=()):
    return Schedule([*(Moment(at, True) for at in budgets), *(Moment(at, False) for at in curve)])


def test_a_budget_in_seconds_counts_training_alone_and_ends_it():
    trained = StandIn(step_seconds=2.0, schedule=schedule(6.0, 10.0), unit="seconds").train()
    assert [(each["budget"], each["seconds"], each["steps"]) for each in trained.results] == [(6, 6, 3), (10, 10, 5)]
    assert trained.outcome()["steps_per_second"] == 0.5


def test_what_a_model_took_to_prepare_itself_counts_but_is_no_step():
    trained = StandIn(step_seconds=2.0, schedule=schedule(10.0), unit="seconds", preparation=5.0).train()
    assert [(each["seconds"], each["steps"]) for each in trained.results] == [(11, 3)]
    assert trained.outcome()["steps_per_second"] == 0.5
    assert trained.outcome()["preparation_seconds"] == 5.0


def test_a_step_that_has_begun_is_finished_and_its_real_seconds_are_kept():
    trained = StandIn(step_seconds=4.0, schedule=schedule(6.0), unit="seconds").train()
    assert [(each["budget"], each["seconds"], each["steps"]) for each in trained.results] == [(6, 8, 2)]


def test_a_budget_is_the_mean_of_all_views_and_its_point_that_of_the_curves_views():
    stand_in = StandIn(step_seconds=1.0, schedule=schedule(4.0, curve=[2.0]), unit="seconds")
    trained = stand_in.train()
    assert stand_in.views == [[0, 2], [0, 1, 2]]
    assert trained.results[0]["psnr"] == pytest.approx((4 + 5 + 6) / 3)
    assert [view["psnr"] for view in trained.results[0]["views"]] == [4, 5, 6]
    assert trained.results[0]["silhouette_iou"] == pytest.approx(0.2)
    assert [view["silhouette_iou"] for view in trained.results[0]["views"]] == [
        pytest.approx(x) for x in (0.1, 0.2, 0.3)
    ]
    assert [(each["moment"], each["psnr"]) for each in trained.curve] == [(2, 3.0), (4, 5.0)]


def test_the_surface_is_measured_at_each_budget_while_the_clock_stands_still():
    made = []

    def surface():
        stand_in.now += 500.0
        made.append(stand_in.measurement.steps)
        return {"steps": stand_in.measurement.steps}

    plan = schedule(4.0, 6.0, curve=[2.0])
    stand_in = StandIn(step_seconds=1.0, schedule=plan, unit="seconds", surface=surface)
    trained = stand_in.train()
    assert [(each["surface"]["steps"], each["seconds"]) for each in trained.results] == [(4, 4.0), (6, 6.0)]
    # A mesh takes seconds: none is made for a point of the curve.
    assert made == [4, 6]


def test_without_meshes_results_say_nothing_of_a_surface():
    trained = StandIn(step_seconds=1.0, schedule=schedule(2.0), unit="seconds").train()
    assert "surface" not in trained.results[0]


def test_moments_that_one_step_went_past_are_measured_once():
    stand_in = StandIn(step_seconds=20.0, schedule=schedule(5.0, 15.0, curve=[1.0, 2.0]), unit="seconds")
    trained = stand_in.train()
    assert stand_in.views == [[0, 1, 2]]
    assert [each["budget"] for each in trained.results] == [5, 15]
    assert len(trained.curve) == 1


def test_budgets_in_steps():
    trained = StandIn(step_seconds=3.0, schedule=schedule(2, 5), unit="steps").train()
    assert [(each["steps"], each["seconds"]) for each in trained.results] == [(2, 6), (5, 15)]


def test_a_training_that_ends_by_itself_is_measured_as_it_ended():
    stand_in = StandIn(step_seconds=1.0, schedule=schedule(2.0, 100.0, 200.0), unit="seconds")
    trained = stand_in.train(steps=7)
    told = [(each["budget"], each["seconds"], each["ended_by_itself"]) for each in trained.results]
    assert told == [(2, 2, False), (100, 7, True), (200, 7, True)]
    assert not stand_in.is_stopped
    # The trainer itself saves where it ends.
    assert stand_in.saved == [1]


def test_a_view_without_a_number_leaves_no_mean():
    stand_in = StandIn(step_seconds=1.0, schedule=schedule(1.0), unit="seconds")
    stand_in.score = lambda indices: {index: (None if index == 1 else 20.0, None, None) for index in indices}
    stand_in.measurement.score = stand_in.score
    trained = stand_in.train()
    assert (trained.results[0]["psnr"], trained.results[0]["ssim"]) == (None, None)
    assert trained.curve[0]["psnr"] == 20.0


def test_progress_says_what_goes_on():
    told = []
    StandIn(step_seconds=1.0, schedule=schedule(2.0), unit="seconds", on_progress=told.append).train()
    assert {each["phase"] for each in told} <= {"training", "evaluating"}
    assert told[-1]["phase"] == "evaluating"
    assert all(math.isfinite(each["seconds"]) for each in told)


@pytest.mark.parametrize(("values", "mean"), [([1.0, 3.0], 2.0), ([1.0, None], None), ([], None)])
def test_mean_of(values, mean):
    assert mean_of(values) == mean
