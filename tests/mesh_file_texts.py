"""A box of 1 x 2 x 3 as text and bytes of every format, written by these lines alone."""

from __future__ import annotations

import json
import struct

import numpy as np

CORNERS = np.array([[x, y, z] for x in (0, 1) for y in (0, 2) for z in (0, 3)], dtype=float)
# Outward quadrilaterals: -x, +x, -y, +y, -z, +z.
SIDES = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])
FACES = np.concatenate([SIDES[:, [0, 1, 2]], SIDES[:, [0, 2, 3]]])

# A U of area 5, seen anticlockwise from +z, and its outline as a prism of height 1 (volume 5, area 22).
U = np.array([[2, 1], [1, 1], [1, 2], [0, 2], [0, 0], [3, 0], [3, 2], [2, 2]], dtype=float)
U_POINTS = np.concatenate([np.column_stack([U, np.full(8, z)]) for z in (0.0, 1.0)])
U_POLYGONS = [list(range(7, -1, -1)), list(range(8, 16)), *([k, (k + 1) % 8, (k + 1) % 8 + 8, k + 8] for k in range(8))]


def obj_vertices(points=CORNERS) -> str:
    return "".join("v {:.17g} {:.17g} {:.17g}\n".format(*point) for point in points)


def obj_faces(form="{0}", faces=FACES) -> str:
    """`form` writes a corner, {0} being its number from 1."""
    return "".join("f " + " ".join(form.format(corner + 1) for corner in face) + "\n" for face in faces)


def glb(document: dict, blob: bytes) -> bytes:
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    blob += bytes(-len(blob) % 4)
    head = struct.pack("<4sII", b"glTF", 2, 28 + len(text) + len(blob))
    return head + struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(blob), b"BIN\0") + blob


class Gltf:
    """A document of one mesh, put together piece by piece."""

    def __init__(self) -> None:
        self.blob = b""
        self.document: dict = {
            "asset": {"version": "2.0"},
            "scene": 0,
            "scenes": [{"nodes": [0]}],
            "nodes": [{"mesh": 0}],
            "meshes": [{"primitives": []}],
            "buffers": [{}],
            "bufferViews": [],
            "accessors": [],
        }

    def view(self, data: bytes, **more) -> int:
        self.document["bufferViews"].append(
            {"buffer": 0, "byteOffset": len(self.blob), "byteLength": len(data), **more}
        )
        self.blob += data + bytes(-len(data) % 4)
        self.document["buffers"][0]["byteLength"] = len(self.blob)
        return len(self.document["bufferViews"]) - 1

    def accessor(self, rows: np.ndarray, *, stride: int | None = None, **more) -> int:
        """Rows of numbers; `stride` is the length of a row in bytes where it is not tight."""
        types = {"b": 5120, "B": 5121, "h": 5122, "H": 5123, "I": 5125, "f": 5126}
        width = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4", 16: "MAT4"}[rows.shape[1] if rows.ndim == 2 else 1]
        data = rows.tobytes()
        if stride is not None:
            data = b"".join(row.tobytes().ljust(stride, b"\xff") for row in rows)
        view = self.view(data, **({} if stride is None else {"byteStride": stride}))
        kind = types[rows.dtype.char]
        self.document["accessors"].append(
            {"bufferView": view, "componentType": kind, "count": len(rows), "type": width, **more}
        )
        return len(self.document["accessors"]) - 1

    def primitive(self, position: int, indices: int | None = None, **more) -> dict:
        primitive = {"attributes": {"POSITION": position}, **({} if indices is None else {"indices": indices}), **more}
        self.document["meshes"][0]["primitives"].append(primitive)
        return primitive

    def write(self, path) -> None:
        if path.suffix == ".gltf":
            self.document["buffers"][0]["uri"] = path.stem + ".bin"
            path.with_suffix(".bin").write_bytes(self.blob)
            path.write_text(json.dumps(self.document))
        else:
            path.write_bytes(glb(self.document, self.blob))
