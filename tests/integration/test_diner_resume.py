"""Resuming the shipped preset through its own trainer and datamanager, across a change of stage."""

from integration.small_methods import small_diner
from long_form import long_form
from short_runs import assert_parts_come_to_the_whole


@long_form
def test_stopping_and_going_on_gives_the_same_bits(knot, tmp_path):
    assert_parts_come_to_the_whole(lambda name: small_diner(knot, tmp_path / name), [45, 60, 90], 110)
