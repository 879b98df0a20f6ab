"""Mesh files to `SceneMesh`: every piece with its own colours, and one clear sentence for each kind of bad file."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from inr_plugins.errors import InputError
from inr_plugins.geometry.io.mesh_file import MeshFile, Paint, Tell
from inr_plugins.geometry.io.mesh_read import read_mesh_file
from inr_plugins.geometry.srgb import linear_from_srgb
from inr_plugins.scenes.surface import Material, SceneMesh
from inr_plugins.scenes.textures import Plain, SurfacePoints, Texture

_GREY = (0.62, 0.60, 0.57)


@dataclass(frozen=True)
class VertexColours:
    """Colours of the corners, interpolated across each face. `corners` is linear RGB, by face and corner."""

    corners: Float[np.ndarray, "f 3 3"]
    first_face: int

    def __call__(self, surface: SurfacePoints) -> Float[np.ndarray, "n 3"]:
        return np.einsum("nk,nkc->nc", surface.barycentric, self.corners[surface.face - self.first_face])


@dataclass(frozen=True)
class ImageTexture:
    """A picture, sampled bilinearly and repeated. `corners` is (u, v) by face and corner, v pointing up."""

    image: Float[np.ndarray, "h w 3"]
    corners: Float[np.ndarray, "f 3 2"]
    first_face: int

    def __call__(self, surface: SurfacePoints) -> Float[np.ndarray, "n 3"]:
        uv = np.einsum("nk,nkc->nc", surface.barycentric, self.corners[surface.face - self.first_face])
        height, width = self.image.shape[:2]
        x = uv[:, 0] * width - 0.5
        y = (1 - uv[:, 1]) * height - 0.5
        left, top = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
        right_weight, low_weight = (x - left)[:, None], (y - top)[:, None]

        def texel(column: np.ndarray, row: np.ndarray) -> np.ndarray:
            return self.image[row % height, column % width]

        upper = (1 - right_weight) * texel(left, top) + right_weight * texel(left + 1, top)
        lower = (1 - right_weight) * texel(left, top + 1) + right_weight * texel(left + 1, top + 1)
        return ((1 - low_weight) * upper + low_weight * lower).astype(np.float32)


@dataclass(frozen=True)
class Product:
    """Colours multiplied, as glTF does with a material's factor, its picture and the vertex colours."""

    first: Texture
    second: Texture

    def __call__(self, surface: SurfacePoints) -> Float[np.ndarray, "n 3"]:
        return self.first(surface) * self.second(surface)


def load_mesh(path: Path, *, tell: Tell | None = None) -> SceneMesh:
    """Read a triangle mesh, in the file's own frame and units, without corner normals.

    Colours are taken from the file: vertex or face colours, an image texture, or a material's colour; else a light
    grey. Display (sRGB) values become linear, and those of glTF, which are linear, stay. Triangles without area are
    dropped.

    Args:
        path: file.
        tell: told what of the file was left out, and of pictures that are missing or cannot be read.

    Raises:
        InputError: as `read_mesh_file`; no triangle with an area, or a mesh without extent.
    """
    found = read_mesh_file(path, looks=True, tell=tell)
    part = np.zeros(len(found.faces), dtype=np.int64) if found.part is None else found.part
    faces: list[np.ndarray] = []
    owners: list[np.ndarray] = []
    materials: list[Material] = []
    count = 0
    for number in np.flatnonzero(np.bincount(part)):
        keep = np.flatnonzero(part == number)
        keep = keep[_has_area(found.vertices[found.faces[keep]])]
        owners.append(np.full(len(keep), len(materials)))
        materials.append(Material(_texture(found, found.paints[number], keep, count), roughness=0.45))
        faces.append(found.faces[keep])
        count += len(keep)
    if count == 0:
        raise InputError(f"{path} has no triangle with an area, so there is no surface to draw; give a surface mesh.")
    joined = np.concatenate(faces)
    used = np.zeros(len(found.vertices), dtype=bool)
    used[joined] = True
    extent = float(np.ptp(found.vertices[used], axis=0).max())
    if not np.isfinite(extent) or extent < 1e-30:
        raise InputError(f"{path} has no extent that numbers can hold ({extent:g}); rescale the mesh.")
    renumbered = np.cumsum(used) - 1
    return SceneMesh(found.vertices[used], renumbered[joined], np.concatenate(owners), tuple(materials))


def _has_area(triangles: Float[np.ndarray, "f 3 3"]) -> Bool[np.ndarray, " f"]:
    # Relative to the part, so that a mesh in kilometres and one in micrometres are judged alike.
    extent = float(np.ptp(triangles.reshape(-1, 3), axis=0).max())
    corner = (triangles - triangles[0, 0]) / (extent or 1.0)
    area = np.linalg.norm(np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]), axis=1)
    return area > 1e-16


def _texture(found: MeshFile, paint: Paint, keep: Int[np.ndarray, " k"], first_face: int) -> Texture:
    """A part's own colours as a texture over its kept faces, numbered from `first_face` in the whole mesh."""
    picture = _picture(found, paint, keep, first_face)
    if picture is not None and paint.covers:
        return picture
    factors = [picture, _own_colours(found, keep, first_face), None if paint.colour is None else Plain(paint.colour)]
    known = [factor for factor in factors if factor is not None]
    if not known:
        return Plain(_GREY)
    return reduce(Product, known)


def _picture(found: MeshFile, paint: Paint, keep: Int[np.ndarray, " k"], first_face: int) -> Texture | None:
    """The part's picture, where it has one and every corner has a place in it."""
    if paint.picture is None or found.uv is None:
        return None
    uv = found.uv[keep] * np.array(paint.scale, np.float32) + np.array(paint.offset, np.float32)
    if not np.isfinite(uv).all():
        return None
    return ImageTexture(linear_from_srgb(paint.picture / np.float32(255.0)), uv, first_face)


def _own_colours(found: MeshFile, keep: Int[np.ndarray, " k"], first_face: int) -> Texture | None:
    """Colours of the vertices, or else of the faces; white where some of a part have none."""
    for colours in (
        None if found.colours is None else found.colours[found.faces[keep]],
        None if found.face_colours is None else np.repeat(found.face_colours[keep][:, None], 3, axis=1),
    ):
        if colours is not None and np.isfinite(colours).any():
            return VertexColours(
                linear_from_srgb(np.where(np.isfinite(colours), colours, 1.0).astype(np.float32)), first_face
            )
    return None
