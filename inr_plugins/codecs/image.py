"""An image as a file of a network: its header, its blocks, and its pixels, which are the same on every machine."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from jaxtyping import Float, UInt

from inr_plugins.codecs.container import read_container, write_container
from inr_plugins.codecs.entropy import pack, unpack
from inr_plugins.codecs.network import NetworkShape, QuantisedNetwork, as_symbols, from_symbols, most_bytes
from inr_plugins.codecs.quantised import Quantised
from inr_plugins.errors import InputError

_MOST_PIXELS = 10**9
_MOST_COLOURS, _BANDS = 4, "bands"
"""Channels of an image without bands, and what the header of one with them has."""
_ROWS_OF_PIXELS = 1 << 18
LARGEST_PROFILE = 1 << 24
"""Bytes."""


N = TypeVar("N", bound=Quantised[Any])


@dataclass(frozen=True, eq=False)
class CodedImage(ABC, Generic[N]):
    """An image as a network of whole weights.

    Attributes:
        width: columns.
        height: rows.
        bits: of a channel, 8 or 16; the network says how many channels.
        network: of places (x, y) in the convention of `signal_grid`, to values in [0, 1].
        profile: ICC profile of the colours; None: sRGB.
        has_bands: the channels are neither colours nor an opacity.
    """

    width: int
    height: int
    bits: int
    network: N
    profile: bytes | None = None
    has_bands: bool = False
    SIGNAL: ClassVar[str]
    """What the header says that a file is."""

    def file(self) -> bytes:
        """The bytes of a file."""
        return write_container(self._header, self._blocks)

    def pixels(
        self, on_rows: Callable[[int, int], None] = lambda done, total: None
    ) -> UInt[np.ndarray, "height width channels"]:
        """The image, the same on every machine; `on_rows` is told the rows that are done, and all.

        Of a network in stages it is that of the last one.
        """
        width, height, channels = self.width, self.height, self.network.shape.outputs
        found = np.empty((height, width, channels), dtype=np.uint16 if self.bits == 16 else np.uint8)
        step = max(1, _ROWS_OF_PIXELS // width)
        for first in range(0, height, step):
            last = min(first + step, height)
            values = self.network(middles(width, height, np.arange(first * width, last * width)))
            found[first:last] = as_pixels(values, self.bits).reshape(last - first, width, channels)
            on_rows(last, height)
        return found

    @property
    def _header(self) -> dict[str, Any]:
        size = [self.width, self.height]
        bands = {_BANDS: True} if self.has_bands else {}
        return {
            "signal": self.SIGNAL,
            "size": size,
            "bits": self.bits,
            **bands,
            "network": self.network.shape.as_json(),
        }

    @property
    def _profile_blocks(self) -> list[bytes]:
        """The block of the colour profile, where there is one."""
        return [] if self.profile is None else [pack([("profile", self.profile)])]

    @property
    @abstractmethod
    def _blocks(self) -> list[bytes]:
        """All that stands behind the header."""


@dataclass(frozen=True, eq=False)
class ImageCode(CodedImage[QuantisedNetwork]):
    """An image without stages: its network, and behind it the colour profile."""

    SIGNAL = "image"

    @property
    def _blocks(self) -> list[bytes]:
        packed = [pack(as_symbols(self.network, high_bits)) for high_bits in range(4, 8)]
        return [min(packed, key=len), *self._profile_blocks]


def as_pixels(values: Float[np.ndarray, "*n channels"], bits: int) -> UInt[np.ndarray, "*n channels"]:
    """Values in [0, 1], clamped and rounded to whole numbers of 8 or 16 bits."""
    most = (1 << bits) - 1
    return np.rint(np.clip(values, 0.0, 1.0) * most).astype(np.uint16 if bits == 16 else np.uint8)


def middles(width: int, height: int, places: np.ndarray) -> Float[np.ndarray, "n 2"]:
    """`signal_grid.PixelGrid.middles` in float64, without torch."""
    longer = max(width, height)
    return np.stack([2 * (places % width) + 1 - width, 2 * (places // width) + 1 - height], axis=1) / longer


def check_size(width: int, height: int, bits: int) -> None:
    """ValueError for what no image has."""
    if not (min(width, height) >= 1 and width * height <= _MOST_PIXELS and bits in (8, 16)):
        raise ValueError("a size or a number of bits that no image has")


def are_bands(header: Mapping[str, Any], channels: int) -> bool:
    """Whether a header says that channels are neither colours nor an opacity; ValueError for what no image has."""
    has_bands = bool(header.get(_BANDS, False))
    if channels < 1 or (channels > _MOST_COLOURS and not has_bands):
        raise ValueError("a network that is none of an image")
    return has_bands


def read_image_code(data: bytes, name: str) -> ImageCode:
    """The image in a file.

    Args:
        data: all bytes of the file.
        name: what it is called.

    Raises:
        InputError: it is no such file, of a newer version, cut short or damaged.
    """
    container = read_container(data, name)
    header, blocks = container.header, container.blocks
    if header.get("signal") != ImageCode.SIGNAL:
        raise InputError(f"{name} holds no image but {header.get('signal')!r}: this program cannot read that.")
    try:
        width, height = header["size"]
        shape = NetworkShape.from_json(header["network"])
        check_size(width, height, header["bits"])
        has_bands = are_bands(header, shape.outputs)
        if shape.inputs != 2 or not 1 <= len(blocks) <= 2:
            raise ValueError("a network that is none of an image")
        network = from_symbols(shape, unpack(blocks[0], most_bytes(shape.tensors())))
        profile = unpack(blocks[1], LARGEST_PROFILE) if len(blocks) > 1 else None
        return ImageCode(int(width), int(height), int(header["bits"]), network, profile, has_bands)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{name} holds no image that can be read ({error}): take it again.") from error
