"""Reading meshes and point clouds as the file has them: nothing merged, moved or thrown away without need."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from inr_plugins.errors import InputError
from inr_plugins.geometry.glb import srgb_from_linear
from inr_plugins.geometry.mesh import Mesh, face_normals, select_faces
from inr_plugins.geometry.open3d_import import import_open3d

if TYPE_CHECKING:
    import trimesh

MESH_SUFFIXES = (".ply", ".obj", ".glb", ".gltf", ".stl", ".off")
CLOUD_SUFFIXES = (".ply", ".xyz", ".pcd", ".npy")
# PLY headers in the wild are a few hundred bytes; scanners' comments may make them longer.
_LONGEST_HEADER = 1 << 16
_NORMAL_TOLERANCE = 1e-2
# Formats in which faces share vertices by number, whatever else differs.
_SHARED = (".ply", ".off")


@dataclass(frozen=True)
class Cloud:
    """Points of a surface, in the frame and units of their file.

    Attributes:
        points: positions, finite.
        normals: unit normals, or None.
    """

    points: Float[np.ndarray, "n 3"]
    normals: Float[np.ndarray, "n 3"] | None = None


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
    _check_file(path, MESH_SUFFIXES, kind="mesh")
    if path.suffix.lower() == ".ply" and not _ply_has_faces(path):
        raise InputError(f"{path} holds points without faces; a mesh is needed here.")
    return _checked_mesh(_guarded(path, _load_mesh), path)


def read_surface(path: Path) -> Mesh | Cloud:
    """What a file gives of a surface: a mesh if it has faces, else its points.

    Meshes as `read_mesh`; point clouds as PLY without faces, PCD, XYZ (text: x y z, or x y z nx ny nz, in each line)
    and NPY (an array of 3 or 6 columns, the same way).

    Raises:
        InputError: as `read_mesh`; also no points, or normals whose length is not 1 (to a hundredth).
    """
    _check_file(path, MESH_SUFFIXES + CLOUD_SUFFIXES, kind="mesh or point cloud")
    suffix = path.suffix.lower()
    if suffix in MESH_SUFFIXES and (suffix != ".ply" or _ply_has_faces(path)):
        return read_mesh(path)
    readers: dict[str, Callable[[Path], np.ndarray]] = {".npy": _load_npy, ".xyz": _load_xyz}
    return _checked_cloud(_guarded(path, readers.get(suffix, _load_cloud)), path)


def _check_file(path: Path, suffixes: tuple[str, ...], *, kind: str) -> None:
    if path.suffix.lower() not in suffixes:
        known = ", ".join(sorted(set(suffixes)))
        raise InputError(f"{path} is no {kind} by its name; the extension must be one of {known}.")
    if path.is_dir():
        raise InputError(f"{path} is a folder; give a {kind} file.")
    if not path.exists():
        raise InputError(f"{path} does not exist; give a {kind} file.")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is an empty file; write it again.")


def _guarded(path: Path, load: Callable[[Path], Any]) -> Any:
    """What `load` makes of the file. Readers meet broken files with any kind of exception."""
    try:
        return load(path)
    except InputError:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise InputError(f"{path} cannot be read; it may be cut short or of another format ({reason}).") from error


def _ply_has_faces(path: Path) -> bool:
    """Whether the header announces faces.

    Raises:
        InputError: the file has no PLY header.
    """
    with path.open("rb") as file:
        head = file.read(_LONGEST_HEADER)
    if not head.startswith(b"ply") or b"end_header" not in head:
        raise InputError(f"{path} does not begin with the header of a PLY file; write it again.")
    return _ply_count(head, b"face ") > 0


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
        head = file.read(_LONGEST_HEADER)
    if path.suffix.lower() == ".ply":
        return _ply_count(head, b"face ")
    if path.suffix.lower() == ".off":
        words = b" ".join(line.partition(b"#")[0] for line in head.splitlines()).partition(b"OFF")[2].split()
        return int(words[1])
    return 0


def _ply_count(head: bytes, element: bytes) -> int:
    lines = head.partition(b"end_header")[0].splitlines()
    return sum(int(line.split()[2]) for line in lines if line.startswith(b"element " + element))


def _ply_part(path: Path) -> Mesh:
    from trimesh.visual.color import to_rgba

    ply = _ply(path)
    colours = ply.get("vertex_colors")
    return Mesh(
        vertices=np.asarray(ply["vertices"], dtype=np.float64),
        faces=np.asarray(ply["faces"], dtype=np.int64).reshape(-1, 3),
        colours=None if colours is None else to_rgba(colours)[:, :3] / 255.0,
    )


def _ply(path: Path) -> dict[str, Any]:
    from trimesh.exchange.ply import load_ply

    with path.open("rb") as file:
        return load_ply(file, fix_texture=False, skip_materials=True)


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
    _check_finite(mesh.vertices, path, what="vertices")
    if not (np.linalg.norm(face_normals(mesh), axis=1) > 0).any():
        raise InputError(f"None of the {len(mesh.faces)} faces of {path} has an area; give a mesh with a surface.")
    return mesh


def _check_finite(points: np.ndarray, path: Path, *, what: str) -> None:
    broken = int((~np.isfinite(points).all(axis=1)).sum())
    if broken:
        raise InputError(f"{path} has {broken} of {len(points)} {what} that are NaN or infinite; mend or drop them.")


def _load_cloud(path: Path) -> np.ndarray:
    """Rows x y z, or x y z nx ny nz, of a PLY or PCD file."""
    if path.suffix.lower() == ".ply":
        ply = _ply(path)
        with path.open("rb") as file:
            promised = _ply_count(file.read(_LONGEST_HEADER), b"vertex ")
        if promised == 0 or len(ply["vertices"]) < promised:
            return np.zeros((0, 3))
        return np.hstack([ply["vertices"], ply.get("vertex_normals", np.zeros((len(ply["vertices"]), 0)))])
    o3d = import_open3d()
    with o3d.utility.VerbosityContextManager(o3d.utility.VerbosityLevel.Error):
        cloud = o3d.io.read_point_cloud(str(path), remove_nan_points=False, remove_infinite_points=False)
    points, normals = np.asarray(cloud.points), np.asarray(cloud.normals)
    return np.hstack([points, normals]) if len(normals) else points.copy()


def _load_npy(path: Path) -> np.ndarray:
    rows = np.load(path, allow_pickle=False)
    if rows.ndim != 2 or rows.dtype.kind not in "fiu":
        raise InputError(f"{path} holds an array of shape {rows.shape} and type {rows.dtype}, not rows of x y z.")
    return rows.astype(np.float64)


def _load_xyz(path: Path) -> np.ndarray:
    return np.loadtxt(path, ndmin=2)


def _checked_cloud(rows: np.ndarray, path: Path) -> Cloud:
    if rows.shape[1] not in (3, 6):
        raise InputError(f"{path} has {rows.shape[1]} columns; rows must be x y z or x y z nx ny nz.")
    if len(rows) == 0:
        raise InputError(f"{path} has no points, or is cut short; write it again, or give another file.")
    _check_finite(rows, path, what="points or normals")
    points, normals = rows[:, :3].astype(np.float64), rows[:, 3:].astype(np.float64)
    if normals.shape[1] == 0:
        return Cloud(points)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    if np.abs(length - 1).max() > _NORMAL_TOLERANCE:
        raise InputError(
            f"Columns 4 to 6 of {path} are no unit normals: their lengths run from {length.min():.3g} to "
            f"{length.max():.3g}; drop them, or scale them to length 1."
        )
    return Cloud(points, normals / length)
