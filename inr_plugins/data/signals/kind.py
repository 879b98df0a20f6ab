"""What kind of image or video a file has: all that reading a fit out needs to know of it."""

from __future__ import annotations

import base64
import io
import zlib
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Shaped
from PIL import Image

SRGB = "sRGB"
_FLOAT_BITS = 32


@dataclass(frozen=True)
class SignalKind:
    """An image or a video but for its pixels; config.yml of a run keeps it.

    Attributes:
        width: columns.
        height: rows.
        channels: 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha; any number of what has bands.
        bits: of a channel, 8 or 16 of a whole number, or 32 of a floating-point number.
        colour_space: the name of the file's colour profile; sRGB where it has none.
        profile: that profile (ICC), compressed, in base64; None: sRGB.
        frames: of a video; 1: an image.
        rate: frames a second, of a video that says it.
        low: of floating-point numbers, the least that there is, which is learnt and shown as 0.
        high: the greatest, learnt and shown as 1.
        parts: names of channels that are each a grey picture of its own, such as an amplitude and a phase; none of an
            image.
        bands: names of channels that are neither colours nor an opacity, by a file that says so, such as a TIFF of many
            samples or an array; none where `channels` says what they are.
        is_planar: whether the file has its bands one after the other, and not pixel by pixel.
    """

    width: int
    height: int
    channels: int
    bits: int
    colour_space: str = SRGB
    profile: str | None = None
    frames: int = 1
    rate: float | None = None
    low: float = 0.0
    high: float = 1.0
    parts: tuple[str, ...] = ()
    bands: tuple[str, ...] = ()
    is_planar: bool = False

    @property
    def is_float(self) -> bool:
        """Whether its numbers are floating-point ones, of a range of their own."""
        return self.bits == _FLOAT_BITS

    @property
    def span(self) -> tuple[float, float]:
        """The numbers of the file that are the values 0 and 1."""
        return (self.low, self.high) if self.is_float else (0.0, float((1 << self.bits) - 1))

    def values(self, numbers: Shaped[np.ndarray, "*n channels"]) -> Float32[np.ndarray, "*n channels"]:
        """Numbers as the file has them, as values from 0 to 1."""
        if not self.is_float:
            return numbers.astype(np.float32) / np.float32(self.span[1])
        return ((numbers.astype(np.float64) - self.low) / (self.high - self.low)).astype(np.float32)

    @property
    def has_alpha(self) -> bool:
        """Whether the last channel is an opacity."""
        return not self.parts and not self.bands and self.channels in (2, 4)

    @property
    def icc_profile(self) -> bytes | None:
        """The colour profile for files that are written of it; None: sRGB, which goes without saying."""
        return None if self.profile is None else zlib.decompress(base64.b64decode(self.profile))

    def has_the_numbers_of(self, other: SignalKind) -> bool:
        """Whether images of both kinds have as many pixels, frames, channels and bits, and one range."""
        return self._numbers() == other._numbers()

    def _numbers(self) -> tuple[float, ...]:
        return self.frames, self.width, self.height, self.channels, self.has_alpha, self.bits, *self.span

    def description(self, *, frames: str = "frames") -> str:
        """In words; `frames`: what several pictures are called."""
        if self.parts:
            slices = "" if self.frames == 1 else f"{self.frames} slices of "
            return f"{' and '.join(self.parts)} of {slices}{self.width} x {self.height} pixels"
        if self.bands:
            form = f"floats from {self.low:.6g} to {self.high:.6g}" if self.is_float else f"{self.bits} bits"
            return f"{self.width} x {self.height} pixels, {self.channels} channels, {form}, no opacity"
        kind = {1: "grey", 2: "grey with alpha", 3: "RGB", 4: "RGB with alpha"}[self.channels]
        space = "" if self.colour_space == SRGB else f", {self.colour_space}"
        of = "" if self.frames == 1 else f"{self.frames} {frames} of "
        rate = "" if self.rate is None else f", {self.rate:.6g} frames a second"
        form = f" of floating-point numbers, {self.low:.6g} to {self.high:.6g}" if self.is_float else ""
        return f"{of}{self.width} x {self.height} pixels, {self.bits}-bit {kind}{form}{space}{rate}"


def band_names(count: int) -> tuple[str, ...]:
    """Names of bands whose file has none; a single channel is grey, and has none either."""
    return tuple(f"channel {number + 1}" for number in range(count)) if count > 1 else ()


def packed_profile(profile: bytes | None) -> tuple[str, str | None]:
    """The name of a colour space, and its ICC profile as text; that of sRGB is left out, as is one without a name."""
    name = None if profile is None else _name_of(profile)
    if profile is None or name is None or name.startswith(SRGB):
        return SRGB, None
    return name, base64.b64encode(zlib.compress(profile, 9)).decode()


def profile_of(image: Image.Image) -> bytes | None:
    """The ICC profile of an open image, if it has one that can be read."""
    profile = image.info.get("icc_profile")
    return profile if profile and _name_of(profile) is not None else None


def _name_of(profile: bytes) -> str | None:
    """What a profile calls itself; None where it is none."""
    from PIL import ImageCms

    try:
        return ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile))).strip()
    except (ImageCms.PyCMSError, OSError):
        return None
