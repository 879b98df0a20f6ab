"""The binary glTF 2.0 container (GLB) of one mesh with vertex normals and colours.

glTF wants COLOR_0 as *linear* light (specification 2.0, section 3.7.2.1), while images, fields, PLY and OBJ hold
sRGB; writing the same numbers shows washed-out colours in a conforming viewer. So colours are made linear here, and
kept in float32 because eight bits of linear light are too few in the dark. The material is unlit
(KHR_materials_unlit): the colours already contain the scene's light.
"""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
from jaxtyping import Float

from inr_plugins.geometry.mesh import Mesh

_FLOAT, _UINT32 = 5126, 5125
_VERTEX_BUFFER, _INDEX_BUFFER = 34962, 34963


def linear_from_srgb(colour: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Linear light in [0, 1] of sRGB values in [0, 1] (IEC 61966-2-1)."""
    return np.where(colour <= 0.04045, colour / 12.92, ((np.maximum(colour, 0.04045) + 0.055) / 1.055) ** 2.4)


def encode_glb(mesh: Mesh) -> bytes:
    """The GLB file. Positions are float32 and unchanged: glTF's +y up is not imposed on them."""
    buffers = _Buffers()
    attributes = {"POSITION": buffers.add(mesh.vertices.astype("<f4"), target=_VERTEX_BUFFER, bounded=True)}
    if mesh.normals is not None:
        attributes["NORMAL"] = buffers.add(mesh.normals.astype("<f4"), target=_VERTEX_BUFFER)
    if mesh.colours is not None:
        colours = linear_from_srgb(np.clip(mesh.colours, 0.0, 1.0)).astype("<f4")
        attributes["COLOR_0"] = buffers.add(colours, target=_VERTEX_BUFFER)
    indices = buffers.add(mesh.faces.astype("<u4").reshape(-1), target=_INDEX_BUFFER)
    blob = b"".join(buffers.data)
    document = {
        "asset": {"version": "2.0", "generator": "inr-plugins"},
        "extensionsUsed": ["KHR_materials_unlit"],
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": attributes, "indices": indices, "material": 0}]}],
        "materials": [
            {
                "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 1.0},
                "extensions": {"KHR_materials_unlit": {}},
            }
        ],
        "buffers": [{"byteLength": len(blob)}],
        "bufferViews": buffers.views,
        "accessors": buffers.accessors,
    }
    return _container(json.dumps(document).encode(), blob)


class _Buffers:
    """Arrays laid one after the other in the binary chunk, each with its view and accessor."""

    def __init__(self) -> None:
        self.data: list[bytes] = []
        self.views: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []
        self._length = 0

    def add(self, array: np.ndarray, *, target: int, bounded: bool = False) -> int:
        """Append rows of float32 triples, or uint32 scalars; returns the accessor's number."""
        accessor: dict[str, Any] = {
            "bufferView": len(self.views),
            "componentType": _FLOAT if array.dtype.kind == "f" else _UINT32,
            "count": len(array),
            "type": "VEC3" if array.ndim == 2 else "SCALAR",
        }
        if bounded:
            accessor |= {"min": array.min(axis=0).tolist(), "max": array.max(axis=0).tolist()}
        # Every element is a multiple of four bytes, so each view starts aligned as glTF demands.
        view = {"buffer": 0, "byteOffset": self._length, "byteLength": array.nbytes, "target": target}
        self.data.append(array.tobytes())
        self._length += array.nbytes
        self.views.append(view)
        self.accessors.append(accessor)
        return len(self.accessors) - 1


def _container(document: bytes, blob: bytes) -> bytes:
    document += b" " * (-len(document) % 4)
    total = 12 + 8 + len(document) + 8 + len(blob)
    return b"".join(
        [
            struct.pack("<4sII", b"glTF", 2, total),
            struct.pack("<I4s", len(document), b"JSON"),
            document,
            struct.pack("<I4s", len(blob), b"BIN\0"),
            blob,
        ]
    )
