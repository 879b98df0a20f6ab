"""The running mean of weights against its closed form, and in and out of states that have or lack it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from inr_plugins.engine.optimization.weight_average import WeightAverage, load_states_of_either_kind


class Counter(nn.Module):
    """A weight and a buffer that the test sets."""

    value: Tensor

    def __init__(self, weight: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([weight]))
        self.register_buffer("value", torch.tensor([weight]))

    def move_to(self, weight: float) -> None:
        self.weight.data.fill_(weight)
        self.value.fill_(weight)


class Holder(nn.Module):
    """A module with its average, as a model has them."""

    def __init__(self, decay: float, weight: float = 0.0) -> None:
        super().__init__()
        self.counter = Counter(weight)
        self.average = WeightAverage(self.counter, decay=decay)
        load_states_of_either_kind(self, average="average", source="counter")

    @property
    def shown(self) -> float:
        return self.average.of(self.counter).weight.item()

    def step(self, weight: float) -> None:
        self.counter.move_to(weight)
        self.average.update(self.counter)


def test_mean_is_the_geometric_sum_of_the_weights_after_each_step():
    holder = Holder(decay=0.75)
    weights = [3.0, -1.0, 4.0, 1.0, -5.0]
    for weight in weights:
        holder.step(weight)
    shares = [0.75**4] + [0.25 * 0.75**k for k in (3, 2, 1, 0)]
    assert holder.shown == pytest.approx(sum(s * w for s, w in zip(shares, weights, strict=True)))
    assert holder.counter.weight.item() == -5.0


def test_buffers_are_those_of_the_last_step():
    holder = Holder(decay=0.75)
    holder.step(2.0)
    holder.step(8.0)
    assert holder.average.of(holder.counter).value.item() == 8.0


def test_before_the_first_step_and_without_a_mean_the_module_itself_is_seen():
    for decay in (0.9, 0.0):
        holder = Holder(decay)
        holder.counter.move_to(7.0)
        assert holder.average.of(holder.counter) is holder.counter
    holder.step(9.0)
    assert holder.average.of(holder.counter) is holder.counter
    assert not list(Holder(0.0).average.parameters())


def test_the_mean_is_not_trained():
    assert not any(each.requires_grad for each in Holder(0.9).average.parameters())


def test_a_loaded_mean_goes_on_as_if_never_stopped():
    straight, first, second = Holder(0.5), Holder(0.5), Holder(0.5, weight=6.0)
    for weight in (1.0, 2.0):
        straight.step(weight)
        first.step(weight)
    second.load_state_dict(first.state_dict())
    for holder in (straight, second):
        holder.step(5.0)
    assert second.shown == straight.shown == pytest.approx(0.25 + 0.5 + 2.5)


def test_a_mean_may_begin_or_end_where_a_run_goes_on():
    plain, averaged = Holder(0.0), Holder(0.5)
    plain.step(3.0)
    averaged.step(1.0)
    averaged.load_state_dict(plain.state_dict())
    assert averaged.shown == 3.0
    averaged.step(4.0)
    averaged.step(6.0)
    assert averaged.shown == 5.0
    state = averaged.state_dict()
    plain.load_state_dict(state)
    assert plain.shown == 6.0


def test_a_state_without_the_module_leaves_it_alone():
    """As nerfstudio's pipeline loads the rest of a state after its model."""
    holder = Holder(0.5)
    holder.step(1.0)
    holder.step(3.0)
    holder.load_state_dict({}, strict=False)
    holder.counter.move_to(9.0)
    assert holder.shown == 2.0


def test_a_damaged_state_is_still_an_error():
    state = Holder(0.5).state_dict()
    del state["average.mean.module.weight"]
    with pytest.raises(RuntimeError, match=r"average\.mean\.module\.weight"):
        Holder(0.5).load_state_dict(state)
