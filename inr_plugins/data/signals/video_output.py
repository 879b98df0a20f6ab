"""A video as a file, or as a folder of PNG frames, in the bits of its numbers where the format has them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt

from inr_plugins.data.signals.image_output import write_image
from inr_plugins.errors import InputError
from inr_plugins.files import replacing, replacing_folder, shown

H264, FFV1 = ".mp4", ".mkv"
VIDEO_FILES = (H264, FFV1)
"""Endings of video files that are written."""
QUALITY = 10
"""H.264's constant rate factor: 0 loses nothing, 18 is hard to tell from the original."""
_FRAME = re.compile(r"frame_\d+\.png")
_BT709 = 1
_MPEG_RANGE = 1
_LARGEST_DENOMINATOR = 1001
_INPUT = {
    (8, 1): ("gray", "gray"),
    (8, 3): ("rgb24", "bgr0"),
    (8, 4): ("rgba", "bgra"),
    (16, 1): ("gray16le", "gray16le"),
    (16, 3): ("rgb48le", "gbrp16le"),
    (16, 4): ("rgba64le", "gbrap16le"),
}
"""FFmpeg's names by bits and channels: of an array, and of FFV1's pixels."""


_MOST_BITS = 16
"""Of a channel of a video."""


def is_video_output(path: Path) -> bool:
    """Whether a name is one of a video file, or of a folder."""
    return path.suffix.lower() in (*VIDEO_FILES, "") or path.is_dir()


def is_taken(path: Path) -> bool:
    """Whether something would be replaced: a file, or a folder with something in it."""
    return any(path.iterdir()) if path.is_dir() else path.exists()


def check_video_output(path: Path, *, bits: int, channels: int) -> None:
    """Refuse a place in which something else is, or a name of a file that cannot hold such a video.

    Args:
        path: .mp4, .mkv, or a folder.
        bits: of a channel.
        channels: 1 to 4, the second and the fourth being an opacity.

    Raises:
        InputError: naming the file and what would do.
    """
    if path.is_dir():
        if path.suffix.lower() in VIDEO_FILES:
            raise InputError(f"{shown(path)} is a folder: give a video file.")
        others = [each.name for each in path.iterdir() if not _FRAME.fullmatch(each.name)]
        if others:
            raise InputError(f"{shown(path)} has other files in it ({min(others)}): give another folder.")
    elif path.suffix == "" and path.exists():
        raise InputError(f"{shown(path)} is a file, and no folder: give another name.")
    if bits > _MOST_BITS:
        what = "" if path.suffix.lower() in VIDEO_FILES else ", a folder of PNG frames,"
        raise InputError(
            f"{shown(path)}{what} has no room for floating-point numbers: give an .npy or a .nii.gz, or of one slice a "
            ".tif or an .exr."
        )
    if path.suffix.lower() == H264 and (bits == 16 or channels in (2, 4)):
        what = "16 bits" if bits == 16 else "an opacity"
        raise InputError(f"{shown(path)} has no room for {what} of the video: give an .mkv, or a folder of PNG frames.")


def write_video(
    path: Path, frames: Iterable[UInt[np.ndarray, "height width channels"]], *, rate: float, first: int = 0
) -> None:
    """Write a video, whole or not at all; `check_video_output` says what can be.

    Args:
        path: .mp4: H.264, of which a little is lost; .mkv: FFV1, of which nothing is; a folder: PNG files.
        frames: one at least, of one size, of 8 or 16 bits.
        rate: frames a second.
        first: number of the first one in a folder.

    Raises:
        OSError: it cannot be written.
    """
    if path.suffix.lower() in VIDEO_FILES:
        with replacing(path) as partial:
            encode_video(partial, frames, rate=rate, is_lossless=path.suffix.lower() == FFV1)
        return
    with replacing_folder(path) as folder:
        for number, frame in enumerate(frames, first):
            write_image(folder / f"frame_{number:05}.png", frame)


def encode_video(
    path: Path, frames: Iterable[UInt[np.ndarray, "height width channels"]], *, rate: float, is_lossless: bool
) -> None:
    """Encode frames into a file as they come, whatever its name is: FFV1 in Matroska, or H.264 in MP4."""
    import av

    per_second = Fraction(rate).limit_denominator(_LARGEST_DENOMINATOR)
    with av.open(f"file:{path}", "w", format="matroska" if is_lossless else "mp4") as container:
        stream: Any = container.add_stream("ffv1" if is_lossless else "libx264", rate=per_second)
        is_begun = False
        for pixels in frames:
            # Grey with an opacity is a kind that FFV1 does not have.
            full = pixels if pixels.shape[-1] != 2 else pixels[..., [0, 0, 0, 1]]
            bits, channels = 8 * full.dtype.itemsize, full.shape[-1]
            given, kept = _INPUT[bits, channels]
            array = np.ascontiguousarray(full[..., 0] if channels == 1 else full)
            frame: Any = av.VideoFrame.from_ndarray(array, format=given)
            if not is_begun:
                is_begun = True
                stream.height, stream.width = array.shape[:2]
                # Half as many colours take an even number of pixels.
                halved = "yuv420p" if stream.height % 2 == 0 and stream.width % 2 == 0 else "yuv444p"
                stream.pix_fmt = kept if is_lossless else halved
                if not is_lossless:
                    stream.options = {"crf": str(QUALITY), "preset": "medium"}
                    context = stream.codec_context
                    context.colorspace, context.color_range = _BT709, _MPEG_RANGE
                    context.color_primaries, context.color_trc = _BT709, _BT709
            if is_lossless:
                frame = frame.reformat(format=stream.pix_fmt)
            else:
                frame = frame.reformat(format=stream.pix_fmt, dst_colorspace="ITU709", dst_color_range="MPEG")
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
