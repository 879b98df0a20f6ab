"""The surface in a glTF scene: every primitive of triangles, where its node puts it, as its skin bends it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from inr_plugins.errors import InputError
from inr_plugins.geometry.io.formats.gltf import Document
from inr_plugins.geometry.io.formats.gltf_paint import Paints, uv_of
from inr_plugins.geometry.io.formats.polygons import strip_triangles
from inr_plugins.geometry.io.mesh_file import MeshFile, Tell
from inr_plugins.geometry.io.read_checks import counted
from inr_plugins.geometry.srgb import srgb_from_linear

_POINTS_AND_LINES = range(4)
_TRIANGLES, _STRIP, _FAN = 4, 5, 6


def load_gltf(path: Path, *, looks: bool, tell: Tell) -> MeshFile:
    """The triangles of the file's scene, in the scene's frame (metres, y up, by the format's own word).

    Skins and morphs are taken as they stand at rest; animations, points and lines are left out. Vertex colours, linear
    in the file, become sRGB. A part is what has one material. Takes the file, and 100 bytes a triangle, beside the
    arrays.

    Args:
        path: file.
        looks: whether to read materials, pictures and places in them too.
        tell: told what is left out.

    Raises:
        InputError: as `Document`; faces of vertices that are not there.
    """
    document = Document(path)
    reader = _Reader(document, looks, tell)
    for node, matrix in _placed(document):
        if "mesh" in node:
            reader.add(node, matrix)
    reader.tell_unused()
    for name, one in (("scenes", "other scene"), ("animations", "animation")):
        more = len(document.list(name)) - (name == "scenes")
        if more > 0:
            tell(f"{counted(more, one)} left out")
    placed = {node["mesh"] for node, _ in _placed(document) if "mesh" in node}
    if loose := len(document.list("meshes")) - len(placed):
        tell(f"{counted(loose, 'mesh', 'meshes')} that the scene has no place for left out")
    return reader.mesh()


def _placed(document: Document) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
    """The nodes of the scene, each with the matrix that puts it there."""
    nodes, scenes = document.list("nodes"), document.list("scenes")
    children = {child for node in nodes for child in node.get("children", [])}
    roots = [k for k in range(len(nodes)) if k not in children]
    if scenes:
        roots = scenes[document.json.get("scene", 0)].get("nodes", [])
    left: list[tuple[int, np.ndarray, tuple[int, ...]]] = [(k, np.eye(4), ()) for k in reversed(roots)]
    while left:
        number, above, path = left.pop()
        if number in path:
            raise InputError(f"{document.path} has a node that is its own child; export it again.")
        matrix = above @ _own_matrix(nodes[number])
        yield nodes[number], matrix
        left += [(child, matrix, (*path, number)) for child in reversed(nodes[number].get("children", []))]


def _own_matrix(node: dict[str, Any]) -> np.ndarray:
    if "matrix" in node:
        return np.array(node["matrix"], dtype=np.float64).reshape(4, 4).T
    x, y, z, w = np.array(node.get("rotation", (0, 0, 0, 1)), dtype=np.float64)
    turn = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    matrix = np.eye(4)
    matrix[:3, :3] = turn * np.array(node.get("scale", (1, 1, 1)), dtype=np.float64)
    matrix[:3, 3] = node.get("translation", (0, 0, 0))
    return matrix


class _Reader:
    """The primitives read so far."""

    def __init__(self, document: Document, looks: bool, tell: Tell) -> None:
        self.document, self.looks, self.tell = document, looks, tell
        self.vertices: list[np.ndarray] = []
        self.faces: list[np.ndarray] = []
        self.colours: list[np.ndarray | None] = []
        self.uv: list[np.ndarray | None] = []
        self.materials: list[int] = []
        self.unused = 0
        self.instanced = 0
        self.paints = Paints(document, tell) if looks else None
        self._globals: dict[int, np.ndarray] | None = None

    def add(self, node: dict[str, Any], matrix: np.ndarray) -> None:
        """Take the primitives of a node's mesh."""
        self.instanced += "EXT_mesh_gpu_instancing" in node.get("extensions", {})
        mesh = self.document.list("meshes")[node["mesh"]]
        weights = node.get("weights", mesh.get("weights", []))
        for primitive in mesh["primitives"]:
            mode = primitive.get("mode", _TRIANGLES)
            if mode in _POINTS_AND_LINES or "POSITION" not in primitive["attributes"]:
                self.unused += 1
                continue
            self._check_compressed(primitive)
            position = self._positions(primitive, weights)
            faces = self._triangles(primitive, mode, len(position))
            if "skin" in node and "JOINTS_0" in primitive["attributes"]:
                matrices = self._skin(primitive["attributes"], self.document.list("skins")[node["skin"]])
                position = np.einsum("vij,vj->vi", matrices[:, :3, :3], position) + matrices[:, :3, 3]
            else:
                position = position @ matrix[:3, :3].T + matrix[:3, 3]
                faces = faces[:, ::-1] if np.linalg.det(matrix[:3, :3]) < 0 else faces
            self.vertices.append(position)
            self.faces.append(faces)
            self._add_looks(primitive, faces)

    def _check_compressed(self, primitive: dict[str, Any]) -> None:
        accessor = self.document.list("accessors")[primitive["attributes"]["POSITION"]]
        if "bufferView" not in accessor and "sparse" not in accessor:
            kinds = ", ".join(primitive.get("extensions", {})) or "an extension"
            raise InputError(
                f"{self.document.path} keeps its positions in {kinds}, which is not read; export it without."
            )

    def _positions(self, primitive: dict[str, Any], weights: list[float]) -> np.ndarray:
        position = self.document.accessor(primitive["attributes"]["POSITION"]).astype(np.float64)
        for weight, target in zip(weights, primitive.get("targets", []), strict=False):
            if weight and "POSITION" in target:
                position = position + weight * self.document.accessor(target["POSITION"])
        return position

    def _triangles(self, primitive: dict[str, Any], mode: int, count: int) -> np.ndarray:
        if "indices" in primitive:
            index = self.document.accessor(primitive["indices"])[:, 0].astype(np.int64)
        else:
            index = np.arange(count, dtype=np.int64)
        if len(index) and index.max() >= count:
            raise InputError(
                f"{self.document.path} has faces with corners numbered up to {index.max()}, but only {count} vertices; "
                "export it again."
            )
        if mode == _STRIP:
            return strip_triangles(index)
        if mode == _FAN:
            return np.stack([np.full(max(len(index) - 2, 0), index[:1].sum()), index[1:-1], index[2:]], axis=1)
        if len(index) % 3:
            self.tell(f"{counted(len(index) % 3, 'corner')} too many for triangles left out")
        return index[: len(index) // 3 * 3].reshape(-1, 3)

    def _skin(self, attributes: dict[str, int], skin: dict[str, Any]) -> np.ndarray:
        """The matrix of each vertex: the weighted mean of its joints'; its node has no say (glTF 2.0, 3.7.3.3)."""
        if self._globals is None:
            numbers = {id(node): k for k, node in enumerate(self.document.list("nodes"))}
            self._globals = {numbers[id(node)]: matrix for node, matrix in _placed(self.document)}
        joints = np.stack([self._globals.get(joint, np.eye(4)) for joint in skin["joints"]])
        if "inverseBindMatrices" in skin:
            inverse = self.document.accessor(skin["inverseBindMatrices"]).astype(np.float64)
            joints = joints @ inverse[: len(joints)].reshape(-1, 4, 4).transpose(0, 2, 1)
        total, k = 0.0, 0
        while f"JOINTS_{k}" in attributes:
            joint = self.document.accessor(attributes[f"JOINTS_{k}"]).astype(np.int64)
            weight = self.document.accessor(attributes[f"WEIGHTS_{k}"]).astype(np.float64)
            for corner in range(4):
                total = total + weight[:, corner, None, None] * joints[joint[:, corner]]
            k += 1
        return np.asarray(total)

    def _add_looks(self, primitive: dict[str, Any], faces: np.ndarray) -> None:
        attributes = primitive["attributes"]
        colours = None
        if "COLOR_0" in attributes:
            light = self.document.accessor(attributes["COLOR_0"])[:, :3].astype(np.float64)
            colours = srgb_from_linear(light)
        self.colours.append(colours)
        self.materials.append(primitive.get("material", -1))
        uv = uv_of(self.document, primitive) if self.looks else None
        self.uv.append(None if uv is None else uv[faces])

    def tell_unused(self) -> None:
        """Name what was left out."""
        if self.unused:
            self.tell(f"{counted(self.unused, 'primitive')} of points or lines left out")
        if self.instanced:
            self.tell("copies by EXT_mesh_gpu_instancing left out, each of their meshes stands there once")

    def mesh(self) -> MeshFile:
        """All primitives as one list of triangles."""
        start = np.cumsum([0, *(len(each) for each in self.vertices)])
        lengths = [len(each) for each in self.faces]
        vertices = np.concatenate([np.zeros((0, 3)), *self.vertices])
        faces = np.concatenate(
            [np.zeros((0, 3), dtype=np.int64), *(each + first for each, first in zip(self.faces, start, strict=False))]
        )
        colours = _filled(self.colours, [(len(each), 3) for each in self.vertices])
        if self.paints is None:
            return MeshFile(vertices, faces, colours)
        uv = _filled(self.uv, [(length, 3, 2) for length in lengths])
        part = np.repeat(np.array(self.materials, dtype=np.int64) + 1, lengths)
        return MeshFile(vertices, faces, colours, uv=uv, part=part, paints=self.paints.of(set(self.materials)))


def _filled(arrays: list[np.ndarray | None], shapes: list[tuple[int, ...]]) -> np.ndarray | None:
    """The arrays one after the other, NaN for those that are missing; None: all are."""
    if all(each is None for each in arrays):
        return None
    pairs = zip(arrays, shapes, strict=True)
    return np.concatenate([np.full(shape, np.nan) if each is None else each for each, shape in pairs])
