"""What a file gives of a surface, whatever its format."""

from __future__ import annotations

from pathlib import Path

from inr_plugins.geometry.io.cloud_read import CLOUD_SUFFIXES, TEXT_SUFFIXES, Cloud, read_cloud
from inr_plugins.geometry.io.mesh_read import MESH_SUFFIXES, read_mesh
from inr_plugins.geometry.io.ply import ply_has_faces
from inr_plugins.geometry.io.read_checks import check_file
from inr_plugins.geometry.mesh import Mesh


def read_surface(path: Path, *, normals: bool = True) -> Mesh | Cloud:
    """What a file gives of a surface: a mesh if it has faces, else its points.

    Args:
        path: the file.
        normals: whether to read the normals of a cloud.

    Raises:
        InputError: as `read_mesh` and `read_cloud`.
    """
    check_file(path, MESH_SUFFIXES + CLOUD_SUFFIXES + TEXT_SUFFIXES, kind="mesh or point cloud")
    suffix = path.suffix.lower()
    if suffix in MESH_SUFFIXES and (suffix != ".ply" or ply_has_faces(path)):
        return read_mesh(path)
    return read_cloud(path, normals=normals)
