"""Resuming the shipped preset through its own trainer and datamanager, across a change of stage."""

import pytest
from integration.small_methods import small_diner
from short_runs import assert_same_state, train


@pytest.mark.parametrize("stop", [45, 60, 90])
def test_stopping_and_going_on_gives_the_same_bits(knot, tmp_path, stop):
    total = 110
    straight = train(small_diner(knot, tmp_path / "straight"), total)
    first = train(small_diner(knot, tmp_path / "first"), stop)
    second = train(small_diner(knot, tmp_path / "second"), total - stop, load_dir=first.checkpoint_dir)
    assert straight.step == total - 1
    assert_same_state(straight.checkpoint_dir, second.checkpoint_dir)
