"""Normals of a cloud of points: estimated from its neighbourhoods, made to agree, and oriented outward."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float, Int, Int32

from inr_plugins.errors import InputError

if TYPE_CHECKING:
    from inr_plugins.geometry.distance.normal_potential import NormalPotential

FEWEST_POINTS = 10
Agreement = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""Of points (n, 3) and normals (n, 3), how far those of pairs (e,) and (e,) agree, (e,) from -1 to 1."""
_POINTS_AT_ONCE = 1 << 16
# Directions in which the outermost points are looked at to tell outward from inward.
_VIEWS = 64
# A sparse matrix takes a weight of zero for no edge.
_LEAST_WEIGHT = 1e-6
_INT32 = np.iinfo(np.int32).max
# Cosine from which on two normals are opposed beyond doubt.
_OPPOSED = -0.5
# The two sides of a sheet face away from each other, by more than this share of the distance between the points.
_BACK_TO_BACK = 0.05
# Signs are tried the other way from this share of contradictions on, and taken where less than this part is left: of
# 22 clouds of six meshes and bodies, with noise and without, so the ways with fewer wrong signs but in two.
_FEW, _CLEARLY = 5e-4, 0.6
# Share of the volumes of all points' cones that must be of one sign, for their sum to tell outward from inward.
_CLEAR_VOLUME = 0.3
# Ratio of variances: a fifth, in standard deviations.
_FLAT = 0.04


def oriented_normals(points: Float[np.ndarray, "n 3"], neighbours: int = 12) -> Float[np.ndarray, "n 3"]:
    """Outward unit normals of the surface that a cloud was taken from.

    The direction is that of least variance among a point and its neighbours, `with_outward_signs` gives the signs, and
    of up to some ten thousand points both are then made what all points say of them together (`NormalPotential`): where
    there is noise, or points are few, that is nearer the truth.

    Takes seconds for half a million points and up to 600 bytes a point, and gives the same for the same points.

    Args:
        points: of a surface, spread so that a ball around a point with its neighbours holds one sheet of it.
        neighbours: number of neighbours; more for a noisy cloud, fewer for thin parts.

    Raises:
        ValueError: fewer than 3 neighbours.
        InputError: fewer than 10 points.
    """
    near = neighbourhoods(points, neighbours)
    return agreed(points, with_outward_signs(points, least_variance(points, near)[0], near), near)


def agreed(
    points: Float[np.ndarray, "n 3"], normals: Float[np.ndarray, "n 3"], near: Int32[np.ndarray, "n k"]
) -> Float[np.ndarray, "n 3"]:
    """Normals with the directions that all points agree on, as they are where points are too many for that.

    Args:
        points: of the surface.
        normals: estimated, with their signs.
        near: from `neighbourhoods`.
    """
    potential = _potential(points, near)
    return normals if potential is None else potential.settled(normals)


def neighbourhoods(points: Float[np.ndarray, "n 3"], neighbours: int = 12) -> Int32[np.ndarray, "n k"]:
    """For each point the numbers of itself and of its nearest neighbours, the nearest first.

    Raises:
        ValueError: fewer than 3 neighbours.
        InputError: fewer than 10 points.
    """
    from scipy.spatial import cKDTree

    if neighbours < 3:
        raise ValueError(f"neighbours is {neighbours}; a plane needs at least 3.")
    if len(points) < FEWEST_POINTS:
        raise InputError(f"A cloud of {len(points)} points is no surface; give at least {FEWEST_POINTS} points.")
    tree = cKDTree(points)
    near = np.empty((len(points), min(neighbours + 1, len(points))), dtype=np.int32)
    for part in _parts(len(points)):
        near[part] = tree.query(points[part], k=near.shape[1], workers=-1)[1]
    return near


def least_variance(
    points: Float[np.ndarray, "n 3"], near: Int32[np.ndarray, "n k"]
) -> tuple[Float[np.ndarray, "n 3"], Bool[np.ndarray, " n"]]:
    """Unit direction, of either sign, in which the points around each one vary least, and whether they lie in a plane.

    They do where they vary across it by less than a fifth (in standard deviations) of what they do along it, and not
    along a line only.
    """
    normals, flat = np.empty((len(points), 3)), np.empty(len(points), dtype=bool)
    for part in _parts(len(points)):
        around = points[near[part]].astype(np.float64)
        around -= around.mean(axis=1, keepdims=True)
        variance, axes = np.linalg.eigh(np.einsum("nki,nkj->nij", around, around))
        normals[part] = axes[:, :, 0]
        flat[part] = (variance[:, 0] < _FLAT * variance[:, 1]) & (variance[:, 1] > _FLAT * variance[:, 2])
    return normals, flat


def with_outward_signs(
    points: Float[np.ndarray, "n 3"], directions: Float[np.ndarray, "n 3"], near: Int32[np.ndarray, "n k"]
) -> Float[np.ndarray, "n 3"]:
    """Unit directions across a surface, each with the sign that makes it look outward.

    Signs spread along the minimum spanning tree of the graph of neighbours, on which edges between points whose normals
    agree are short (Hoppe et al. 1992). Two normals agree as far as one is the mirror image of the other in the plane
    halfway between the points: on a circle they all do, across a sharp edge, and on the two sides of a thin sheet,
    which bare products get wrong (compared by Schertler et al. 2017). Where noise is as large as the distance between
    points the direction from one to the other says nothing, nor do mirror images: so bare products are tried where
    contradictions are left. Both are mended by what all points say together, and what agrees best with that is taken
    (`NormalPotential.best_signs`); of more points than that is for, bare products where they leave clearly fewer
    contradictions. Before that each connected part is turned so that its outermost points, in many directions, look
    out. The wall of a cavity, which is a part of its own, so comes out the wrong way round.

    Args:
        points: of the surface.
        directions: unit vectors, of either sign.
        near: from `neighbourhoods`.
    """
    points = (points - points.mean(axis=0)).astype(np.float64)
    found = _with_signs(points, directions, near, mirror_agreement)
    doubt = contradictions(points, found, near)
    if doubt < _FEW:
        return found
    plain = _with_signs(points, directions, near, _plain_agreement)
    potential = _potential(points, near)
    if potential is not None:
        return oriented_outward(points, potential.best_signs([found, plain]))[0]
    return plain if contradictions(points, plain, near) < _CLEARLY * doubt else found


def oriented_outward(
    points: Float[np.ndarray, "n 3"], normals: Float[np.ndarray, "n 3"]
) -> tuple[Float[np.ndarray, "n 3"], bool]:
    """The normals, all of them turned over if the outermost points' look inward, and whether they were."""
    (sign,) = _outward(points, normals, np.zeros(len(points), dtype=np.int64))
    return normals * sign, bool(sign < 0)


def mirror_agreement(
    points: Float[np.ndarray, "n 3"],
    normals: Float[np.ndarray, "n 3"],
    one: Int[np.ndarray, " e"],
    other: Int[np.ndarray, " e"],
) -> Float[np.ndarray, " e"]:
    """Product of one normal and the mirror image of the other, for pairs of points: 1 where they agree, -1 opposed."""
    between = points[other] - points[one]
    length = np.linalg.norm(between, axis=1, keepdims=True)
    between /= np.where(length > 0, length, 1.0)  # points in one place: the plain product
    a, b = normals[one], normals[other]
    along_a, along_b = np.einsum("ei,ei->e", a, between), np.einsum("ei,ei->e", b, between)
    return np.einsum("ei,ei->e", a, b) - 2 * along_a * along_b


def contradictions(
    points: Float[np.ndarray, "n 3"], normals: Float[np.ndarray, "n 3"], near: Int32[np.ndarray, "n k"]
) -> float:
    """Share of the pairs of neighbours whose normals cannot both look outward.

    They are opposed, as they are and as mirror images, and the points do not lie back to
    back, as those on the two sides of a sheet do.
    """
    found, count = 0, len(points) * (near.shape[1] - 1)
    for start in range(0, len(points), _POINTS_AT_ONCE):
        there = near[start : start + _POINTS_AT_ONCE, 1:]
        here = np.repeat(np.arange(start, start + len(there)), there.shape[1])
        there = there.reshape(-1)
        opposed = np.einsum("ei,ei->e", normals[here], normals[there]) < _OPPOSED
        here, there = here[opposed], there[opposed]
        opposed = mirror_agreement(points, normals, here, there) < _OPPOSED
        here, there = here[opposed], there[opposed]
        between = points[here] - points[there]
        away = np.einsum("ei,ei->e", between, normals[here] - normals[there]) / 2
        found += int((away <= _BACK_TO_BACK * np.linalg.norm(between, axis=1)).sum())
    return found / count


def _potential(points: Float[np.ndarray, "n 3"], near: Int32[np.ndarray, "n k"]) -> NormalPotential | None:
    """What all points say of their normals; None where they lie closer than it can tell apart."""
    from inr_plugins.geometry.distance.normal_potential import NormalPotential

    points = points.astype(np.float64)
    around = np.concatenate([np.linalg.norm(points[near[p, -1]] - points[p], axis=1) for p in _parts(len(points))])
    potential = NormalPotential(points, around)
    return potential if potential.is_fine else None


def _plain_agreement(
    points: Float[np.ndarray, "n 3"],
    normals: Float[np.ndarray, "n 3"],
    one: Int[np.ndarray, " e"],
    other: Int[np.ndarray, " e"],
) -> Float[np.ndarray, " e"]:
    """Product of two normals, wherever they are."""
    product: Float[np.ndarray, " e"] = np.einsum("ei,ei->e", normals[one], normals[other])
    return product


def _with_signs(
    points: Float[np.ndarray, "n 3"],
    directions: Float[np.ndarray, "n 3"],
    near: Int32[np.ndarray, "n k"],
    agreement: Agreement,
) -> Float[np.ndarray, "n 3"]:
    """As `with_outward_signs`, by one measure of agreement."""
    one, other = _spanning_tree(points, directions, near, agreement)
    signs, part = _spread_signs(len(points), one, other, agreement(points, directions, one, other))
    normals = directions * signs[:, None]
    return normals * _outward(points, normals, part)[part, None]


def _spanning_tree(
    points: Float[np.ndarray, "n 3"],
    normals: Float[np.ndarray, "n 3"],
    near: Int32[np.ndarray, "n k"],
    agreement: Agreement,
) -> tuple[Int[np.ndarray, " e"], Int[np.ndarray, " e"]]:
    """Pairs of neighbours that join all that can be joined, with the least doubt in all."""
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import minimum_spanning_tree

    count, degree = near.shape
    # Where points coincide, the first neighbour need not be the point itself, and an edge to itself joins nothing.
    weights = np.empty(near.shape)
    for part in _parts(count):
        here, there = np.repeat(np.arange(part.start, part.stop), degree), near[part].reshape(-1)
        doubt = 1 - np.abs(agreement(points, normals, here, there))
        weights[part] = (np.maximum(doubt, 0) + _LEAST_WEIGHT).reshape(-1, degree)
    starts = np.arange(0, count * degree + 1, degree, dtype=np.int64 if count * degree > _INT32 else np.int32)
    # The tree is made in the place of the graph, which must not be the caller's own.
    graph = csr_matrix((weights.reshape(-1), near.flatten(), starts), shape=(count, count))
    tree = minimum_spanning_tree(graph, overwrite=True).tocoo()
    return tree.row, tree.col


def _spread_signs(
    count: int, one: Int[np.ndarray, " e"], other: Int[np.ndarray, " e"], agreement: Float[np.ndarray, " e"]
) -> tuple[Float[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    """The sign of each normal with which all pairs of a tree agree, and the number of each one's connected part.

    Every normal stands in a graph twice, with both signs, and a pair links the two that agree with the two of its
    neighbour: each part of the tree becomes two parts, which are its two orientations.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    across = np.where(agreement < 0, count, 0)
    rows = np.concatenate([one, one + count])
    columns = np.concatenate([other + across, other + count - across])
    graph = coo_matrix((np.ones(len(rows), dtype=bool), (rows, columns)), shape=(2 * count, 2 * count))
    _, labels = connected_components(graph, directed=False)
    plus, minus = labels[:count], labels[count:]
    _, part = np.unique(np.minimum(plus, minus), return_inverse=True)
    return np.where(plus < minus, 1.0, -1.0), part.reshape(-1)


def _outward(
    points: Float[np.ndarray, "n 3"], normals: Float[np.ndarray, "n 3"], part: Int[np.ndarray, " n"]
) -> Float[np.ndarray, " parts"]:
    """For each part 1 where the normals look outward, and -1 where they look inward.

    Outward normals of a closed surface enclose a volume above 0, whatever some of them are, so the sum that would be
    three times that volume decides where it is clear; of a part of a surface it need not be. There the outermost point
    in some direction has an outward normal that does not look the other way.
    """
    order = np.argsort(part, kind="stable")
    part, points, normals = part[order], points[order], normals[order]
    first = np.flatnonzero(np.diff(part, prepend=-1))
    votes = np.zeros(len(first))
    for direction in _spread_directions(_VIEWS):
        reach = points @ direction
        (outermost,) = np.nonzero(reach == np.maximum.reduceat(reach, first)[part])
        votes += np.bincount(part[outermost], weights=normals[outermost] @ direction, minlength=len(first))
    counts = np.diff(first, append=len(part))
    middles = np.add.reduceat(points, first) / counts[:, None]
    volumes = ((points - middles[part]) * normals).sum(1)
    total, most = np.add.reduceat(volumes, first), np.add.reduceat(np.abs(volumes), first)
    votes = np.where(np.abs(total) > _CLEAR_VOLUME * most, total, votes)
    return np.where(votes < 0, -1.0, 1.0)


def _spread_directions(count: int) -> Float[np.ndarray, "count 3"]:
    """Unit vectors spread evenly over the sphere, on a spiral."""
    height = 1 - (2 * np.arange(count) + 1) / count
    turn = np.pi * (3 - np.sqrt(5)) * np.arange(count)
    width = np.sqrt(1 - height**2)
    return np.stack([width * np.cos(turn), width * np.sin(turn), height], axis=1)


def _parts(count: int) -> Iterator[slice]:
    for start in range(0, count, _POINTS_AT_ONCE):
        yield slice(start, min(start + _POINTS_AT_ONCE, count))
