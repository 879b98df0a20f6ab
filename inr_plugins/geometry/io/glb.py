"""The binary glTF 2.0 container (GLB) of one mesh with vertex normals, and with vertex colours or a texture.

glTF wants COLOR_0 as *linear* light (specification 2.0, section 3.7.2.1), while images, fields, PLY and OBJ hold
sRGB; writing the same numbers shows washed-out colours in a conforming viewer. So colours are made linear here, and
kept in float32 because eight bits of linear light are too few in the dark. The material is unlit
(KHR_materials_unlit): the colours already contain the scene's light.
"""

from __future__ import annotations

import io
import json
import struct
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from inr_plugins.geometry.appearance.texture import TexturedMesh
from inr_plugins.geometry.io.rounding import near_origin
from inr_plugins.geometry.mesh import Mesh
from inr_plugins.geometry.srgb import linear_from_srgb

_FLOAT, _UINT32 = 5126, 5125
_VERTEX_BUFFER, _INDEX_BUFFER = 34962, 34963
# Linear magnification, mipmaps, and no wrapping from one border of the image to the other.
_SAMPLER = {"magFilter": 9729, "minFilter": 9987, "wrapS": 33071, "wrapT": 33071}


def glb_pieces(mesh: Mesh) -> list[bytes]:
    """The GLB file, in pieces. Positions are unchanged: glTF's +y up is not imposed on them.

    They are float32. Far from the origin, where that would round them to a lattice, they are counted from a place among
    them, and the node is moved there.
    """
    buffers = _Buffers()
    place = near_origin(mesh.vertices)
    attributes = _shape(buffers, mesh, place)
    if mesh.colours is not None:
        colours = linear_from_srgb(np.clip(mesh.colours, 0.0, 1.0)).astype("<f4")
        attributes["COLOR_0"] = buffers.add(colours, target=_VERTEX_BUFFER)
    indices = buffers.add(mesh.faces.astype("<u4").reshape(-1), target=_INDEX_BUFFER)
    return _document(buffers, attributes, indices, place)


def textured_glb_pieces(textured: TexturedMesh) -> list[bytes]:
    """The GLB file in pieces, the texture as a PNG inside. Vertex colours are left out: glTF would multiply by them.

    glTF's texture coordinates start at the image's top left corner and v runs down, as those of `TexturedMesh` do. Its
    baseColorTexture holds sRGB, so the image goes in as it is.
    """
    buffers = _Buffers()
    place = near_origin(textured.mesh.vertices)
    attributes = _shape(buffers, textured.mesh, place)
    attributes["TEXCOORD_0"] = buffers.add(textured.uv.astype("<f4"), target=_VERTEX_BUFFER)
    indices = buffers.add(textured.mesh.faces.astype("<u4").reshape(-1), target=_INDEX_BUFFER)
    return _document(buffers, attributes, indices, place, image=buffers.add_bytes(_png(textured.image)))


def _shape(buffers: _Buffers, mesh: Mesh, place: Float[np.ndarray, " 3"]) -> dict[str, int]:
    positions = (mesh.vertices - place if place.any() else mesh.vertices).astype("<f4")
    attributes = {"POSITION": buffers.add(positions, target=_VERTEX_BUFFER, bounded=True)}
    if mesh.normals is not None:
        attributes["NORMAL"] = buffers.add(mesh.normals.astype("<f4"), target=_VERTEX_BUFFER)
    return attributes


def _png(image: UInt8[np.ndarray, "h w 3"]) -> bytes:
    from PIL import Image

    data = io.BytesIO()
    Image.fromarray(image).save(data, format="PNG")
    return data.getvalue()


def _document(
    buffers: _Buffers,
    attributes: dict[str, int],
    indices: int,
    place: Float[np.ndarray, " 3"],
    *,
    image: int | None = None,
) -> list[bytes]:
    """The file of one mesh at `place`; `image` is the number of the buffer view that holds its texture."""
    material: dict[str, Any] = {
        "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 1.0},
        "extensions": {"KHR_materials_unlit": {}},
    }
    document = {
        "asset": {"version": "2.0", "generator": "inr-plugins"},
        "extensionsUsed": ["KHR_materials_unlit"],
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "translation": place.tolist()} if place.any() else {"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": attributes, "indices": indices, "material": 0}]}],
        "materials": [material],
        "buffers": [{"byteLength": buffers.length}],
        "bufferViews": buffers.views,
        "accessors": buffers.accessors,
    }
    if image is not None:
        material["pbrMetallicRoughness"]["baseColorTexture"] = {"index": 0}
        document["textures"] = [{"source": 0, "sampler": 0}]
        document["images"] = [{"bufferView": image, "mimeType": "image/png"}]
        document["samplers"] = [_SAMPLER]
    return _container(json.dumps(document).encode(), buffers)


class _Buffers:
    """Arrays laid one after the other in the binary chunk, each with its view and accessor."""

    def __init__(self) -> None:
        self.data: list[bytes] = []
        self.views: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []
        self.length = 0

    def add(self, array: np.ndarray, *, target: int, bounded: bool = False) -> int:
        """Append rows of two or three float32, or uint32 scalars; returns the accessor's number."""
        accessor: dict[str, Any] = {
            "bufferView": len(self.views),
            "componentType": _FLOAT if array.dtype.kind == "f" else _UINT32,
            "count": len(array),
            "type": f"VEC{array.shape[1]}" if array.ndim == 2 else "SCALAR",
        }
        if bounded:
            accessor |= {"min": array.min(axis=0).tolist(), "max": array.max(axis=0).tolist()}
        self.add_bytes(array.tobytes(), target=target)
        self.accessors.append(accessor)
        return len(self.accessors) - 1

    def add_bytes(self, data: bytes, *, target: int | None = None) -> int:
        """Append a view of any bytes; returns its number."""
        view = {"buffer": 0, "byteOffset": self.length, "byteLength": len(data)}
        self.views.append(view if target is None else view | {"target": target})
        # glTF wants every view to start at a multiple of four bytes.
        self.data.append(data + bytes(-len(data) % 4) if len(data) % 4 else data)
        self.length += len(self.data[-1])
        return len(self.views) - 1


def _container(document: bytes, buffers: _Buffers) -> list[bytes]:
    document += b" " * (-len(document) % 4)
    total = 12 + 8 + len(document) + 8 + buffers.length
    return [
        struct.pack("<4sII", b"glTF", 2, total),
        struct.pack("<I4s", len(document), b"JSON"),
        document,
        struct.pack("<I4s", buffers.length, b"BIN\0"),
        *buffers.data,
    ]
