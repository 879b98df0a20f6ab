"""What a file gives of a surface, whatever its format."""

from __future__ import annotations

from pathlib import Path

from inr_plugins.geometry.io.clouds.read import CLOUD_SUFFIXES, TEXT_SUFFIXES, Cloud, read_cloud
from inr_plugins.geometry.io.formats.ply import read_ply_header
from inr_plugins.geometry.io.formats.ply_mesh import has_faces
from inr_plugins.geometry.io.mesh_file import Tell
from inr_plugins.geometry.io.mesh_read import MESH_SUFFIXES, read_mesh
from inr_plugins.geometry.io.read_checks import check_file
from inr_plugins.geometry.mesh import Mesh

SHAPE_SUFFIXES = tuple(sorted({*MESH_SUFFIXES, *CLOUD_SUFFIXES}))
"""Of files that are meshes or clouds by their names; text may be anything, and is read where it is named."""


def is_shape_file(path: Path) -> bool:
    """Whether a file of a folder is a mesh or a cloud by its name; hidden ones are nobody's."""
    return path.suffix.lower() in SHAPE_SUFFIXES and not path.name.startswith(".") and path.is_file()


def read_surface(path: Path, *, normals: bool = True, tell: Tell | None = None) -> Mesh | Cloud:
    """What a file gives of a surface: a mesh if it has faces, else its points.

    Args:
        path: the file.
        normals: whether to read the normals of a cloud.
        tell: told what of a mesh was merged beyond exact equality, and what was left out; a cloud has notes.

    Raises:
        InputError: as `read_mesh` and `read_cloud`.
    """
    check_surface_file(path)
    suffix = path.suffix.lower()
    if suffix in MESH_SUFFIXES and (suffix != ".ply" or has_faces(read_ply_header(path))):
        return read_mesh(path, tell=tell)
    return read_cloud(path, normals=normals)


def check_surface_file(path: Path) -> None:
    """Refuse what is neither a mesh nor a cloud by its name, without reading it.

    Raises:
        InputError: there is no such file, it is empty, or its extension is none of theirs.
    """
    check_file(path, MESH_SUFFIXES + CLOUD_SUFFIXES + TEXT_SUFFIXES, kind="mesh or point cloud")
