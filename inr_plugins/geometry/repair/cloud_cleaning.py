"""What a cloud has too much: points that are there already, and points that belong to nothing."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float, Int

_POINTS_AT_ONCE = 1 << 18
# Points that are asked for their neighbours to tell whether a cloud has every place several times, and how many.
_ASKED, _AROUND = 4000, 64
# Among the distances to the neighbours of a randomly sampled surface, a step like this behind the second or a later one
# has a chance of a few in ten thousand; where all points are pairs, of a few in a hundred.
_STEP = 8.0
_LEAST_SHARE = 0.1
# The farthest within a cluster is less than this many times as far as that of the median point.
_SPREAD = 4.0
# A point is far from the others where its eighth neighbour is so many times farther than is usual.
_NEIGHBOURS, _FAR = 8, 5.0
# A scan thins out from place to place by less than this.
_THINNING = 3.0
_MOST_ROUNDS = 100


def first_of_each(points: Float[np.ndarray, "n 3"]) -> Int[np.ndarray, " m"]:
    """Numbers, in rising order, of the points that no earlier one is equal to."""
    # Adding zero turns -0.0 into 0.0, which is the same place.
    columns = [points[:, axis] + 0.0 for axis in range(3)]
    order = np.lexsort(columns)
    new = np.zeros(len(points), dtype=bool)
    new[:1] = True
    for column in columns:
        column = column[order]
        new[1:] |= column[1:] != column[:-1]
    # Equal keys keep their order, so the first of each run is the earliest.
    return np.sort(order[new])


def first_of_each_place(points: Float[np.ndarray, "n 3"]) -> tuple[Int[np.ndarray, " m"], float]:
    """Numbers of the points that are left when clusters of them become one, and how near those are that do.

    Where a cloud was put together from copies that rounding set apart, each point has several next to it and all others
    far away, and its neighbours say nothing of the surface: a step in the distances to them shows that. Pairs are left,
    which do no harm, and may be the two sides of a sheet. The distance is 0 where there are no clusters.

    Args:
        points: all different.
    """
    within = _cluster_size(points)
    if within == 0:
        return np.arange(len(points)), 0.0
    # Cells of a lattice first, so that few pairs are left for the search even where there are many in a place.
    cell = np.floor((points - points.min(axis=0)) / within)
    kept = first_of_each(cell)
    return kept[_one_of_each_group(points[kept], within)], within


def _cluster_size(points: Float[np.ndarray, "n 3"]) -> float:
    """A distance above that within clusters and below that between them; 0 where there are no clusters of three."""
    from scipy.spatial import cKDTree

    asked = points[np.random.default_rng(0).permutation(len(points))[:_ASKED]]
    count = min(_AROUND, len(points))
    apart = cKDTree(points).query(asked, k=count, workers=-1)[0].reshape(len(asked), count)[:, 1:]
    if apart.shape[1] < 3:
        return 0.0
    steps = apart[:, 2:] / np.maximum(apart[:, 1:-1], np.finfo(float).tiny)
    at = steps.argmax(axis=1)
    rows = np.arange(len(asked))
    clustered = steps[rows, at] > _STEP
    if clustered.mean() < _LEAST_SHARE:
        return 0.0
    below, above = (float(np.median(apart[rows, at + step][clustered])) for step in (1, 2))
    return min(_SPREAD * below, float(np.sqrt(below * above)))


def _one_of_each_group(points: Float[np.ndarray, "n 3"], within: float) -> Int[np.ndarray, " m"]:
    """The first of each group of points that are linked by steps of at most `within`."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    pairs = cKDTree(points).query_pairs(within, output_type="ndarray")
    links = coo_matrix((np.ones(len(pairs), dtype=bool), pairs.T), shape=(len(points), len(points)))
    _, group = connected_components(links, directed=False)
    return np.sort(np.unique(group, return_index=True)[1])


def stray_points(points: Float[np.ndarray, "n 3"]) -> Bool[np.ndarray, " n"]:
    """Which points lie so far from the others that they can be no part of the surface.

    Those whose eighth neighbour is five times as far as that of the median point, unless the cloud thins out gradually
    to where they are, as a scan does with distance: none that is within three times the spacing at a point that
    belongs to the cloud.

    Args:
        points: all different.
    """
    from scipy.spatial import cKDTree

    if len(points) <= _NEIGHBOURS:
        return np.zeros(len(points), dtype=bool)
    tree = cKDTree(points)
    reach = np.empty(len(points))
    for part in _parts(len(points)):
        reach[part] = tree.query(points[part], k=[_NEIGHBOURS + 1], workers=-1)[0][:, 0]
    stray = reach > _FAR * np.median(reach)
    border = np.flatnonzero(~stray)
    for _ in range(_MOST_ROUNDS):
        doubtful = np.flatnonzero(stray)
        if len(doubtful) == 0 or len(border) == 0:
            break
        apart, nearest = cKDTree(points[border]).query(points[doubtful], workers=-1)
        border = doubtful[apart <= _THINNING * reach[border[nearest]]]
        stray[border] = False
    return stray


def _parts(count: int) -> Iterator[slice]:
    for start in range(0, count, _POINTS_AT_ONCE):
        yield slice(start, min(start + _POINTS_AT_ONCE, count))
