"""The solid that a mesh bounds: what is inside by winding number, and the surface that is left of its faces then."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from inr_plugins.geometry.distance.winding import Crossings
from inr_plugins.geometry.frames import Similarity
from inr_plugins.geometry.mesh import Mesh, select_faces, surface_area, transform_mesh
from inr_plugins.geometry.repair.box_pairs import TooManyPairs, box_pairs
from inr_plugins.geometry.repair.cones import Cones
from inr_plugins.geometry.repair.cuts import Contacts, contacts, cut, matches
from inr_plugins.geometry.repair.nesting import BESIDE
from inr_plugins.geometry.repair.orientation import Oriented, oriented_outward
from inr_plugins.geometry.repair.parts import joined

MOST_OPEN_EDGES = 20_000
"""Most that a mesh may have for a sign by winding number: near a hole every point is compared with each of them."""
# Where faces meet in more places than this, cutting them would take minutes.
_MOST_SEGMENTS = 500_000
# Of a part's area: lids that its holes may need for it to count as one that encloses something.
_SMALL_LIDS = 0.1


@dataclass(frozen=True)
class Solid:
    """A mesh as the boundary of a solid: inside is where its winding number is above one half.

    Attributes:
        mesh: all faces, looking outward, with one vertex for each position; the winding number is theirs.
        cones: what closes it.
        surface: the faces, or pieces of them, that have the inside on one side only, and what is open; the mesh itself
            where that is all of it.
        part: number of the part of each face of the mesh, where parts have faces that lie on each other, else None.
        parts: number of connected parts of the mesh.
        thickness: of each part that is closed, twice its volume over its area: the thickness of a plate, the radius of
            a wire, two thirds of that of a ball. Walls of cavities are left out, and open parts.
        middle: of the box of each of those parts.
        turned: number of faces that were turned over to agree with their neighbours.
        inside_out: number of parts that were turned over as a whole.
        nested: number of closed parts within other ones that look outward like those: solid within solid.
        inner_share: share of the mesh's area that is not in the surface.
        crowded: faces of different parts meet in so many places that none was cut: each is surface as a whole, or not.
    """

    mesh: Mesh
    cones: Cones
    surface: Mesh
    part: Int[np.ndarray, " f"] | None = None
    parts: int = 1
    thickness: Float[np.ndarray, " k"] = field(default_factory=lambda: np.zeros(0))
    middle: Float[np.ndarray, "k 3"] = field(default_factory=lambda: np.zeros((0, 3)))
    turned: int = 0
    inside_out: int = 0
    nested: int = 0
    inner_share: float = 0.0
    crowded: bool = False

    @property
    def open_edges(self) -> int:
        """Number of edges where the mesh ends, or three or more faces meet that do not fit; 0 for a closed mesh."""
        return len(self.cones.corners)

    def moved(self, similarity: Similarity) -> Solid:
        """The solid moved by a similarity."""
        mesh = transform_mesh(self.mesh, similarity)
        same = self.surface is self.mesh
        surface = mesh if same else transform_mesh(self.surface, similarity)
        return replace(
            self,
            mesh=mesh,
            surface=surface,
            cones=_moved(self.cones, similarity),
            thickness=self.thickness * similarity.scale,
            middle=similarity.points(self.middle),
        )


def solid_of(mesh: Mesh) -> Solid:
    """The solid that a mesh bounds: its faces oriented outward part by part, and the inner ones found.

    Where solids overlap or touch, the faces of each that lie in another are no surface: the winding number is above one
    half on both sides of them. Faces that pass into another part are cut where they do. Of faces that lie on each other
    and look the same way one is surface. Only parts whose boxes meet are looked at; a part that cuts itself is not, and
    a mesh with more open edges than a winding number can be had for has no inner faces. (manifold3d unites solids too,
    but only such as are closed and have two faces at every edge, and it takes the wall of a cavity for a solid.)

    Raises:
        InputError: from `oriented_outward`; or open3d is needed and cannot be imported.
    """
    oriented = oriented_outward(mesh)
    parts = oriented.parts
    bodies = parts.closed & (parts.volume > 0)
    found = Solid(
        mesh=oriented.mesh,
        cones=oriented.cones,
        surface=oriented.mesh,
        parts=parts.count,
        thickness=2 * parts.volume[bodies] / parts.area[bodies],
        middle=((parts.low + parts.high) / 2)[bodies],
        turned=oriented.turned,
        inside_out=oriented.inside_out,
        nested=oriented.nested,
    )
    if parts.count == 1 or not parts.closed.any() or found.open_edges > MOST_OPEN_EDGES:
        return found
    return _without_inner_faces(found, oriented)


def _without_inner_faces(found: Solid, oriented: Oriented) -> Solid:
    """The solid with the surface that is left of its faces."""
    mesh, parts = oriented.mesh, oriented.parts
    # A part whose holes are small encloses something too; its holes count as closed by lids.
    encloses = parts.closed | (parts.lids < _SMALL_LIDS * parts.area)
    involved = _involved(oriented, encloses)
    if not involved.any():
        return found
    near = involved[parts.label]
    (number,) = np.nonzero(near)
    corners, part = mesh.vertices[mesh.faces[number]], parts.label[number]
    met = _contacts(corners, part, encloses[part])
    pieces, source = (corners, np.arange(len(corners))) if met is None else cut(corners, met.of, met.ends)
    touched, flat = np.ones(len(number), dtype=bool), np.ones(len(number), dtype=bool)
    if met is not None:
        touched, flat = marked(len(number), met.touched), marked(len(number), met.flat_one)
    if flat.any():
        found = replace(found, part=parts.label)
    found = replace(found, crowded=met is None)
    region = np.where(touched[source], -1, _regions(oriented, number, touched)[source])
    keep = _bounding(oriented, encloses, pieces, part[source], region, flat=flat[source])
    if met is not None:
        keep &= ~_covered(pieces, source, corners, met, np.where(encloses[part], part, -1))
    if keep.all() or not (keep.any() or (~near).any()):
        return found
    whole = keep & (np.bincount(source, minlength=len(number)) == 1)[source]
    faces = np.sort(np.concatenate([np.flatnonzero(~near), number[source[whole]]]))
    surface = _assembled(mesh, faces, pieces[keep & ~whole])
    return replace(found, surface=surface, inner_share=1 - surface_area(surface) / surface_area(mesh))


def _contacts(
    corners: Float[np.ndarray, "f 3 3"], part: Int[np.ndarray, " f"], cuts: Bool[np.ndarray, " f"]
) -> Contacts | None:
    """Where faces meet those of other parts; None where that is in too many places."""
    try:
        met = contacts(corners, part, cuts=cuts)
    except TooManyPairs:
        return None
    return met if len(met.of) <= _MOST_SEGMENTS else None


def _assembled(mesh: Mesh, faces: Int[np.ndarray, " n"], pieces: Float[np.ndarray, "p 3 3"]) -> Mesh:
    """The mesh of some of a mesh's faces, and of pieces with vertices of their own."""
    own = len(mesh.vertices) + np.arange(3 * len(pieces)).reshape(-1, 3)
    both = Mesh(
        vertices=np.concatenate([mesh.vertices, pieces.reshape(-1, 3)]),
        faces=np.concatenate([mesh.faces[faces], own]),
    )
    return select_faces(both, np.ones(len(both.faces), dtype=bool))


def marked(count: int, which: Int[np.ndarray, " n"]) -> Bool[np.ndarray, " count"]:
    """True at the chosen places of so many."""
    mask = np.zeros(count, dtype=bool)
    mask[which] = True
    return mask


def _involved(oriented: Oriented, encloses: Bool[np.ndarray, " parts"]) -> Bool[np.ndarray, " parts"]:
    """Parts whose boxes meet those of others, one of the two enclosing something."""
    parts = oriented.parts
    try:
        one, other = box_pairs(parts.low, parts.high, np.arange(parts.count))
    except TooManyPairs:
        return np.ones(parts.count, dtype=bool)
    matters = encloses[one] | encloses[other]
    involved = np.zeros(parts.count, dtype=bool)
    involved[one[matters]] = involved[other[matters]] = True
    return involved


def _regions(
    oriented: Oriented, number: Int[np.ndarray, " n"], touched: Bool[np.ndarray, " n"]
) -> Int[np.ndarray, " n"]:
    """Number of the region of each of some faces: neighbours that meet no other part lie where each other lie."""
    place = np.full(len(oriented.mesh.faces), -1)
    place[number[~touched]] = np.flatnonzero(~touched)
    one, other = place[oriented.pairs.one], place[oriented.pairs.other]
    both = (one >= 0) & (other >= 0)
    return joined(len(number), one[both], other[both])


def _bounding(
    oriented: Oriented,
    encloses: Bool[np.ndarray, " parts"],
    pieces: Float[np.ndarray, "p 3 3"],
    part: Int[np.ndarray, " p"],
    region: Int[np.ndarray, " p"],
    *,
    flat: Bool[np.ndarray, " p"],
) -> Bool[np.ndarray, " p"]:
    """Which pieces are surface; of a region (-1: none) the largest one answers for all.

    A piece of a closed part is surface if one of its sides is inside and the other is not; a piece of an open one, if
    not both sides are inside.

    Args:
        oriented: the mesh.
        encloses: which of its parts count for the winding number.
        pieces: corners of faces and pieces.
        part: the part of each.
        region: the region of each.
        flat: which may lie on faces of other parts.
    """
    doubled = np.cross(pieces[:, 1] - pieces[:, 0], pieces[:, 2] - pieces[:, 0])
    size = np.linalg.norm(doubled, axis=1)
    order = np.lexsort((-size, region))
    first = np.ones(len(order), dtype=bool)
    first[1:] = region[order][1:] != region[order][:-1]
    asked = order[first | (region[order] < 0)]
    asked = asked[size[asked] > 0]
    mesh, cones, label = oriented.mesh, oriented.cones, oriented.parts.label
    walls, lids = encloses[label], encloses[label[cones.face]]
    number = Crossings(
        np.concatenate([mesh.vertices[mesh.faces[walls]], cones.corners[lids]]),
        np.concatenate([np.ones(int(walls.sum())), cones.weight[lids]]),
        np.concatenate([label[walls], label[cones.face[lids]]]) if flat.any() else None,
    )
    middle = pieces[asked].mean(axis=1)
    beside = BESIDE * float(np.ptp(mesh.bounds, axis=0).max()) * doubled[asked] / size[asked, None]
    ahead = number(middle + beside)
    # Behind a face the number is one more, unless others lie on it.
    behind = ahead + 1
    on_others = flat[asked] | ~encloses[part[asked]]
    behind[on_others] = number((middle - beside)[on_others])
    front, back = ahead > 0.5, behind > 0.5
    surface = np.where(oriented.parts.closed[part[asked]], front != back, ~(front & back))
    keep = np.zeros(len(pieces), dtype=bool)
    keep[asked] = surface
    of_region = np.zeros(int(region.max(initial=0)) + 1, dtype=bool)
    of_region[region[asked][region[asked] >= 0]] = surface[region[asked] >= 0]
    return np.where(region >= 0, of_region[region], keep)


def _covered(
    pieces: Float[np.ndarray, "p 3 3"],
    source: Int[np.ndarray, " p"],
    corners: Float[np.ndarray, "f 3 3"],
    met: Contacts,
    part: Int[np.ndarray, " f"],
) -> Bool[np.ndarray, " p"]:
    """Pieces that lie in a face of an earlier part which looks the same way; part -1 covers nothing."""
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    one, other = met.flat_one, met.flat_other
    later = (part[other] >= 0) & (part[other] < part[one]) & (np.einsum("ni,ni->n", normals[one], normals[other]) > 0)
    one, other = one[later], other[later]
    order = np.argsort(source, kind="stable")
    piece, pair = matches(source[order], one)
    piece = order[piece]
    offset = pieces[piece].mean(axis=1)[:, None] - corners[other[pair]]
    along = np.roll(corners[other[pair]], -1, axis=1) - corners[other[pair]]
    # Twice the areas between the middle and each edge: none negative in the face, up to rounding.
    areas = np.einsum("nki,ni->nk", np.cross(along, offset), normals[other[pair]])
    inside = (areas >= -1e-9 * np.einsum("ni,ni->n", normals[other[pair]], normals[other[pair]])[:, None]).all(axis=1)
    covered = np.zeros(len(pieces), dtype=bool)
    covered[piece[inside]] = True
    return covered


def _moved(cones: Cones, similarity: Similarity) -> Cones:
    corners = similarity.points(cones.corners.reshape(-1, 3)).reshape(-1, 3, 3)
    return replace(
        cones,
        corners=corners[:, [1, 0, 2]] if similarity.mirrors else corners,
        tip=similarity.points(cones.tip),
        middle=similarity.points(cones.middle),
        radius=cones.radius * similarity.scale,
        area=cones.area * similarity.scale**2,
    )
