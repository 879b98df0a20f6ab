"""Which photos are compared."""

from __future__ import annotations

from inr_plugins.photos.pairs import all_pairs, pairs_in_sequence


def test_all_are_compared_with_all():
    assert set(all_pairs(5)) == {(a, b) for b in range(5) for a in range(b)}
    assert len(all_pairs(200)) == 19_900


def test_in_a_sequence_neighbours_are_compared_and_ways_that_meet_again_are_joined():
    pairs = pairs_in_sequence(120)
    assert len(pairs) == len(set(pairs)) < 2200
    assert all(first < second < 120 for first, second in pairs)
    for first in range(110):
        assert {(first, first + step) for step in range(1, 11)} <= set(pairs)
    # The last photos of a turn show what the first do.
    assert any(first <= 6 and second >= 114 for first, second in pairs)
    assert pairs_in_sequence(2) == [(0, 1)]
