"""The surface in a PLY file: polygons or strips over its vertices, with colours and places in a texture."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from inr_plugins.errors import InputError
from inr_plugins.geometry.io.clouds.columns import places_of
from inr_plugins.geometry.io.formats.pictures import beside, load_picture
from inr_plugins.geometry.io.formats.ply import Columns, Header, Lists, read_ply, read_ply_header
from inr_plugins.geometry.io.formats.polygons import strip_triangles, triangulate
from inr_plugins.geometry.io.formats.text_lines import whole
from inr_plugins.geometry.io.mesh_file import MeshFile, Paint, Tell
from inr_plugins.geometry.io.read_checks import counted

_COLOURS = (("red", "green", "blue"), ("r", "g", "b"), ("diffuse_red", "diffuse_green", "diffuse_blue"))
_UV = (("s", "t"), ("u", "v"), ("texture_u", "texture_v"), ("texture_s", "texture_t"))
_CORNERS = ("vertex_indices", "vertex_index")
_STRIPS = "tristrips"


def has_faces(header: Header) -> bool:
    """Whether a PLY file announces a surface: faces, or strips of triangles."""
    return header.count("face") > 0 or header.count(_STRIPS) > 0


def load_ply_mesh(path: Path, *, looks: bool, tell: Tell) -> MeshFile:
    """The faces of a PLY file as triangles, with the colours of vertices or faces.

    Takes 100 bytes a triangle beside the arrays (24 a vertex, 24 a triangle, 24 a colour); text 8 bytes a number more,
    and polygons of differing lengths 200 bytes each.

    Args:
        path: file.
        looks: whether to read the texture and places in it too.
        tell: told what is left out.

    Raises:
        InputError: as `read_ply`; faces without a list of corners; corners of vertices that are not there.
    """
    header = read_ply_header(path)
    elements, rest = read_ply(path, header)
    if rest:
        tell(f"{counted(rest, 'byte')} behind what its header announces left out")
    for element in header.elements:
        if element.name not in ("vertex", "face", _STRIPS, "material") and element.count:
            tell(f'{counted(element.count, "element")} "{element.name}" left out')
    vertex, face = elements.get("vertex", {}), elements.get("face", {})
    vertices = _positions(vertex, path)
    corners, counts = _polygons(face, path) if header.count("face") else (np.zeros(0, dtype=np.int64),) * 2
    _check_range(corners, len(vertices), path)
    if (counts < 3).any():
        tell(f"{counted(int((counts < 3).sum()), 'face')} of fewer than three corners left out")
    triangles, owner = triangulate(vertices, corners, counts)
    faces = corners.reshape(-1, 3) if triangles.size == len(corners) else corners[triangles]
    colours = _as_colours(_stacked(vertex, _COLOURS))
    face_colours = _as_colours(_stacked(face, _COLOURS))
    if header.count(_STRIPS):
        strips = _strips(elements[_STRIPS], path)
        _check_range(strips, len(vertices), path)
        return MeshFile(vertices, np.concatenate([faces, strips]), colours)
    uv = _uv(vertex, face, corners, counts, triangles) if looks else None
    part, paints = _pictures(path, header, face, owner, tell) if uv is not None else (None, (Paint(),))
    return MeshFile(
        vertices, faces, colours, None if face_colours is None else face_colours[owner], uv=uv, part=part, paints=paints
    )


def _positions(vertex: Columns, path: Path) -> np.ndarray:
    single = {name: column for name, column in vertex.items() if isinstance(column, np.ndarray)}
    places = [place for place in places_of(list(single), ("x", "y", "z")) if place is not None]
    if len(places) < 3:
        found = f" but {', '.join(vertex)}" if vertex else ""
        raise InputError(f"{path} has no vertices with x, y and z{found}; write it again.")
    columns = list(single.values())
    return np.stack([columns[place] for place in places], axis=1).astype(np.float64)


def _check_range(corners: np.ndarray, count: int, path: Path) -> None:
    if len(corners) and not 0 <= corners.min() <= corners.max() < count:
        from_one = " (PLY counts from 0)" if corners.min() == 1 and corners.max() == count else ""
        raise InputError(
            f"{path} has faces with corners numbered {corners.min()} to {corners.max()}, but only {count} vertices"
            f"{from_one}; write it again."
        )


def _stacked(columns: Columns, names: tuple[tuple[str, ...], ...]) -> np.ndarray | None:
    """The first of the sets of columns that is there, side by side."""
    for names_of_one in names:
        found = [columns.get(name) for name in names_of_one]
        if all(isinstance(column, np.ndarray) for column in found):
            return np.stack(found, axis=1)  # type: ignore[arg-type]
    return None


def _as_colours(found: np.ndarray | None) -> np.ndarray | None:
    """sRGB in [0, 1]: whole numbers fill their type; numbers of a text, and floats, count to 1 or to 255."""
    if found is None or not len(found):
        return None
    if found.dtype.kind in "iu":
        return found / float(np.iinfo(found.dtype).max)
    return np.clip(found / (255.0 if found.max() > 1 else 1.0), 0, 1)


def _list(columns: Columns, names: tuple[str, ...]) -> Lists | None:
    small = {name.lower(): column for name, column in columns.items()}
    return next((column for name in names if isinstance(column := small.get(name), Lists)), None)


def _polygons(face: Columns, path: Path) -> tuple[np.ndarray, np.ndarray]:
    lists = _list(face, _CORNERS)
    if lists is None:
        found = f" but {', '.join(face)}" if face else ""
        raise InputError(f"{path} has faces without a list vertex_indices of their corners{found}; write it again.")
    return whole(lists.values), lists.counts


def _strips(columns: Columns, path: Path) -> np.ndarray:
    lists = _list(columns, _CORNERS)
    if lists is None:
        raise InputError(f"{path} has strips of triangles without a list vertex_indices; write it again.")
    # A number below 0 ends a strip, as the end of a list does.
    ends = np.cumsum(lists.counts)
    return strip_triangles(np.insert(whole(lists.values), ends, -1))


def _uv(
    vertex: Columns, face: Columns, corners: np.ndarray, counts: np.ndarray, triangles: np.ndarray
) -> np.ndarray | None:
    """Where each corner of a triangle lies in the texture: given with the faces, or with the vertices."""
    lists = _list(face, ("texcoord",))
    if lists is not None:
        fits = lists.counts == 2 * counts
        uv = np.full((len(corners), 2), np.nan, dtype=np.float32)
        uv[np.repeat(fits, counts)] = lists.values[np.repeat(fits, lists.counts)].reshape(-1, 2)
        return uv[triangles]
    by_vertex = _stacked(vertex, _UV)
    return None if by_vertex is None else by_vertex.astype(np.float32)[corners[triangles]]


def _pictures(
    path: Path, header: Header, face: Columns, owner: np.ndarray, tell: Tell
) -> tuple[np.ndarray | None, tuple[Paint, ...]]:
    """The pictures that comments name, and which of them each face has."""
    words = [comment.partition(" ") for comment in header.comments]
    paints = []
    for name in [rest.strip() for word, _, rest in words if word.lower() == "texturefile"]:
        found = beside(path, name)
        if found is None:
            tell(f"picture {name} is missing, drawn without it")
        paints.append(Paint(picture=None if found is None else load_picture(found, name, tell)))
    number = face.get("texnumber")
    if not isinstance(number, np.ndarray) or len(paints) < 2:
        return None, tuple((paints or [Paint()])[:1])
    return np.clip(number.astype(np.int64), 0, len(paints) - 1)[owner], tuple(paints)
