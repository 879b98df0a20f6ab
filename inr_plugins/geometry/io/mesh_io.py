"""Writing meshes as PLY, OBJ, GLB or STL with a JSON sidecar, so that a file is either complete or not there.

Positions are written as they are: no axis is swapped, in any format. Positions keep float64 in PLY, and in OBJ ten
digits of the mesh's size; GLB and STL have float32 only, that is seven digits. Far from the origin, where these are too
few, a GLB counts from a place nearby and says where that is; STL is refused. STL has neither
colours nor shared vertices: readers must merge equal positions to know which triangles are neighbours. A texture goes
into a GLB only.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from inr_plugins.errors import InputError, setting
from inr_plugins.files import replacing_all
from inr_plugins.geometry.appearance.texture import TexturedMesh
from inr_plugins.geometry.io.glb import glb_pieces, textured_glb_pieces
from inr_plugins.geometry.io.output_place import check_place
from inr_plugins.geometry.io.rounding import float32_step, is_coarse
from inr_plugins.geometry.mesh import Mesh, face_normals

_ROWS_AT_ONCE = 1 << 17


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
        raise InputError(f"{path}: the extension must be one of {known}.")
    if textured and path.suffix.lower() != TEXTURED:
        raise InputError(f"{path}: a texture can only be written into a {TEXTURED}; change the extension.")
    for each in (path, sidecar_path(path)):
        check_place(each)
    if path.is_dir():
        raise InputError(f"{path} is a folder; name a file in it, such as {path.name}/mesh.ply.")
    if sidecar_path(path).is_dir():
        raise InputError(f"{path} needs the place of the folder {sidecar_path(path)}; give another name.")
    if not overwrite:
        for existing in (path, sidecar_path(path)):
            if existing.exists():
                raise InputError(f"{existing} exists already; give {setting('overwrite', True)}, or another name.")


def check_digits(path: Path, points: Float[np.ndarray, "n 3"]) -> None:
    """Refuse an STL of positions so far from the origin that its float32 would make a lattice of them.

    Raises:
        InputError: with what else could be written.
    """
    if path.suffix.lower() == ".stl" and is_coarse(points):
        raise InputError(
            f"{path}: STL keeps float32 alone, which counts in steps of {float32_step(points):.2g} at "
            f"{np.abs(points).max():.3g} from the origin; write a .ply, .obj or .glb, which keep all digits."
        )


def write_mesh(
    mesh: Mesh | TexturedMesh, path: Path | str, *, sidecar: Mapping[str, Any], overwrite: bool = False
) -> None:
    """Write the mesh in the format of the path's extension, and `sidecar` as JSON beside it.

    Both files are complete before either gets its name; on any error, and on Ctrl-C, what was there before stays.
    Beside the mesh it takes 100 MB at most, whatever the mesh; GLB takes its file once.

    Raises:
        InputError: as `check_output` and `check_digits`.
        OSError: the folder cannot be written, or the disk is full.
    """
    path = Path(path)
    check_output(path, overwrite=overwrite, textured=isinstance(mesh, TexturedMesh))
    check_digits(path, (mesh.mesh if isinstance(mesh, TexturedMesh) else mesh).vertices)
    description = json.dumps(dict(sidecar), indent=2, allow_nan=False) + "\n"
    pieces = textured_glb_pieces(mesh) if isinstance(mesh, TexturedMesh) else WRITERS[path.suffix.lower()](mesh)
    with replacing_all([path, sidecar_path(path)]) as (partial, partial_sidecar):
        with partial.open("wb") as file:
            for piece in pieces:
                file.write(piece)
        partial_sidecar.write_bytes(description.encode())


def colours_to_bytes(colours: Float[np.ndarray, "v 3"]) -> UInt8[np.ndarray, "v 3"]:
    """sRGB in [0, 1] as bytes."""
    return np.rint(np.clip(colours, 0.0, 1.0) * 255).astype(np.uint8)


def ply_pieces(mesh: Mesh) -> Iterator[bytes]:
    """Binary little-endian PLY: double x y z; float nx ny nz, uchar red green blue, float observed where they are."""
    fields: list[tuple[str, str]] = [(name, "<f8") for name in ("x", "y", "z")]
    if mesh.normals is not None:
        fields += [(name, "<f4") for name in ("nx", "ny", "nz")]
    if mesh.colours is not None:
        fields += [(name, "u1") for name in ("red", "green", "blue")]
    if mesh.observed is not None:
        fields.append(("observed", "<f4"))
    types = {"<f8": "double", "<f4": "float", "u1": "uchar"}
    header = [
        "ply",
        "format binary_little_endian 1.0",
        f"element vertex {len(mesh.vertices)}",
        *(f"property {types[kind]} {name}" for name, kind in fields),
        f"element face {len(mesh.faces)}",
        "property list uchar int vertex_indices",
        "end_header",
    ]
    yield ("\n".join(header) + "\n").encode()
    for some in _pieces(len(mesh.vertices)):
        columns = [mesh.vertices[some]]
        if mesh.normals is not None:
            columns.append(mesh.normals[some])
        if mesh.colours is not None:
            columns.append(colours_to_bytes(mesh.colours[some]))
        if mesh.observed is not None:
            columns.append(mesh.observed[some, None])
        rows = np.empty(len(columns[0]), dtype=fields)
        for (name, _), column in zip(fields, (column for each in columns for column in each.T), strict=True):
            rows[name] = column
        yield rows.tobytes()
    for some in _pieces(len(mesh.faces)):
        faces = np.empty(len(mesh.faces[some]), dtype=[("count", "u1"), ("corners", "<i4", 3)])
        faces["count"] = 3
        faces["corners"] = mesh.faces[some]
        yield faces.tobytes()


def obj_pieces(mesh: Mesh) -> Iterator[bytes]:
    """Wavefront OBJ text; sRGB colours in [0, 1] follow the position on each v line, as MeshLab and Blender read."""
    position = f"v %.{_digits(mesh.vertices)}g %.{_digits(mesh.vertices)}g %.{_digits(mesh.vertices)}g"
    for some in _pieces(len(mesh.vertices)):
        if mesh.colours is None:
            yield _lines(position, mesh.vertices[some])
        else:
            rows = np.hstack([mesh.vertices[some], np.clip(mesh.colours[some], 0.0, 1.0)])
            yield _lines(position + " %.5f %.5f %.5f", rows)
    if mesh.normals is not None:
        for some in _pieces(len(mesh.normals)):
            yield _lines("vn %.5f %.5f %.5f", mesh.normals[some])
    for some in _pieces(len(mesh.faces)):
        corners = mesh.faces[some] + 1
        if mesh.normals is None:
            yield _lines("f %d %d %d", corners)
        else:
            yield _lines("f %d//%d %d//%d %d//%d", np.repeat(corners, 2, axis=1))


def _digits(vertices: Float[np.ndarray, "v 3"]) -> int:
    """Digits of a coordinate such that ten count from the size of the mesh; float64 has no more than 17."""
    side = float(np.ptp(vertices, axis=0).max()) if len(vertices) else 0.0
    reach = float(np.abs(vertices).max(initial=0.0))
    return 17 if not 0 < side < np.inf else int(np.clip(10 + np.ceil(np.log10(max(reach / side, 1.0))), 10, 17))


def _lines(form: str, rows: np.ndarray) -> bytes:
    """A line for each row; one form for all of them is filled at once, in half the time of one a line."""
    return ((form + "\n") * len(rows) % tuple(rows.ravel().tolist())).encode()


def stl_pieces(mesh: Mesh) -> Iterator[bytes]:
    """Binary STL: for each face its unit normal (0 0 0 where it has no area) and its corners, all float32."""
    # Eighty bytes that must not begin with "solid", by which readers know the text format.
    yield b"binary STL of inr-plugins".ljust(80) + np.uint32(len(mesh.faces)).astype("<u4").tobytes()
    record = [("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")]
    for some in _pieces(len(mesh.faces)):
        part = replace(mesh, faces=mesh.faces[some])
        normals = face_normals(part)
        length = np.linalg.norm(normals, axis=1, keepdims=True)
        faces = np.zeros(len(part.faces), dtype=record)
        faces["normal"] = normals / np.where(length > 0, length, 1.0)
        faces["corners"] = mesh.vertices[part.faces]
        yield faces.tobytes()


def _pieces(count: int) -> Iterator[slice]:
    """Rows from 0 to `count`, so many at a time that a piece of the file takes a few tens of megabytes to make."""
    return (slice(start, start + _ROWS_AT_ONCE) for start in range(0, count, _ROWS_AT_ONCE))


WRITERS: dict[str, Callable[[Mesh], Iterable[bytes]]] = {
    ".ply": ply_pieces,
    ".obj": obj_pieces,
    ".glb": glb_pieces,
    ".stl": stl_pieces,
}
"""What gives the file of each extension, piece by piece."""

TEXTURED = ".glb"
"""The extension that holds a texture."""
