"""A texture for a mesh: its surface cut into charts, laid flat by xatlas, and a function's colour at each texel.

A texture holds detail that vertex colours cannot when the mesh is coarse: thin the mesh out first, then bake.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from inr_plugins.errors import InputError, setting
from inr_plugins.geometry.appearance.colour import ColourFunction, checked_colours
from inr_plugins.geometry.appearance.uv_raster import rasterise
from inr_plugins.geometry.levelset.lattice import Progress
from inr_plugins.geometry.mesh import Mesh, vertex_normals

MOST_FACES = 400_000
"""Larger meshes take xatlas minutes, in which nothing can stop it: 0.15 ms of a core for each face."""

LARGEST = 8192
"""Longest side of an image, texels: baking it takes about 40 bytes a texel."""

# xatlas merges charts in a time that grows faster than their number, and cuts parts of a mesh in parallel.
_FACES_A_PIECE = 4_000
# Part of the image that charts cover when packed, on the safe side.
_PACKED_SHARE = 0.6


@dataclass(frozen=True)
class TexturedMesh:
    """A mesh with an image on it.

    Attributes:
        mesh: vertices on the seams between charts occur once for each chart, so that it is never watertight; without
            colours.
        uv: where each vertex lies in the image, from its top left corner (0, 0) to its bottom right one (1, 1).
        image: sRGB, rows from top to bottom.
    """

    mesh: Mesh
    uv: Float[np.ndarray, "v 2"]
    image: UInt8[np.ndarray, "h w 3"]


def bake_texture(
    mesh: Mesh,
    colour: ColourFunction,
    *,
    size: int = 2048,
    padding: int = 4,
    most_faces: int = MOST_FACES,
    chunk_points: int = 131_072,
    progress: Progress | None = None,
) -> TexturedMesh:
    """The mesh with a texture of the colours of its surface. Positions and triangles stay as they are.

    Args:
        mesh: in the frame that `colour` knows; without normals, they are made from its faces.
        colour: of points of the surface, given its *outward* unit normals there.
        size: of the longer side of the image, texels.
        padding: least distance of charts, texels; half of it is what mipmaps may blur before charts bleed.
        most_faces: larger meshes are refused, for xatlas cannot be stopped once it has begun.
        chunk_points: most points to evaluate at once.
        progress: called with (texels done, texels in all); the cutting into charts goes before.

    Raises:
        InputError: too many faces or none with an area, a size or padding that makes no sense, a colour that is NaN or
            infinite, or xatlas cannot be imported.
    """
    if not 64 <= size <= LARGEST:
        raise InputError(f"The texture's size is {size}; it must lie between 64 and {LARGEST} texels.")
    if not 1 <= padding <= size // 16:
        raise InputError(f"The texture's padding is {padding}; it must lie between 1 and {size // 16} texels.")
    check_face_count(mesh, most_faces=most_faces)
    normals = vertex_normals(mesh) if mesh.normals is None else mesh.normals
    charts = _unwrap(mesh, size=size, padding=padding)
    face, weights = rasterise(charts.texels, charts.faces, width=charts.width, height=charts.height)
    image = np.zeros((charts.height, charts.width, 3), dtype=np.uint8)
    row, column = np.nonzero(face >= 0)
    for start in range(0, len(row), chunk_points):
        part = (row[start : start + chunk_points], column[start : start + chunk_points])
        corners, weight = charts.source[charts.faces[face[part]]], weights[part]
        points = np.einsum("nk,nkd->nd", weight, mesh.vertices[corners])
        normal = np.einsum("nk,nkd->nd", weight, normals[corners])
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
        image[part] = np.rint(255 * checked_colours(colour, points, normal))
        if progress is not None:
            progress(start + len(part[0]), len(row))
    return TexturedMesh(
        mesh=Mesh(vertices=mesh.vertices[charts.source], faces=charts.faces, normals=normals[charts.source]),
        uv=charts.texels / [charts.width, charts.height],
        image=_filled(image, face >= 0),
    )


@dataclass(frozen=True)
class _Charts:
    """The mesh laid flat: `source` is the vertex of the mesh that each of its vertices comes from."""

    source: Int[np.ndarray, " v"]
    faces: Int[np.ndarray, "f 3"]
    texels: Float[np.ndarray, "v 2"]
    width: int
    height: int


def check_face_count(mesh: Mesh, *, most_faces: int = MOST_FACES) -> None:
    """Refuse a mesh with more faces than can be textured.

    Raises:
        InputError: saying how many are.
    """
    if len(mesh.faces) > most_faces:
        raise InputError(
            f"The mesh has {len(mesh.faces)} faces, and at most {most_faces} can be textured in reasonable time; thin "
            f"it out with {setting('max_faces', most_faces)}, or leave out the texture."
        )


def require_xatlas() -> Any:
    """The module that cuts meshes into charts.

    Raises:
        InputError: it cannot be imported.
    """
    try:
        import xatlas
    except ImportError as error:
        raise InputError(f"xatlas cannot be imported ({error}); install it with `pip install xatlas`.") from error
    return xatlas


def _unwrap(mesh: Mesh, *, size: int, padding: int) -> _Charts:
    xatlas = require_xatlas()
    edges = mesh.vertices[mesh.faces] - mesh.vertices[np.roll(mesh.faces, -1, axis=1)]
    # xatlas leaves out faces with edges shorter than 1e-4 or an area below 1e-7, whatever the unit: the mean edge is 1.
    unit = max(float(np.linalg.norm(edges, axis=2).mean()), float(np.finfo(np.float32).tiny))
    scaled = ((mesh.vertices - mesh.bounds.mean(axis=0)) / unit).astype(np.float32)
    a, b, c = (scaled[mesh.faces[:, k]].astype(np.float64) for k in range(3))
    area = float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)
    if not area > 0:
        raise InputError(
            f"None of the {len(mesh.faces)} faces of the mesh has an area, so there is nothing to texture."
        )
    atlas = xatlas.Atlas()
    pieces = _pieces((a + b + c) / 3)
    vertices = []
    for faces in pieces:
        used, local = np.unique(mesh.faces[faces], return_inverse=True)
        vertices.append(used)
        atlas.add_mesh(scaled[used], local.reshape(-1, 3).astype(np.uint32))
    packing = xatlas.PackOptions()
    # With a resolution, xatlas would spread charts that do not fit over several images.
    packing.resolution, packing.padding, packing.bilinear = 0, padding, True
    packing.texels_per_unit = size * float(np.sqrt(_PACKED_SHARE / area))
    atlas.generate(pack_options=packing)
    return _gathered(mesh, atlas, pieces, vertices, size=size)


def _gathered(mesh: Mesh, atlas: Any, pieces: list[np.ndarray], vertices: list[np.ndarray], *, size: int) -> _Charts:
    """The charts of all the pieces as one mesh, in an image whose longer side is `size`."""
    scale = size / max(atlas.width, atlas.height)
    faces = np.empty_like(mesh.faces)
    source, texels = [], []
    offset = 0
    for number, (chosen, used) in enumerate(zip(pieces, vertices, strict=True)):
        origin, corners, uv = atlas[number]
        faces[chosen] = corners.astype(np.int64) + offset
        source.append(used[origin])
        texels.append(uv * [atlas.width * scale, atlas.height * scale])
        offset += len(origin)
    origins, places = np.concatenate(source), np.concatenate(texels)
    return _Charts(
        source=origins,
        faces=faces,
        texels=_adopted(places, faces, origins),
        width=math.ceil(atlas.width * scale - 1e-6),
        height=math.ceil(atlas.height * scale - 1e-6),
    )


def _adopted(
    texels: Float[np.ndarray, "v 2"], faces: Int[np.ndarray, "f 3"], source: Int[np.ndarray, " v"]
) -> Float[np.ndarray, "v 2"]:
    """The places of the vertices, where the slivers that xatlas left at the image's corner get that of a neighbour."""
    flat = (np.ptp(texels[faces], axis=1) == 0).all(axis=1)
    placed = np.full(source.max() + 1, -1)
    placed[source[faces[~flat]]] = faces[~flat]
    neighbours = placed[source[faces[flat]]].max(axis=1)
    texels = texels.copy()
    texels[faces[flat][neighbours >= 0]] = texels[neighbours[neighbours >= 0], None]
    return texels


def _pieces(centroids: Float[np.ndarray, "f 3"]) -> list[np.ndarray]:
    """Numbers of the faces of compact parts of the mesh, halved across their longest side until they are small."""
    pending: list[np.ndarray] = [np.arange(len(centroids))]
    done: list[np.ndarray] = []
    while pending:
        part = pending.pop()
        if len(part) <= _FACES_A_PIECE:
            done.append(part)
            continue
        axis = int(np.ptp(centroids[part], axis=0).argmax())
        half = len(part) // 2
        order = np.argpartition(centroids[part, axis], half)
        pending += [part[order[:half]], part[order[half:]]]
    return done


def _filled(image: UInt8[np.ndarray, "h w 3"], known: Bool[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w 3"]:
    """Every texel between the charts takes the colour of the nearest one in a chart, for mipmaps read them."""
    from scipy.ndimage import distance_transform_edt

    row, column = distance_transform_edt(~known, return_distances=False, return_indices=True)
    return image[row, column]
