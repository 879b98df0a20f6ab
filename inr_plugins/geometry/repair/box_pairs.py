"""Which of many axis-aligned boxes meet, found by going down a tree of them."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

from inr_plugins.geometry.distance.space_order import space_order

MOST_PAIRS = 1 << 22
"""More pairs of boxes than this are not looked at together."""
# Group of a node whose boxes are of several groups.
_MIXED = -1


class TooManyPairs(Exception):
    """So many boxes meet that their pairs do not fit in the memory that is meant for them."""


def box_pairs(
    low: Float[np.ndarray, "n 3"], high: Float[np.ndarray, "n 3"], group: Int[np.ndarray, " n"]
) -> tuple[Int[np.ndarray, " pairs"], Int[np.ndarray, " pairs"]]:
    """Pairs of boxes of different groups that meet or touch, each once, the lower number first.

    The boxes are put in an order in which neighbours in space follow one another, group by group, and become the leaves
    of a binary tree of boxes. Pairs of nodes that meet are taken apart level by level; two nodes whose boxes all belong
    to one group are left alone, so that the time goes by what groups have in common and not by their sizes.

    Args:
        low: lowest corners.
        high: highest corners.
        group: number of the group of each box, 0 or more.

    Raises:
        TooManyPairs: more than `MOST_PAIRS` pairs on a level of the tree.
    """
    count = len(low)
    if count < 2:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    order = _grouped_order(low, high, group)
    levels = _tree(low[order], high[order], group[order].astype(np.int64))
    one: np.ndarray = np.zeros(1, dtype=np.int64)
    other = one
    for below_low, below_high, below_group in reversed(levels[:-1]):
        one, other = _children(one, other)
        fits = (one <= other) & (other < len(below_low))
        one, other = one[fits], other[fits]
        apart = (below_group[one] != below_group[other]) | (below_group[one] == _MIXED)
        one, other = one[apart], other[apart]
        meet = (below_low[one] <= below_high[other]).all(axis=1) & (below_low[other] <= below_high[one]).all(axis=1)
        one, other = one[meet], other[meet]
        if len(one) > MOST_PAIRS:
            raise TooManyPairs
    first, second = order[one], order[other]
    return np.minimum(first, second), np.maximum(first, second)


def _grouped_order(
    low: Float[np.ndarray, "n 3"], high: Float[np.ndarray, "n 3"], group: Int[np.ndarray, " n"]
) -> Int[np.ndarray, " n"]:
    """The boxes in an order of space, those of a group together, the groups in the order of their first boxes."""
    order = space_order((low + high) / 2)
    _, first, which = np.unique(group[order], return_index=True, return_inverse=True)
    return order[np.argsort(first[which.reshape(-1)], kind="stable")]


Level = tuple[Float[np.ndarray, "m 3"], Float[np.ndarray, "m 3"], Int[np.ndarray, " m"]]


def _tree(low: Float[np.ndarray, "n 3"], high: Float[np.ndarray, "n 3"], group: Int[np.ndarray, " n"]) -> list[Level]:
    """The boxes, then the boxes around each two of them, and so on up to the one around all."""
    levels: list[Level] = [(low, high, group)]
    while len(levels[-1][0]) > 1:
        low, high, group = levels[-1]
        if len(low) % 2:
            low, high, group = (np.concatenate([part, part[-1:]]) for part in (low, high, group))
        same: Bool[np.ndarray, " m"] = group[::2] == group[1::2]
        levels.append(
            (np.minimum(low[::2], low[1::2]), np.maximum(high[::2], high[1::2]), np.where(same, group[::2], _MIXED))
        )
    return levels


def _children(
    one: Int[np.ndarray, " m"], other: Int[np.ndarray, " m"]
) -> tuple[Int[np.ndarray, " k"], Int[np.ndarray, " k"]]:
    """Pairs of the children of pairs of nodes, those of a node with itself as well."""
    return np.concatenate([2 * one, 2 * one, 2 * one + 1, 2 * one + 1]), np.concatenate(
        [2 * other, 2 * other + 1, 2 * other, 2 * other + 1]
    )
