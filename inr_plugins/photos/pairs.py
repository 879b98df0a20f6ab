"""Which photos are compared with which."""

from __future__ import annotations

from itertools import combinations

MOST_FOR_ALL = 200
"""Photos that are still compared each with each: 19,900 pairs."""
_NEIGHBOURS = 10
_EVERY = 6
"""Of a long sequence, every so-manieth is compared with all others of these, so that ways that meet again are
joined."""


def all_pairs(count: int) -> list[tuple[int, int]]:
    """Each with each, near ones first."""
    return sorted(combinations(range(count), 2), key=lambda pair: (pair[1] - pair[0], pair))


def pairs_in_sequence(count: int) -> list[tuple[int, int]]:
    """Each with the ten that follow it and with those 16, 32, 64 ... later, and every sixth with every sixth."""
    steps = [*range(1, _NEIGHBOURS + 1), *(2**power for power in range(4, count.bit_length()))]
    found = {(first, first + step) for step in steps for first in range(count - step)}
    found |= set(combinations(range(0, count, _EVERY), 2))
    return sorted(found, key=lambda pair: (pair[1] - pair[0], pair))
