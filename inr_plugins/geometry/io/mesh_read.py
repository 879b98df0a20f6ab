"""Reading meshes as the file has them: nothing merged, moved or thrown away without need."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from inr_plugins.errors import InputError
from inr_plugins.geometry.glb import srgb_from_linear
from inr_plugins.geometry.io.ply import LONGEST_HEADER, load_ply_elements, ply_count, ply_has_faces
from inr_plugins.geometry.io.read_checks import check_file, check_finite, guarded
from inr_plugins.geometry.mesh import Mesh, face_normals, select_faces

if TYPE_CHECKING:
    import trimesh

MESH_SUFFIXES = (".ply", ".obj", ".glb", ".gltf", ".stl", ".off")
# Formats in which faces share vertices by number, whatever else differs.
_SHARED = (".ply", ".off")


def read_mesh(path: Path) -> Mesh:
    """The triangle mesh of a PLY, OBJ, GLB, glTF, STL or OFF file, in the file's frame and units.

    Polygons are cut into triangles; vertices that no face uses are left out. STL repeats a vertex for every face, and
    OBJ and GLB where its normal or its place in a texture differs: equal positions become one vertex, so that the
    surface is as closed as it was. PLY and OFF keep their vertices apart where the file does. A scene of several parts
    becomes one mesh, each part moved to its place. Colours of the vertices are kept where every part has them, as sRGB;
    textures are not read, nor normals, which the faces give.

    Raises:
        InputError: no such file, an extension that is not known, a file that cannot be read or is cut short, no faces,
            positions that are not finite, or no face with an area.
    """
    check_file(path, MESH_SUFFIXES, kind="mesh")
    if path.suffix.lower() == ".ply" and not ply_has_faces(path):
        raise InputError(f"{path} holds points without faces; a mesh is needed here.")
    return _checked_mesh(guarded(path, _load_mesh), path)


def _load_mesh(path: Path) -> Mesh:
    parts = [_ply_part(path)] if path.suffix.lower() == ".ply" else list(_scene_parts(path))
    parts = [part for part in parts if len(part.faces)]
    found, promised = sum(len(part.faces) for part in parts), _promised_faces(path)
    if found < promised or not parts:
        raise InputError(
            f"{path} has {found or 'no'} faces{f', not {promised}' if promised else ''}, or is cut short; write it "
            "again, or give another file."
        )
    colours = [part.colours for part in parts if part.colours is not None]
    start = np.cumsum([0, *(len(part.vertices) for part in parts)])
    mesh = Mesh(
        vertices=np.concatenate([part.vertices for part in parts]),
        faces=np.concatenate([part.faces + first for part, first in zip(parts, start, strict=False)]),
        colours=np.concatenate(colours) if len(colours) == len(parts) else None,
    )
    return mesh if path.suffix.lower() in _SHARED else _welded(mesh)


def _promised_faces(path: Path) -> int:
    """The number of faces in the header of the formats whose readers do not count; polygons become more triangles."""
    with path.open("rb") as file:
        head = file.read(LONGEST_HEADER)
    if path.suffix.lower() == ".ply":
        return ply_count(head, b"face ")
    if path.suffix.lower() == ".off":
        words = b" ".join(line.partition(b"#")[0] for line in head.splitlines()).partition(b"OFF")[2].split()
        return int(words[1])
    return 0


def _ply_part(path: Path) -> Mesh:
    from trimesh.visual.color import to_rgba

    ply = load_ply_elements(path)
    colours = ply.get("vertex_colors")
    return Mesh(
        vertices=np.asarray(ply["vertices"], dtype=np.float64),
        faces=np.asarray(ply["faces"], dtype=np.int64).reshape(-1, 3),
        colours=None if colours is None else to_rgba(colours)[:, :3] / 255.0,
    )


def _scene_parts(path: Path) -> Iterator[Mesh]:
    """The meshes of a scene, where its nodes put them."""
    import trimesh

    linear = path.suffix.lower() in (".glb", ".gltf")
    # Materials that an OBJ names are files beside it; in a GLB, trimesh keeps the colours' float32 in them.
    scene = trimesh.load_scene(path, process=False, maintain_order=True, skip_materials=not linear)
    for node in scene.graph.nodes_geometry:
        matrix, name = scene.graph[node]
        part = scene.geometry[name]
        if isinstance(part, trimesh.Trimesh):
            faces = np.asarray(part.faces, dtype=np.int64)
            yield Mesh(
                vertices=np.asarray(part.vertices, dtype=np.float64) @ matrix[:3, :3].T + matrix[:3, 3],
                faces=faces[:, ::-1] if np.linalg.det(matrix[:3, :3]) < 0 else faces,
                colours=_colours(part, linear=linear),
            )


def _colours(part: trimesh.Trimesh, *, linear: bool) -> Float[np.ndarray, "v 3"] | None:
    """sRGB of the vertices; `linear` says that the file has linear light."""
    visual: Any = part.visual
    found = getattr(visual, "vertex_attributes", {}).get("color")
    if found is None and visual.kind == "vertex":
        found = visual.vertex_colors
    if found is None:
        return None
    colours = np.asarray(found)[:, :3]
    colours = colours / 255.0 if colours.dtype == np.uint8 else colours.astype(np.float64)
    return srgb_from_linear(colours) if linear else colours


def _welded(mesh: Mesh) -> Mesh:
    """Vertices at exactly equal positions become one, the first of them."""
    # Adding zero turns -0.0 into 0.0, which is the same place.
    _, first, group = np.unique(mesh.vertices + 0.0, axis=0, return_index=True, return_inverse=True)
    return replace(mesh, faces=first[group.reshape(-1)][mesh.faces])


def _checked_mesh(mesh: Mesh, path: Path) -> Mesh:
    """The mesh with only the vertices in use, after a check that it is one."""
    if mesh.faces.min() < 0 or mesh.faces.max() >= len(mesh.vertices):
        raise InputError(
            f"{path} has faces with corners numbered {mesh.faces.min()} to {mesh.faces.max()}, but only "
            f"{len(mesh.vertices)} vertices; write it again."
        )
    mesh = select_faces(mesh, np.ones(len(mesh.faces), dtype=bool))
    check_finite(mesh.vertices, path, what="vertices")
    if not (np.linalg.norm(face_normals(mesh), axis=1) > 0).any():
        raise InputError(f"None of the {len(mesh.faces)} faces of {path} has an area; give a mesh with a surface.")
    return mesh
