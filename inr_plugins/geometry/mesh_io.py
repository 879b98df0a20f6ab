"""Writing meshes as PLY, OBJ, GLB or STL with a JSON sidecar, so that a file is either complete or not there.

Positions are written as they are: no axis is swapped, in any format. Positions keep float64 in PLY and ten digits in
OBJ; GLB and STL have float32 only, that is seven digits: far from the origin, small meshes lose detail. STL has neither
colours nor shared vertices: readers must merge equal positions to know which triangles are neighbours. A texture goes
into a GLB only.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from inr_plugins.errors import InputError
from inr_plugins.files import replacing_all
from inr_plugins.geometry.glb import encode_glb, encode_textured_glb
from inr_plugins.geometry.mesh import Mesh, face_normals
from inr_plugins.geometry.output_place import check_place
from inr_plugins.geometry.texture import TexturedMesh


def sidecar_path(path: Path) -> Path:
    """Where the sidecar of a mesh file goes: mesh.ply -> mesh.ply.json."""
    return path.with_name(path.name + ".json")


def check_output(path: Path, *, overwrite: bool, textured: bool = False) -> None:
    """Refuse an output that could not be written at the end, before any work is done.

    Raises:
        InputError: unknown extension, an extension other than .glb for a textured mesh, a folder of that name, an
            existing file without `overwrite`, or a place that cannot be written.
    """
    if path.suffix.lower() not in WRITERS:
        known = ", ".join(sorted(WRITERS))
        raise InputError(f"--output {path}: the extension must be one of {known}.")
    if textured and path.suffix.lower() != TEXTURED:
        raise InputError(f"--output {path}: a texture can only be written into a {TEXTURED}; change the extension.")
    for each in (path, sidecar_path(path)):
        check_place(each)
    if path.is_dir():
        raise InputError(f"--output {path} is a folder; name a file in it, such as {path.name}/mesh.ply.")
    if sidecar_path(path).is_dir():
        raise InputError(f"--output {path} needs the place of the folder {sidecar_path(path)}; give another name.")
    if not overwrite:
        for existing in (path, sidecar_path(path)):
            if existing.exists():
                raise InputError(f"{existing} exists already; pass --overwrite or another --output.")


def write_mesh(mesh: Mesh | TexturedMesh, path: Path, *, sidecar: Mapping[str, Any], overwrite: bool = False) -> None:
    """Write the mesh in the format of the path's extension, and `sidecar` as JSON beside it.

    Both files are complete before either gets its name; on any error, and on Ctrl-C, what was there before stays.

    Raises:
        InputError: as `check_output`.
        OSError: the folder cannot be written, or the disk is full.
    """
    check_output(path, overwrite=overwrite, textured=isinstance(mesh, TexturedMesh))
    description = json.dumps(dict(sidecar), indent=2, allow_nan=False) + "\n"
    encoded = encode_textured_glb(mesh) if isinstance(mesh, TexturedMesh) else WRITERS[path.suffix.lower()](mesh)
    contents = {path: encoded, sidecar_path(path): description.encode()}
    with replacing_all(list(contents)) as partials:
        for partial, data in zip(partials, contents.values(), strict=True):
            partial.write_bytes(data)


def colours_to_bytes(mesh: Mesh) -> np.ndarray:
    """The vertex colours as uint8 (v, 3), sRGB; the mesh must have colours."""
    if mesh.colours is None:
        raise ValueError("the mesh has no colours")
    return np.rint(np.clip(mesh.colours, 0.0, 1.0) * 255).astype(np.uint8)


def encode_ply(mesh: Mesh) -> bytes:
    """Binary little-endian PLY: double x y z, float nx ny nz and uchar red green blue where the mesh has them."""
    fields: list[tuple[str, str, np.ndarray]] = [
        (name, "<f8", mesh.vertices[:, k]) for k, name in enumerate(("x", "y", "z"))
    ]
    if mesh.normals is not None:
        fields += [(name, "<f4", mesh.normals[:, k]) for k, name in enumerate(("nx", "ny", "nz"))]
    if mesh.colours is not None:
        colours = colours_to_bytes(mesh)
        fields += [(name, "u1", colours[:, k]) for k, name in enumerate(("red", "green", "blue"))]
    vertices = np.empty(len(mesh.vertices), dtype=[(name, kind) for name, kind, _ in fields])
    for name, _, column in fields:
        vertices[name] = column
    faces = np.empty(len(mesh.faces), dtype=[("count", "u1"), ("corners", "<i4", 3)])
    faces["count"] = 3
    faces["corners"] = mesh.faces
    types = {"<f8": "double", "<f4": "float", "u1": "uchar"}
    header = [
        "ply",
        "format binary_little_endian 1.0",
        f"element vertex {len(vertices)}",
        *(f"property {types[kind]} {name}" for name, kind, _ in fields),
        f"element face {len(faces)}",
        "property list uchar int vertex_indices",
        "end_header",
    ]
    return ("\n".join(header) + "\n").encode() + vertices.tobytes() + faces.tobytes()


def encode_obj(mesh: Mesh) -> bytes:
    """Wavefront OBJ text; sRGB colours in [0, 1] follow the position on each v line, as MeshLab and Blender read."""
    columns, form = mesh.vertices, "v %.10g %.10g %.10g"
    if mesh.colours is not None:
        columns = np.hstack([columns, np.clip(mesh.colours, 0.0, 1.0)])
        form += " %.5f %.5f %.5f"
    parts = [_lines(form, columns)]
    corners = mesh.faces + 1
    if mesh.normals is None:
        parts.append(_lines("f %d %d %d", corners))
    else:
        parts.append(_lines("vn %.5f %.5f %.5f", mesh.normals))
        parts.append(_lines("f %d//%d %d//%d %d//%d", np.repeat(corners, 2, axis=1)))
    return "".join(parts).encode()


def _lines(form: str, rows: np.ndarray) -> str:
    return "".join(f"{form % tuple(row)}\n" for row in rows.tolist())


def encode_stl(mesh: Mesh) -> bytes:
    """Binary STL: for each face its unit normal (0 0 0 where it has no area) and its corners, all float32."""
    normals = face_normals(mesh)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    faces = np.zeros(len(mesh.faces), dtype=[("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
    faces["normal"] = normals / np.where(length > 0, length, 1.0)
    faces["corners"] = mesh.vertices[mesh.faces]
    # Eighty bytes that must not begin with "solid", by which readers know the text format.
    header = b"binary STL of inr-plugins".ljust(80)
    return header + np.uint32(len(faces)).astype("<u4").tobytes() + faces.tobytes()


WRITERS: dict[str, Callable[[Mesh], bytes]] = {
    ".ply": encode_ply,
    ".obj": encode_obj,
    ".glb": encode_glb,
    ".stl": encode_stl,
}
"""Encoder of each file extension."""

TEXTURED = ".glb"
"""The extension that holds a texture."""
