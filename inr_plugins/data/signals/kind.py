"""What kind of image or video a file has: all that reading a fit out needs to know of it."""

from __future__ import annotations

import base64
import io
import zlib
from dataclasses import dataclass

from PIL import Image

SRGB = "sRGB"


@dataclass(frozen=True)
class SignalKind:
    """An image or a video but for its pixels; config.yml of a run keeps it.

    Attributes:
        width: columns.
        height: rows.
        channels: 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha.
        bits: of a channel, 8 or 16.
        colour_space: the name of the file's colour profile; sRGB where it has none.
        profile: that profile (ICC), compressed, in base64; None: sRGB.
        frames: of a video; 1: an image.
        rate: frames a second, of a video that says it.
    """

    width: int
    height: int
    channels: int
    bits: int
    colour_space: str = SRGB
    profile: str | None = None
    frames: int = 1
    rate: float | None = None

    @property
    def has_alpha(self) -> bool:
        """Whether the last channel is an opacity."""
        return self.channels in (2, 4)

    @property
    def icc_profile(self) -> bytes | None:
        """The colour profile for files that are written of it; None: sRGB, which goes without saying."""
        return None if self.profile is None else zlib.decompress(base64.b64decode(self.profile))

    def has_the_numbers_of(self, other: SignalKind) -> bool:
        """Whether images of both kinds have as many pixels, frames, channels and bits."""
        return self._numbers() == other._numbers()

    def _numbers(self) -> tuple[int, ...]:
        return self.frames, self.width, self.height, self.channels, self.bits

    def description(self) -> str:
        """In words."""
        kind = {1: "grey", 2: "grey with alpha", 3: "RGB", 4: "RGB with alpha"}[self.channels]
        space = "" if self.colour_space == SRGB else f", {self.colour_space}"
        frames = "" if self.frames == 1 else f"{self.frames} frames of "
        rate = "" if self.rate is None else f", {self.rate:.6g} frames a second"
        return f"{frames}{self.width} x {self.height} pixels, {self.bits}-bit {kind}{space}{rate}"


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
