"""Wavefront OBJ: positions, polygons, and the materials and places in a texture that go with them.

Own code: trimesh resolves negative indices against the end of the file and fails on comments; open3d reads
float32, so that a mesh far from the origin collapses; neither says what it leaves out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from inr_plugins.errors import InputError
from inr_plugins.geometry.io.formats.mtl import read_paints
from inr_plugins.geometry.io.formats.polygons import triangulate
from inr_plugins.geometry.io.formats.text_lines import Block, blocks_of_lines, numbers, table, tokens_in_lines, whole
from inr_plugins.geometry.io.mesh_file import MeshFile, Paint, Tell
from inr_plugins.geometry.io.read_checks import counted

_UNUSED = {"g", "o", "s", "vn", "vp", "mg", "usemap", "maplib", "bevel", "c_interp", "d_interp", "lod"}
_FREE_FORM = {"cstype", "curv", "curv2", "surf", "deg", "parm", "trim", "hole", "bmat", "step", "con", "sp", "end"}
_FREE_FORMS = ("statement of curves and surfaces", "statements of curves and surfaces")
_ELEMENTS = {"l": ("line", "lines"), "p": ("point", "points")}
_UNKNOWN = ("statement of unknown kind", "statements of unknown kind")


def load_obj(path: Path, *, looks: bool, tell: Tell) -> MeshFile:
    """The file's polygons as triangles.

    Positions keep all their digits. Indices may be negative, counted back from where they stand. A part is what has one
    material; groups and objects make no parts. Normals, lines and free forms are left out.

    Beside the file's arrays (24 bytes a vertex, 24 a triangle) reading takes 100 bytes a triangle, and 100 MB for the
    block of text in hand.

    Args:
        path: file.
        looks: whether to read materials, pictures and places in them too.
        tell: told what is left out.

    Raises:
        InputError: an index of 0, or of a vertex that is not there.
        ValueError: a word that is no number, or a vertex of other than 3, 4, 6 or 7 numbers.
    """
    file = _Statements(path, looks)
    for text in blocks_of_lines(path, continued=True):
        file.add(Block(text))
    file.tell_unused(tell)
    return file.mesh(tell)


@dataclass
class _Statements:
    """What was read so far, in the order of the file."""

    path: Path
    looks: bool
    vertices: list[np.ndarray] = field(default_factory=list)
    colours: list[np.ndarray] = field(default_factory=list)
    uv: list[np.ndarray] = field(default_factory=list)
    corners: list[np.ndarray] = field(default_factory=list)
    uv_corners: list[np.ndarray] = field(default_factory=list)
    counts: list[np.ndarray] = field(default_factory=list)
    materials: list[tuple[int, str]] = field(default_factory=list)
    libraries: list[str] = field(default_factory=list)
    unused: dict[tuple[str, str], int] = field(default_factory=dict)
    num_vertices: int = 0
    num_uv: int = 0
    num_faces: int = 0

    def add(self, block: Block) -> None:
        """Read a block."""
        vertex, uv, face = block.begins(b"v"), block.begins(b"vt"), block.begins(b"f")
        seen = np.cumsum(vertex) + self.num_vertices, np.cumsum(uv) + self.num_uv, np.cumsum(face) + self.num_faces
        if vertex.any():
            self._add_vertices(block.take(vertex, without=1))
        if uv.any() and self.looks:
            self._add_uv(block.take(uv, without=2))
        if face.any():
            self._add_faces(block.take(face, without=1), seen[0][face], seen[1][face])
        self.num_vertices, self.num_uv, self.num_faces = (int(count[-1]) for count in seen)
        self._add_others(block, ~(vertex | uv | face), seen[2])

    def _add_vertices(self, text: bytes) -> None:
        values, counts = table(text)
        odd = counts[~np.isin(counts, (3, 4, 6, 7))]
        if len(odd):
            raise ValueError(f"a vertex of {odd[0]} numbers")
        start = np.cumsum(counts) - counts
        same = len(set(counts.tolist()) if len(counts) < 9 else np.unique(counts)) == 1
        rows = values.reshape(-1, counts[0]) if same else None
        self.vertices.append(rows[:, :3] if rows is not None else values[start[:, None] + np.arange(3)])
        coloured = counts >= 6
        colours = np.full((len(counts), 3), np.nan) if coloured.any() or self.colours else np.zeros((0, 3))
        if coloured.any():
            colours[coloured] = values[(start + counts - 3)[coloured][:, None] + np.arange(3)]
            missing = sum(map(len, self.vertices[:-1])) - sum(map(len, self.colours))
            self.colours.append(np.full((missing, 3), np.nan))
        if len(colours):
            self.colours.append(colours)

    def _add_uv(self, text: bytes) -> None:
        values, counts = table(text)
        start = np.cumsum(counts) - counts
        uv = np.zeros((len(counts), 2), dtype=np.float32)
        uv[:, 0] = values[start]
        uv[counts > 1, 1] = values[start[counts > 1] + 1]
        self.uv.append(uv)

    def _add_faces(self, text: bytes, vertices: np.ndarray, uv: np.ndarray) -> None:
        """`vertices` and `uv`: how many stood before each face, for indices that count back."""
        counts = tokens_in_lines(text)
        corner, corner_uv = _corners(text.replace(b"\t", b" "), int(counts.sum()), with_uv=self.looks)
        if (corner == 0).any():
            raise InputError(f"{self.path} has a face with a corner numbered 0; OBJ counts from 1. Write it again.")
        self.corners.append(_absolute(corner, np.repeat(vertices, counts)))
        if len(self.corners[-1]) and self.corners[-1].min() < 0:
            raise InputError(f"{self.path} has a face that counts back to before the first vertex; write it again.")
        if corner_uv is not None:
            self.uv_corners.append(_absolute(corner_uv, np.repeat(uv, counts)))
        self.counts.append(counts)

    def _add_others(self, block: Block, lines: np.ndarray, faces: np.ndarray) -> None:
        """The lines of other keywords, most of which say nothing about the surface."""
        letters = block.bytes[block.starts]
        seconds = block.bytes[np.minimum(block.starts + 1, block.ends)]
        normals = (letters == ord("v")) & (seconds == ord("n"))
        lines = lines & ~normals & ~np.isin(letters, np.frombuffer(b"#\ngos", dtype=np.uint8))
        for k in np.flatnonzero(lines):
            keyword, _, rest = block.line(int(k)).partition(" ")
            keyword = keyword.lower()
            if keyword == "usemtl":
                self.materials.append((int(faces[k]), rest.strip()))
            elif keyword == "mtllib":
                self.libraries.append(rest.strip())
            elif keyword not in _UNUSED:
                kind = _FREE_FORMS if keyword in _FREE_FORM else _ELEMENTS.get(keyword, _UNKNOWN)
                self.unused[kind] = self.unused.get(kind, 0) + 1

    def tell_unused(self, tell: Tell) -> None:
        """Name what was left out."""
        for kind, count in self.unused.items():
            tell(f"{counted(count, *kind)} left out")

    def mesh(self, tell: Tell) -> MeshFile:
        """All of it as triangles."""
        vertices = np.concatenate(self.vertices) if self.vertices else np.zeros((0, 3))
        corners = np.concatenate(self.corners) if self.corners else np.zeros(0, dtype=np.int64)
        counts = np.concatenate(self.counts) if self.counts else np.zeros(0, dtype=np.int64)
        self.corners.clear()
        if len(corners) and corners.max() >= len(vertices):
            raise InputError(
                f"{self.path} has faces with corners numbered up to {corners.max() + 1}, but only {len(vertices)} "
                "vertices; write it again."
            )
        if (counts < 3).any():
            tell(f"{counted(int((counts < 3).sum()), 'face')} of fewer than three corners left out")
        triangles, owner = triangulate(vertices, corners, counts)
        faces = corners.reshape(-1, 3) if triangles.size == len(corners) else corners[triangles]
        colours = self._all_colours(len(vertices), tell)
        if not self.looks:
            return MeshFile(vertices, faces, colours)
        part, paints = self._parts(owner, colours is not None, tell)
        return MeshFile(vertices, faces, colours, uv=self._uv(triangles, tell), part=part, paints=paints)

    def _all_colours(self, count: int, tell: Tell) -> np.ndarray | None:
        if not self.colours:
            return None
        colours = np.full((count, 3), np.nan)
        known = np.concatenate(self.colours)
        colours[: len(known)] = known
        if np.nanmax(colours, initial=0) > 1:  # some writers count to 255
            colours /= 255.0
        if np.isnan(colours).any():
            bare = int(np.isnan(colours).any(axis=1).sum())
            tell(f"{counted(bare, 'vertex', 'vertices')} without the colour that others have")
        return np.clip(colours, 0, 1)

    def _parts(self, owner: np.ndarray, coloured: bool, tell: Tell) -> tuple[np.ndarray, tuple[Paint, ...]]:
        names = list(dict.fromkeys(["", *(name for _, name in self.materials)]))
        begins = np.array([0, *(face for face, _ in self.materials), self.num_faces])
        number = np.array([0, *(names.index(name) for _, name in self.materials)])
        part = np.repeat(number, np.diff(begins))[owner]
        used = [names[k] for k in np.unique(part)]
        paints = read_paints(self.path, self.libraries, [name for name in used if name], tell)
        # Writers of vertex colours put materials of one colour beside them that mean nothing.
        found = [paints.get(name, Paint()) for name in names]
        return part, tuple(Paint() if coloured and paint.picture is None else paint for paint in found)

    def _uv(self, triangles: np.ndarray, tell: Tell) -> np.ndarray | None:
        if not self.uv or not self.uv_corners:
            return None
        uv, corner = np.concatenate(self.uv), np.concatenate(self.uv_corners)
        lost = corner >= len(uv)
        if lost.any():
            tell(f"{counted(int(lost.sum()), 'corner')} without the place in the texture that they name")
        return np.where((lost | (corner < 0))[:, None], np.float32(np.nan), uv[np.where(lost, 0, corner)])[triangles]


def _absolute(index: np.ndarray, before: np.ndarray) -> np.ndarray:
    """From 1-based indices, or negative ones that count back, to 0-based ones; -1 stays what 0 was."""
    return np.where(index < 0, before + index, index - 1)


def _corners(text: bytes, count: int, *, with_uv: bool) -> tuple[np.ndarray, np.ndarray | None]:
    """The index of the vertex of each corner, v, v/vt, v//vn or v/vt/vn, and of its place in the texture (0: none)."""
    if b"/" not in text:
        index = whole(numbers(text, count))
        return index, np.zeros_like(index) if with_uv else None
    text = re.sub(rb" *\n", b"\n", text).replace(b"//", b"/0/").replace(b"/ ", b"/0 ").replace(b"/\n", b"/0\n")
    letters = np.frombuffer(text, dtype=np.uint8)
    space = letters <= 32
    begins = np.flatnonzero(~space & np.concatenate([[True], space[:-1]]))
    slashes = np.add.reduceat((letters == ord("/")).astype(np.int64), begins) if len(begins) else np.zeros(0, int)
    values = whole(numbers(text.replace(b"/", b" "), int(slashes.sum()) + count))
    first = np.cumsum(slashes + 1) - slashes - 1
    if not with_uv:
        return values[first], None
    return values[first], np.where(slashes > 0, values[np.minimum(first + 1, len(values) - 1)], 0)
