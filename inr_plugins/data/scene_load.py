"""Mesh files to `SceneMesh`: every piece with its own colours, and one clear sentence for each kind of bad file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int

from inr_plugins.data.scene_surface import Material, SceneMesh
from inr_plugins.data.scene_textures import Plain, SurfacePoints, Texture, srgb_to_linear
from inr_plugins.errors import InputError

if TYPE_CHECKING:
    from trimesh import Trimesh

_GREY = (0.62, 0.60, 0.57)
READABLE = ("ply", "obj", "stl", "off", "glb", "gltf")


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


def load_mesh(path: Path) -> SceneMesh:
    """Read a triangle mesh, in the file's own frame and units, without corner normals.

    Colours are taken from the file: vertex or face colours, an image texture, or a material's colour, all as display
    (sRGB) values; else a light grey. Triangles without area are dropped.

    Raises:
        InputError: no such file, a file that cannot be read as a mesh, no vertices or no faces, faces that name
            vertices which are not there, NaN or infinite positions, or a mesh without extent.
    """
    pieces = _read(path)
    offsets = np.cumsum([0] + [len(piece.vertices) for piece in pieces])
    vertices = np.concatenate([np.asarray(p.vertices, dtype=np.float64).reshape(-1, 3) for p in pieces])
    faces: list[np.ndarray] = []
    owners: list[np.ndarray] = []
    materials: list[Material] = []
    count = 0
    for piece, offset in zip(pieces, offsets, strict=False):
        keep = _sound_faces(piece, path)
        materials.append(Material(_texture(piece, keep, count), roughness=0.45))
        faces.append(np.asarray(piece.faces, dtype=np.int64)[keep] + offset)
        owners.append(np.full(len(keep), len(materials) - 1))
        count += len(keep)
    if count == 0:
        raise InputError(f"{path} has no triangle with an area, so there is no surface to draw; give a surface mesh.")
    used, joined = np.unique(np.concatenate(faces), return_inverse=True)
    extent = float(np.ptp(vertices[used], axis=0).max())
    if not np.isfinite(extent) or extent < 1e-30:
        raise InputError(f"{path} has no extent that numbers can hold ({extent:g}); rescale the mesh.")
    return SceneMesh(vertices[used], joined.reshape(-1, 3), np.concatenate(owners), tuple(materials))


def _read(path: Path) -> list[Trimesh]:
    """The triangle meshes in the file, each moved to its place."""
    import trimesh

    if not path.exists():
        raise InputError(f"{path} does not exist; give a mesh file ({', '.join(READABLE)}) or a built-in object.")
    if path.is_dir():
        raise InputError(f"{path} is a folder; give a mesh file ({', '.join(READABLE)}).")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is an empty file; give a mesh file ({', '.join(READABLE)}).")
    try:
        loaded = trimesh.load_scene(str(path), process=False)
        # Moving pieces to their places multiplies what may be NaN or infinite; that is reported below, by name.
        with np.errstate(all="ignore"):
            pieces: list[Any] = list(loaded.dump())  # meshes, point clouds, paths
    except InputError:
        raise
    except Exception as error:  # the readers of a dozen formats raise anything at all on a damaged file
        reason = str(error).strip().splitlines()[0][:160] if str(error).strip() else type(error).__name__
        raise InputError(
            f"{path} cannot be read as a mesh ({reason}); give a sound file of type {', '.join(READABLE)}."
        ) from error
    meshes = [piece for piece in pieces if isinstance(piece, trimesh.Trimesh) and len(piece.faces)]
    vertices = [np.asarray(piece.vertices) for piece in pieces if getattr(piece, "vertices", None) is not None]
    bad = sum(int((~np.isfinite(v)).any(axis=1).sum()) for v in vertices if v.ndim == 2)
    if bad:
        raise InputError(f"{path} has {bad} vertices with NaN or infinite coordinates; repair or remove them.")
    if not sum(map(len, vertices)):
        raise InputError(f"{path} holds no vertices, or is not a mesh; give a surface mesh ({', '.join(READABLE)}).")
    if not meshes:
        raise InputError(f"{path} has vertices but no faces; give a surface mesh, not a point cloud.")
    return meshes


def _sound_faces(piece: Trimesh, path: Path) -> Int[np.ndarray, " k"]:
    """Indices of the faces that have an area."""
    faces = np.asarray(piece.faces, dtype=np.int64)
    if faces.min() < 0 or faces.max() >= len(piece.vertices):
        raise InputError(f"{path} has faces that name vertices which are not in it; the file is damaged.")
    vertices = np.asarray(piece.vertices, dtype=np.float64)
    # Relative to the piece, so that a mesh in kilometres and one in micrometres are judged alike.
    extent = float(np.ptp(vertices[faces].reshape(-1, 3), axis=0).max())
    corner = (vertices[faces] - vertices[faces[0, 0]]) / (extent or 1.0)
    area = np.linalg.norm(np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]), axis=1)
    return np.flatnonzero(area > 1e-16)


def _texture(piece: Trimesh, keep: np.ndarray, first_face: int) -> Texture:
    """The piece's own colours as a texture over the kept faces, numbered from `first_face` in the whole mesh."""
    visual: Any = piece.visual  # one of several classes, told apart by `kind`
    faces = np.asarray(piece.faces)[keep]
    if visual.kind == "texture":
        return _material_texture(visual, faces, first_face)
    if visual.kind == "vertex":
        colours = srgb_to_linear(np.asarray(visual.vertex_colors)[:, :3] / 255.0)
        return VertexColours(colours[faces], first_face)
    if visual.kind == "face":
        colours = srgb_to_linear(np.asarray(visual.face_colors)[keep, :3] / 255.0)
        return VertexColours(np.repeat(colours[:, None], 3, axis=1), first_face)
    return Plain(_GREY)


def _material_texture(visual: Any, faces: np.ndarray, first_face: int) -> Texture:
    """A texture picture where the file has one, else its material's colour."""
    material = getattr(visual, "material", None)
    image = getattr(material, "baseColorTexture", None) or getattr(material, "image", None)
    uv = getattr(visual, "uv", None)
    if image is not None and uv is not None and len(uv) and np.isfinite(uv).all():
        pixels = srgb_to_linear(np.asarray(image.convert("RGB"), dtype=np.float32) / 255.0)
        factor = getattr(material, "baseColorFactor", None)
        if factor is not None:  # glTF multiplies the two, the factor being linear already
            pixels = pixels * (np.asarray(factor, dtype=np.float32)[:3] / 255.0)
        return ImageTexture(pixels, np.asarray(uv, dtype=np.float32)[faces], first_face)
    colour = getattr(material, "main_color", None)
    if colour is None:
        return Plain(_GREY)
    r, g, b = srgb_to_linear(np.asarray(colour, dtype=np.float64)[:3] / 255.0)
    return Plain((float(r), float(g), float(b)))
