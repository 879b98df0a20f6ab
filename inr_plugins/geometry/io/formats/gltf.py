"""glTF 2.0 and its binary container GLB: the document, its buffers, and accessors as arrays.

Own code: trimesh leaves normalised whole numbers as they are (units off by 32,767), sparse accessors empty, and reads
compressed buffers as if they were not; open3d does not mirror faces where nodes mirror, and leaves quantised ones out.
"""

from __future__ import annotations

import base64
import json
import struct
import urllib.parse
from pathlib import Path
from typing import Any

import numpy as np

from inr_plugins.errors import InputError

_TYPES = {5120: "i1", 5121: "u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
_JSON, _BIN = 0x4E4F534A, 0x004E4942
# Extensions that change positions or faces and are read; those of materials, lights and notes change neither.
_READ = {"KHR_mesh_quantization", "KHR_texture_transform", "EXT_texture_webp", "KHR_texture_basisu"}
_HARMLESS = ("KHR_materials_", "KHR_lights_", "KHR_xmp", "EXT_lights_", "KHR_animation_pointer", "EXT_texture_")
_COMPRESSED = {
    "KHR_draco_mesh_compression": "Draco",
    "EXT_meshopt_compression": "meshopt",
    "KHR_meshopt_compression": "meshopt",
}


class Document:
    """A glTF document with its buffers.

    Raises:
        InputError: a file cut short, another version, an extension that must be read and is not, or a buffer that is
            missing or too short.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.json, blob = _container(path)
        self._blob = blob
        self._buffers: dict[int, np.ndarray] = {}
        version = str(self.json.get("asset", {}).get("version", ""))
        if not version.startswith("2"):
            raise InputError(f'{path} is glTF of version "{version}"; only 2.0 is read.')
        self._check_extensions()

    def _check_extensions(self) -> None:
        for name in self.json.get("extensionsRequired", []):
            if name in _COMPRESSED:
                raise InputError(
                    f"{self.path} is compressed by {_COMPRESSED[name]} ({name}), which is not read; export it without."
                )
            if name not in _READ and not name.startswith(_HARMLESS):
                raise InputError(f"{self.path} requires the extension {name}, which is not read; export it without.")

    def list(self, name: str) -> list[dict[str, Any]]:
        """The objects of one kind."""
        return self.json.get(name, [])

    def view(self, number: int) -> np.ndarray:
        """The bytes of a buffer view."""
        view = self.list("bufferViews")[number]
        start, length = view.get("byteOffset", 0), view["byteLength"]
        buffer = self._buffer(view["buffer"])
        if start + length > len(buffer):
            raise InputError(f"{self.path} has a buffer of {len(buffer)} bytes, not {start + length}, or is cut short.")
        return buffer[start : start + length]

    def _buffer(self, number: int) -> np.ndarray:
        if number not in self._buffers:
            buffer = self.list("buffers")[number]
            uri = buffer.get("uri")
            if uri is None and (number > 0 or self._blob is None):
                raise InputError(f"{self.path} has a buffer without data, as compressed files have; export it without.")
            data = self._blob if uri is None else self.resource(uri)
            if data is None:
                raise InputError(f"{self.path} names a file {uri} that is not there; put it back beside it.")
            self._buffers[number] = np.frombuffer(data, dtype=np.uint8)
        return self._buffers[number]

    def resource(self, uri: str) -> bytes | None:
        """What an address in the document stands for: data inside it, or a file beside it; None: it is not there."""
        from inr_plugins.geometry.io.formats.pictures import beside

        if uri.startswith("data:"):
            head, _, data = uri.partition(",")
            return base64.b64decode(data) if head.endswith(";base64") else urllib.parse.unquote_to_bytes(data)
        found = beside(self.path, urllib.parse.unquote(uri)) or beside(self.path, uri)
        return None if found is None else found.read_bytes()

    def accessor(self, number: int) -> np.ndarray:
        """An accessor's rows, (count, width): float64 where it is normalised, else in its own type.

        Raises:
            InputError: its view is too short.
        """
        accessor = self.list("accessors")[number]
        dtype, width, count = np.dtype(_TYPES[accessor["componentType"]]), _WIDTHS[accessor["type"]], accessor["count"]
        rows = np.zeros((count, width), dtype=dtype)
        if "bufferView" in accessor:
            rows = self._rows(accessor["bufferView"], accessor.get("byteOffset", 0), count, dtype, width)
        if "sparse" in accessor:
            rows = self._with_sparse(rows, accessor["sparse"])
        if not accessor.get("normalized", False) or dtype.kind == "f":
            return rows
        return np.maximum(rows / float(np.iinfo(dtype).max), -1.0)

    def _rows(self, view: int, offset: int, count: int, dtype: np.dtype, width: int) -> np.ndarray:
        data = self.view(view)
        row = dtype.itemsize * width
        stride = self.list("bufferViews")[view].get("byteStride", row)
        if count and offset + (count - 1) * stride + row > len(data):
            raise InputError(
                f"{self.path} has an accessor of {count} rows that its buffer does not hold; export it again."
            )
        return (
            np.ndarray((count, width), dtype, data, offset, (stride, dtype.itemsize))
            if count
            else np.zeros((0, width), dtype)
        )

    def _with_sparse(self, rows: np.ndarray, sparse: dict[str, Any]) -> np.ndarray:
        rows, count = rows.copy(), sparse["count"]
        where, values = sparse["indices"], sparse["values"]
        kind = np.dtype(_TYPES[where["componentType"]])
        index = self._rows(where["bufferView"], where.get("byteOffset", 0), count, kind, 1)[:, 0]
        rows[index] = self._rows(values["bufferView"], values.get("byteOffset", 0), count, rows.dtype, rows.shape[1])
        return rows


def _container(path: Path) -> tuple[dict[str, Any], bytes | None]:
    """The document, and the binary chunk of a GLB.

    Raises:
        InputError: the file is cut short.
        ValueError: it is no glTF.
    """
    data = path.read_bytes()
    if not data.startswith(b"glTF"):
        return json.loads(data.decode("utf-8-sig")), None
    if len(data) < 20:
        raise InputError(f"{path} cannot be read; it is cut short. Write it again.")
    _, version, total = struct.unpack_from("<4sII", data)
    if version != 2:
        raise InputError(f"{path} cannot be read: it is GLB of version {version}, and only 2 is read.")
    if total > len(data):
        raise InputError(f"{path} has {len(data)} bytes, not {total}: it is cut short; write it again.")
    chunks: dict[int, bytes] = {}
    at = 12
    while at + 8 <= total:
        length, kind = struct.unpack_from("<II", data, at)
        chunks.setdefault(kind, data[at + 8 : at + 8 + length])
        at += 8 + length
    return json.loads(chunks[_JSON]), chunks.get(_BIN)
