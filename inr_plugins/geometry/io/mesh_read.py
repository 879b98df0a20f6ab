"""Reading meshes as the file has them: nothing merged, moved or thrown away without need, nor without a word."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from inr_plugins.errors import InputError
from inr_plugins.geometry.io.formats.gltf_mesh import load_gltf
from inr_plugins.geometry.io.formats.obj import load_obj
from inr_plugins.geometry.io.formats.off import load_off
from inr_plugins.geometry.io.formats.ply import read_ply_header
from inr_plugins.geometry.io.formats.ply_mesh import has_faces, load_ply_mesh
from inr_plugins.geometry.io.formats.stl import load_stl
from inr_plugins.geometry.io.mesh_file import MeshFile, Tell
from inr_plugins.geometry.io.read_checks import check_file, check_finite, counted, guarded
from inr_plugins.geometry.io.rounding import rounding_note
from inr_plugins.geometry.io.weld import welded
from inr_plugins.geometry.mesh import Mesh, face_normals, select_faces

MESH_SUFFIXES = (".ply", ".obj", ".glb", ".gltf", ".stl", ".off")
# Formats in which a vertex is repeated where its normal or its place in a texture differs.
_REPEATING = (".obj", ".glb", ".gltf")
_FACES_AT_ONCE = 1 << 16


def read_mesh(path: Path | str, *, tell: Tell | None = None) -> Mesh:
    """The triangle mesh of a PLY, OBJ, GLB, glTF, STL or OFF file, in the file's frame and units.

    Polygons, concave ones too, are cut into triangles; vertices that no face uses are left out. STL repeats a vertex
    for every face, and OBJ and GLB where its normal or its place in a texture differs: equal positions become one
    vertex, so that the surface is as closed as it was; in STL also those that only rounding parts (see
    `weld.rounding_tolerance`). PLY and OFF keep their vertices apart where the file does. A scene of several parts
    becomes one mesh, each part moved to its place. Colours of the vertices are kept where every part has them, as sRGB;
    textures are not read, nor normals, which the faces give.

    Memory beside the mesh (24 bytes a vertex, 24 a face) while it is read: 100 bytes a triangle and 100 MB; OFF 170,
    STL 150, or 600 where nearly every corner differs by rounding (measured: benchmarks/files.py).

    Args:
        path: file.
        tell: told what was merged beyond exact equality, and what of the surface was left out.

    Raises:
        InputError: no such file, an extension that is not known, a file that cannot be read, is cut short or
            compressed, fewer faces than it announces or none, positions that are not finite, or no face with an area.
    """
    path = Path(path)
    found = read_mesh_file(path, tell=tell)
    colours = found.colours if found.colours is not None and np.isfinite(found.colours).all() else None
    mesh = Mesh(vertices=found.vertices, faces=found.faces, colours=colours)
    if path.suffix.lower() in _REPEATING:
        mesh = welded(mesh)
    mesh = select_faces(mesh, np.ones(len(mesh.faces), dtype=bool))
    if not _has_area(mesh):
        raise InputError(f"None of the {len(mesh.faces)} faces of {path} has an area; give a mesh with a surface.")
    return mesh


def read_mesh_file(path: Path, *, looks: bool = False, tell: Tell | None = None) -> MeshFile:
    """The triangles of a file with all their vertices (of STL, joined), and, if wanted, how each part looks.

    Args:
        path: file.
        looks: whether to read materials, pictures and places in them too.
        tell: told what of the file was left out.

    Raises:
        InputError: as `read_mesh`, but for faces without area.
    """
    check_file(path, MESH_SUFFIXES, kind="mesh")

    def load(path: Path) -> MeshFile:
        told = tell or _ignore
        match path.suffix.lower():
            case ".ply":
                return load_ply_mesh(path, looks=looks, tell=told)
            case ".obj":
                return load_obj(path, looks=looks, tell=told)
            case ".stl":
                return load_stl(path, tell=told)
            case ".off":
                return load_off(path, tell=told)
            case _:
                return load_gltf(path, looks=looks, tell=told)

    if path.suffix.lower() == ".ply" and not has_faces(header := read_ply_header(path)):
        what = "points without faces" if header.count("vertex") else "neither vertices nor faces"
        raise InputError(f"{path} holds {what}; a mesh is needed here.")
    with np.errstate(all="ignore"):  # what is NaN or infinite is refused below, or its number is out of range
        found = guarded(path, load)
    if not len(found.faces) and len(found.vertices):
        raise InputError(
            f"{path} has {counted(len(found.vertices), 'vertex', 'vertices')} and no faces: a mesh is cut short there, "
            "and a cloud is read from PLY, XYZ, PCD or NPY; write it again as one of them."
        )
    if not len(found.faces):
        raise InputError(f"{path} has no faces, or is cut short; write it again, or give another file.")
    _check_finite_corners(found, path)
    note = rounding_note(found.vertices)
    if tell is not None and note is not None:
        tell(note)
    return found


def _has_area(mesh: Mesh) -> bool:
    """Whether any face has an area; looked for a block at a time, and mostly found in the first."""
    blocks = range(0, len(mesh.faces), _FACES_AT_ONCE)
    return any(face_normals(replace(mesh, faces=mesh.faces[k : k + _FACES_AT_ONCE])).any() for k in blocks)


def _ignore(note: str) -> None:
    """Nobody wants to know."""


def _check_finite_corners(found: MeshFile, path: Path) -> None:
    """Refuse NaN and infinite positions of the vertices that faces use."""
    finite = np.isfinite(found.vertices).all(axis=1)
    if not finite.all():
        used = np.zeros(len(finite), dtype=bool)
        used[found.faces] = True
        check_finite(found.vertices[used], path, what="vertices")
