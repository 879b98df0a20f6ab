"""Which parts of a mesh lie within others, and which of them are to be turned over for it."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

from inr_plugins.geometry.mesh import Mesh, face_normals
from inr_plugins.geometry.repair.box_pairs import TooManyPairs, box_pairs
from inr_plugins.geometry.repair.parts import Parts

# Volume over area^1.5 that a flat sheet may seem to have; a ball has 0.09, a plate of a hundredth of its side 0.004.
_ROUNDING = 1e-8
# Parts whose volumes differ by less than this part of them may be copies.
_SAME = 1e-6
# Faces of a part that are asked where they lie.
_ASKED = 64
# Of the mesh's size: how far beside a face a point is put, so that Embree's float32 tells it from the face.
BESIDE = 4e-6


def judged_parts(mesh: Mesh, parts: Parts) -> tuple[Bool[np.ndarray, " parts"], int]:
    """Which parts are to be turned over, so that together they bound what is solid; and how many solids lie in solids.

    A part that lies in no other and looks inward is turned, and what lies within it with it: a file that is inside out
    as a whole keeps its cavities. Of the parts within others one that then looks inward is the wall of a cavity if
    there is something solid around it, and otherwise is turned. One that looks outward stays; within a solid it
    encloses nothing new, and is counted. Parts that cut each other do not lie within each other. Open parts are judged
    by their own volume.

    Raises:
        InputError: open3d is needed and cannot be imported.
    """
    inward = parts.volume < -_ROUNDING * parts.area**1.5
    if parts.count == 1 or not parts.closed.any():
        return inward, 0
    inner, outer = _containment(mesh, parts)
    turn = inward.copy()
    depth = np.bincount(inner, minlength=parts.count)
    size = (parts.high - parts.low).max(axis=1)
    nested = 0
    by_inner = np.argsort(inner, kind="stable")
    first = np.searchsorted(inner[by_inner], np.arange(parts.count + 1))
    # 1 where a part, as it will be, adds to the winding number within it, -1 where it takes off.
    adds = np.where(turn ^ inward, -1, 1)
    for part in sorted(np.flatnonzero(depth), key=lambda part: depth[part]):
        around = outer[by_inner[first[part] : first[part + 1]]]
        outermost = around[depth[around] == 0]
        nearest = outermost[size[outermost].argmin()] if len(outermost) else around[size[around].argmax()]
        looks_inward = inward[part] ^ turn[nearest]
        within_solid = adds[around].sum() >= 1
        outward_at_last = not (looks_inward and within_solid)
        turn[part] = inward[part] == outward_at_last
        adds[part] = 1 if outward_at_last else -1
        nested += int(outward_at_last and within_solid)
    return turn, nested


def _containment(mesh: Mesh, parts: Parts) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    """Pairs of closed parts, the first of which lies within what the second encloses by itself."""
    pairs = enclosing_boxes(parts)
    if pairs is None or len(pairs[0]) == 0:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    inner, outer = pairs
    order = np.argsort(outer, kind="stable")
    inner, outer = inner[order], outer[order]
    by_part = np.argsort(parts.label, kind="stable")
    first = np.searchsorted(parts.label[by_part], np.arange(parts.count + 1))
    size = float(np.ptp(mesh.vertices, axis=0).max())
    asked = {
        part: _points_within(mesh, by_part[first[part] : first[part + 1]], parts, part, size=size)
        for part in np.unique(inner).tolist()
    }
    within = np.zeros(len(inner), dtype=bool)
    holders, begin = np.unique(outer, return_index=True)
    for holder, start, end in zip(holders, begin, np.append(begin[1:], len(outer)), strict=True):
        faces = by_part[first[holder] : first[holder + 1]]
        points = [asked[part] for part in inner[start:end]]
        enclosed = _enclosed(Mesh(mesh.vertices, mesh.faces[faces]), np.concatenate(points))
        ends = np.cumsum([len(part) for part in points])
        within[start:end] = [part.all() for part in np.split(enclosed, ends[:-1])]
    return inner[within], outer[within]


def enclosing_boxes(parts: Parts) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]] | None:
    """Pairs of closed parts, the box of the first of which lies in that of the second; None if too many meet."""
    (closed,) = np.nonzero(parts.closed)
    low, high = parts.low[closed], parts.high[closed]
    try:
        one, other = box_pairs(low, high, np.arange(len(closed)))
    except TooManyPairs:
        return None
    one, other = np.concatenate([one, other]), np.concatenate([other, one])
    inside = (low[one] >= low[other]).all(axis=1) & (high[one] <= high[other]).all(axis=1)
    # A solid does not lie within its copy.
    volume = np.abs(parts.volume[closed])
    inside &= volume[one] < (1 - _SAME) * volume[other]
    return closed[one[inside]], closed[other[inside]]


def _points_within(
    mesh: Mesh, faces: Int[np.ndarray, " n"], parts: Parts, part: int, *, size: float
) -> Float[np.ndarray, "k 3"]:
    """Points just within a part, behind some of its faces; `size` is the mesh's."""
    chosen = faces[np.unique(np.linspace(0, len(faces) - 1, _ASKED).astype(np.int64))]
    some = Mesh(mesh.vertices, mesh.faces[chosen])
    normals = face_normals(some)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    normals = normals / np.where(length > 0, length, 1.0)
    beside = min(BESIDE * size, 0.01 * (parts.high - parts.low)[part].max())
    return mesh.vertices[some.faces].mean(axis=1) - np.sign(parts.volume[part]) * beside * normals


def _enclosed(wall: Mesh, points: Float[np.ndarray, "n 3"]) -> Bool[np.ndarray, " n"]:
    """Whether a closed part winds around points, either way."""
    from inr_plugins.geometry.distance.winding import Crossings

    return Crossings(wall.vertices[wall.faces])(points) != 0
