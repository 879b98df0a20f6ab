"""Triangles of different parts that cut or touch each other, and the pieces that they cut each other into."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from inr_plugins.geometry.repair.box_pairs import box_pairs

# Of the mesh's size: what is nearer to a plane or a line than this lies on it.
_ON = 1e-9


@dataclass(frozen=True)
class Contacts:
    """Where triangles meet those of other parts.

    Attributes:
        touched: triangles that meet another, cut or not.
        of: number of the triangle that each segment lies in.
        ends: of the segments in which other triangles meet that one.
        flat_one: numbers of triangles that lie in one plane with one of another part and whose boxes meet.
        flat_other: those of the other part.
    """

    touched: Int[np.ndarray, " t"]
    of: Int[np.ndarray, " s"]
    ends: Float[np.ndarray, "s 2 3"]
    flat_one: Int[np.ndarray, " c"]
    flat_other: Int[np.ndarray, " c"]


def contacts(
    corners: Float[np.ndarray, "f 3 3"], part: Int[np.ndarray, " f"], *, cuts: Bool[np.ndarray, " f"]
) -> Contacts:
    """Where triangles of different parts meet.

    Each of two triangles is cut with the plane of the other (Moeller 1997); a triangle that touches a plane in an edge
    counts, in a corner not.

    Args:
        corners: of the triangles; those without area meet nothing.
        part: number of the part of each.
        cuts: which triangles others are cut by.

    Raises:
        TooManyPairs: the boxes of too many triangles meet.
    """
    low, high = corners.min(axis=1), corners.max(axis=1)
    on = _ON * float(np.ptp(corners.reshape(-1, 3), axis=0).max())
    one, other = box_pairs(low - on, high + on, part)
    plane, cutter = np.concatenate([one, other]), np.concatenate([other, one])
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(normals, axis=1)
    solid = (length[plane] > 0) & (length[cutter] > 0) & cuts[cutter]
    plane, cutter = plane[solid], cutter[solid]
    normals = normals / np.where(length > 0, length, 1.0)[:, None]
    height = np.einsum("nki,ni->nk", corners[cutter] - corners[plane][:, :1], normals[plane])
    height = np.where(np.abs(height) <= on, 0.0, height)
    flat = (height == 0).all(axis=1)
    meets = (height.min(axis=1) <= 0) & (height.max(axis=1) >= 0) & ~flat
    found, ends = _in_plane(corners[cutter[meets]], height[meets])
    of, ends = plane[meets][found], ends[found]
    share = _share_inside(ends, corners[of], normals[of], on=on)
    hits = share[:, 1] - share[:, 0] > 0
    flat_one, flat_other = plane[flat], cutter[flat]
    return Contacts(
        touched=np.unique(np.concatenate([of[hits], flat_one])),
        of=of[hits],
        ends=ends[hits],
        flat_one=flat_one,
        flat_other=flat_other,
    )


def _in_plane(
    corners: Float[np.ndarray, "n 3 3"], height: Float[np.ndarray, "n 3"]
) -> tuple[Bool[np.ndarray, " n"], Float[np.ndarray, "n 2 3"]]:
    """Segments in which triangles meet a plane that their corners lie at heights from; false where there is none."""
    after, next_height = np.roll(corners, -1, axis=1), np.roll(height, -1, axis=1)
    crosses = height * next_height < 0
    gap = np.where(crosses, height - next_height, 1.0)
    crossing = corners + (height / gap)[:, :, None] * (after - corners)
    points = np.concatenate([corners, crossing], axis=1)
    valid = np.concatenate([height == 0, crosses], axis=1)
    chosen = np.argsort(~valid, axis=1, kind="stable")[:, :2]
    return valid.sum(axis=1) >= 2, np.take_along_axis(points, chosen[:, :, None], axis=1)


def _share_inside(
    ends: Float[np.ndarray, "n 2 3"],
    corners: Float[np.ndarray, "n 3 3"],
    normals: Float[np.ndarray, "n 3"],
    *,
    on: float,
) -> Float[np.ndarray, "n 2"]:
    """From where to where, 0 to 1, segments in the planes of triangles lie in these (Cyrus and Beck), grown by `on`."""
    along = np.roll(corners, -1, axis=1) - corners
    inward = np.cross(normals[:, None], along)
    inward /= np.maximum(np.linalg.norm(inward, axis=2, keepdims=True), np.finfo(np.float64).tiny)
    begin, end = (np.einsum("nki,nki->nk", ends[:, None, k] - corners, inward) + on for k in range(2))
    with np.errstate(divide="ignore", invalid="ignore"):
        meet = begin / (begin - end)
    enters = np.where((begin < 0) & (end >= 0), meet, np.where((begin < 0) & (end < 0), np.inf, 0.0))
    leaves = np.where((begin >= 0) & (end < 0), meet, 1.0)
    return np.stack([enters.max(axis=1), leaves.min(axis=1)], axis=1)


def cut(
    corners: Float[np.ndarray, "f 3 3"], of: Int[np.ndarray, " s"], ends: Float[np.ndarray, "s 2 3"]
) -> tuple[Float[np.ndarray, "p 3 3"], Int[np.ndarray, " p"]]:
    """The pieces that segments cut triangles into; no segment passes through the inside of one.

    A piece is cut along the whole line of a segment that passes through it, so that there are more pieces than there
    need be, and all of them are triangles. Each round cuts every piece once; a segment stays with the pieces that it
    passes through.

    Args:
        corners: of the triangles, each with an area where a segment lies in it.
        of: the triangle of each segment.
        ends: of the segments.

    Returns:
        Corners of the pieces, which look as their triangles do, and the triangle that each comes from.
    """
    on = _ON * float(np.ptp(corners.reshape(-1, 3), axis=0).max())
    pieces, source = corners, np.arange(len(corners))
    # Along a curve in the order of a file every cut would take off one end only.
    segment = np.random.default_rng(0).permutation(len(of))
    piece = of[segment]
    done: list[tuple[np.ndarray, np.ndarray]] = []
    while len(piece):
        order = np.argsort(piece, kind="stable")
        piece, segment = piece[order], segment[order]
        active, first = np.unique(piece, return_index=True)
        idle = np.ones(len(pieces), dtype=bool)
        idle[active] = False
        done.append((pieces[idle], source[idle]))
        parts, parent = _halved(pieces[active], ends[segment[first]], on=on)
        rest = np.ones(len(piece), dtype=bool)
        rest[first] = False
        owner = np.searchsorted(active, piece[rest])
        pieces, source = parts, source[active][parent]
        piece, segment = _handed_down(pieces, parent, owner, segment[rest], ends, on=on)
    done.append((pieces, source))
    return np.concatenate([part for part, _ in done]), np.concatenate([part for _, part in done])


def _halved(
    pieces: Float[np.ndarray, "n 3 3"], ends: Float[np.ndarray, "n 2 3"], *, on: float
) -> tuple[Float[np.ndarray, "m 3 3"], Int[np.ndarray, " m"]]:
    """Triangles cut along lines in their planes, and which triangle each piece comes from; some are not cut."""
    normals = np.cross(pieces[:, 1] - pieces[:, 0], pieces[:, 2] - pieces[:, 0])
    across = np.cross(normals, ends[:, 1] - ends[:, 0])
    across /= np.maximum(np.linalg.norm(across, axis=1, keepdims=True), np.finfo(np.float64).tiny)
    side = np.einsum("nki,ni->nk", pieces - ends[:, :1], across)
    side = np.where(np.abs(side) <= on, 0.0, side)
    sign = np.sign(side)
    split = (sign.min(axis=1) < 0) & (sign.max(axis=1) > 0)
    through = split & (sign == 0).any(axis=1)
    two = split & ~through
    number = np.arange(len(pieces))
    # The corner on the line, or the one alone on its side, comes first.
    lone = np.where(through, (sign == 0).argmax(axis=1), (sign == -np.sign(sign.sum(axis=1))[:, None]).argmax(axis=1))
    turned = (lone[:, None] + np.arange(3)) % 3
    pieces = np.where(split[:, None, None], np.take_along_axis(pieces, turned[:, :, None], axis=1), pieces)
    side = np.take_along_axis(side, turned, axis=1)
    (a, b, c), (at_a, at_b, at_c) = pieces.swapaxes(0, 1), side.T
    bc, ab, ac = (_between(*each) for each in ((b, c, at_b, at_c), (a, b, at_a, at_b), (a, c, at_a, at_c)))
    made = [
        (pieces[~split], number[~split]),
        *((np.stack(each, axis=1)[through], number[through]) for each in ((a, b, bc), (a, bc, c))),
        *((np.stack(each, axis=1)[two], number[two]) for each in ((a, ab, ac), (ab, b, c), (ab, c, ac))),
    ]
    return np.concatenate([part for part, _ in made]), np.concatenate([part for _, part in made])


def _between(
    one: Float[np.ndarray, "n 3"], other: Float[np.ndarray, "n 3"], at: np.ndarray, at_other: np.ndarray
) -> Float[np.ndarray, "n 3"]:
    """The points between two where a height that is linear between them is 0; anything where it is nowhere."""
    gap = at - at_other
    return one + (at / np.where(gap == 0, 1.0, gap))[:, None] * (other - one)


def _handed_down(
    pieces: Float[np.ndarray, "m 3 3"],
    parent: Int[np.ndarray, " m"],
    owner: Int[np.ndarray, " r"],
    segment: Int[np.ndarray, " r"],
    ends: Float[np.ndarray, "s 2 3"],
    *,
    on: float,
) -> tuple[Int[np.ndarray, " k"], Int[np.ndarray, " k"]]:
    """The pieces that segments of their parents pass through, and those segments, in the order of the segments."""
    by_parent = np.argsort(parent, kind="stable")
    piece, entry = matches(parent[by_parent], owner)
    piece = by_parent[piece]
    corners, part = pieces[piece], ends[segment[entry]]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    normals = normals / np.where(length > 0, length, 1.0)
    share = _share_inside(part, corners, normals, on=0.0)
    # A segment along an edge does not pass through: the middle of what lies in the piece must lie well in it.
    passes = share[:, 1] > share[:, 0]
    middle = part[:, 0] + np.where(passes, share.mean(axis=1), 0.0)[:, None] * (part[:, 1] - part[:, 0])
    inward = np.cross(normals[:, None], np.roll(corners, -1, axis=1) - corners)
    inward /= np.maximum(np.linalg.norm(inward, axis=2, keepdims=True), np.finfo(np.float64).tiny)
    passes &= np.einsum("nki,nki->nk", middle[:, None] - corners, inward).min(axis=1) > on
    return piece[passes], segment[entry[passes]]


def matches(
    ordered: Int[np.ndarray, " n"], wanted: Int[np.ndarray, " m"]
) -> tuple[Int[np.ndarray, " k"], Int[np.ndarray, " k"]]:
    """All places in a list of ascending numbers that hold each wanted number, and which one that is."""
    first = np.searchsorted(ordered, wanted)
    count = np.searchsorted(ordered, wanted, side="right") - first
    which = np.repeat(np.arange(len(wanted)), count)
    return np.arange(len(which)) + np.repeat(first - (np.cumsum(count) - count), count), which
