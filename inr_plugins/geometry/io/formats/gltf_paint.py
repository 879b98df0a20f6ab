"""Materials of glTF: base colours and their pictures."""

from __future__ import annotations

from typing import Any

import numpy as np

from inr_plugins.geometry.io.formats.gltf import Document
from inr_plugins.geometry.io.formats.pictures import load_picture
from inr_plugins.geometry.io.mesh_file import Paint, Tell


def _base(material: dict[str, Any]) -> tuple[list[float], dict[str, Any] | None]:
    """The linear factor of the base colour, and its texture: metallic-roughness, or the older specular-glossiness."""
    old = material.get("extensions", {}).get("KHR_materials_pbrSpecularGlossiness")
    if old is not None and "pbrMetallicRoughness" not in material:
        return old.get("diffuseFactor", [1, 1, 1, 1]), old.get("diffuseTexture")
    found = material.get("pbrMetallicRoughness", {})
    return found.get("baseColorFactor", [1, 1, 1, 1]), found.get("baseColorTexture")


def uv_of(document: Document, primitive: dict[str, Any]) -> np.ndarray | None:
    """Where each vertex lies in the base colour's picture, v pointing up (glTF's runs down); None: nowhere.

    KHR_texture_transform: scaled, then turned, then moved.
    """
    if "material" not in primitive:
        return None
    _, texture = _base(document.list("materials")[primitive["material"]])
    if texture is None:
        return None
    moved = texture.get("extensions", {}).get("KHR_texture_transform", {})
    name = f"TEXCOORD_{moved.get('texCoord', texture.get('texCoord', 0))}"
    if name not in primitive["attributes"]:
        return None
    uv = document.accessor(primitive["attributes"][name]).astype(np.float64) * moved.get("scale", (1, 1))
    cos, sin = np.cos(moved.get("rotation", 0)), np.sin(moved.get("rotation", 0))
    uv = uv @ np.array([[cos, sin], [-sin, cos]]).T + moved.get("offset", (0, 0))
    return np.stack([uv[:, 0], 1 - uv[:, 1]], axis=1).astype(np.float32)


class Paints:
    """The paints of a document, each picture read once."""

    def __init__(self, document: Document, tell: Tell) -> None:
        self.document, self.tell = document, tell
        self._pictures: dict[int, np.ndarray | None] = {}

    def of(self, used: set[int]) -> tuple[Paint, ...]:
        """Paint of no material, then of each in order; those that are not used stay plain."""
        materials = self.document.list("materials")
        return (Paint(), *(self._paint(each) if k in used else Paint() for k, each in enumerate(materials)))

    def _paint(self, material: dict[str, Any]) -> Paint:
        factor, texture = _base(material)
        picture = None if texture is None else self._picture(texture["index"])
        r, g, b = (float(value) for value in factor[:3])
        return Paint((r, g, b), picture, covers=False)

    def _picture(self, number: int) -> np.ndarray | None:
        texture = self.document.list("textures")[number]
        source = texture.get("source")
        for extension in texture.get("extensions", {}).values():
            # WebP, beside or in place of a picture that everyone reads.
            source = extension.get("source", source) if source is None else source
        if source is None:
            return None
        if source not in self._pictures:
            self._pictures[source] = self._load(source)
        return self._pictures[source]

    def _load(self, number: int) -> np.ndarray | None:
        image = self.document.list("images")[number]
        name = image.get("name") or f"number {number}"
        if "bufferView" in image:
            return load_picture(self.document.view(image["bufferView"]).tobytes(), name, self.tell)
        uri = image["uri"]
        name = name if uri.startswith("data:") else uri
        data = self.document.resource(uri)
        if data is None:
            self.tell(f"picture {name} is missing, its material's colour is used")
            return None
        return load_picture(data, name, self.tell)
