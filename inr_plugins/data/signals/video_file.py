"""A video file as pictures, decoded by PyAV (FFmpeg's libraries)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt

from inr_plugins.errors import InputError
from inr_plugins.files import shown

_NO_PICTURES = ("tty",)
"""What FFmpeg takes any text for."""
_FIRST_FRAMES = "--pipeline.datamanager.dataparser.first-frames"
_FULL_RANGE = 2
_WHOLE = 0.95
"""Of how long a file says that it lasts, what its frames have to last; sound may last a little longer."""


class VideoFile:
    """An open video file; a context manager.

    Pixels are what FFmpeg makes of the file's own: grey, RGB or RGB with alpha, of 8 bits, or of 16 where the file has
    more than 8. Y'CbCr becomes RGB by the matrix that the file names, else by that of BT.601. Turned upright.

    Attributes:
        codec: its name.
        announced: frames that the file says it has; None: it does not say.
        rate: frames a second, on average; None: not known.
    """

    def __init__(self, path: Path) -> None:
        """InputError where it is no video that can be read."""
        try:
            import av
        except ImportError as error:
            raise InputError(
                f"Reading the video {shown(path)} takes PyAV, which cannot be loaded ({error}): install it (pip "
                "install av), or give a folder of numbered frames."
            ) from error
        self._path, self._av = path, av
        self._damaged_from: int | None = None
        self._interlaced = False
        self._end = 0.0
        self._open(is_strict=True)
        self.codec = str(self._stream.codec_context.name)
        self.announced: int | None = self._stream.frames or None
        rate = self._stream.average_rate
        self.rate = float(rate) if rate else None

    def _open(self, *, is_strict: bool) -> None:
        """Begin at the beginning; strictly, so that damage is an error and not mended."""
        try:
            # Without a protocol, a name with a colon is taken for an address.
            self._container = self._av.open(f"file:{self._path}")
        except (self._av.FFmpegError, OSError, ValueError) as error:
            raise self._unreadable(error) from error
        streams = self._container.streams.video
        if not streams or self._container.format.name in _NO_PICTURES:
            self._container.close()
            raise InputError(f"--data {shown(self._path)} has no pictures in it: give a video file.")
        self._stream: Any = streams[0]
        self._stream.thread_type = "AUTO"
        if is_strict:
            self._stream.codec_context.options = {"err_detect": "crccheck+explode"}

    def __enter__(self) -> VideoFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    def frames(self, first: int | None = None) -> Iterator[UInt[np.ndarray, "height width channels"]]:
        """Its frames, or the first ones; from the first damaged one on as FFmpeg mends them, which `notes` says
        where the codec has a way to tell (FFV1 and VP9 do not).

        Raises:
            InputError: one does not decode, or has another size than those before.
        """
        count, size, form = 0, None, ""
        while first is None or count < first:
            try:
                # Frames that are told already come again where the file has been opened anew.
                for frame in islice(self._container.decode(self._stream), count, first):
                    if size is None:
                        size, form = (frame.width, frame.height), _numpy_format(frame.format)
                    self._check_size(frame, size, count)
                    self._interlaced |= bool(frame.interlaced_frame)
                    pixels = _to_the_end(frame.to_ndarray(format=form), frame)
                    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
                    # Degrees against the clock.
                    yield np.rot90(pixels, k=round(getattr(frame, "rotation", 0) / 90) % 4)
                    count += 1
                    self._note_end(frame)
                self._check_count(count, first)
                return
            except InputError:
                raise
            except (self._av.FFmpegError, OSError, ValueError) as error:
                if self._damaged_from is not None:
                    raise self._undecodable(count, error) from error
                self._damaged_from = count
                self._container.close()
                self._open(is_strict=False)

    def _note_end(self, frame: Any) -> None:
        """Note when a frame ends, where that is known."""
        if frame.time is not None and self.rate is not None:
            self._end = max(self._end, float(frame.time) - _start_of(self._stream) + 1 / self.rate)

    def _check_count(self, count: int, first: int | None) -> None:
        """Refuse none, or a single frame, where there are more in the file."""
        if count == 0 and (self.announced or 0) > 0:
            raise InputError(
                f"--data {shown(self._path)} announces {self.announced:,} frames, of which FFmpeg decodes none: give "
                "another file, or a folder of numbered frames."
            )
        if first is None and count == 1 and (self.announced or 0) > 1:
            raise InputError(
                f"--data {shown(self._path)} announces {self.announced:,} frames, and FFmpeg decodes one: write it "
                "again with a delay between its frames, or give a folder of numbered frames."
            )

    def _check_size(self, frame: Any, size: tuple[int, int], count: int) -> None:
        if (frame.width, frame.height) != size:
            raise InputError(
                f"--data {shown(self._path)} changes its size from {size[0]} x {size[1]} to {frame.width} x "
                f"{frame.height} pixels at frame {count}: give a video of one size, or {_FIRST_FRAMES} {count}."
            )

    def _undecodable(self, count: int, error: Exception) -> InputError:
        if count < 2:
            return self._unreadable(error)
        return InputError(
            f"--data {shown(self._path)} does not decode after {count} frames ({_reason(error)}): repair it, or give "
            f"{_FIRST_FRAMES} {count} for those before."
        )

    def notes(self, read: int, first: int | None) -> tuple[str, ...]:
        """What is odd, once the frames are read, of which there were so many."""
        notes = []
        if self.announced is not None and read < min(self.announced, first or self.announced):
            notes.append(f"The file announces {self.announced:,} frames and has {read:,}: it may have been cut short.")
        lasts = (self._container.duration or 0) / self._av.time_base
        if self.announced is None and first is None and 0 < self._end < _WHOLE * lasts:
            # Matroska does not say how many, but how long.
            notes.append(
                f"The file says that it lasts {lasts:.3g} s, and its frames end after {self._end:.3g} s: it may "
                "have been cut short."
            )
        if self._damaged_from is not None and self._damaged_from < read:
            at = self._damaged_from
            notes.append(f"The file is damaged at frame {at:,} or behind it, and is learnt as FFmpeg mends it.")
        if self._interlaced:
            notes.append("It is interlaced: its frames are learnt with the combs of their two fields.")
        aspect = self._stream.sample_aspect_ratio
        if aspect and aspect != 1:
            notes.append(
                f"Its pixels are not square ({aspect.numerator}:{aspect.denominator}); they are learnt as squares."
            )
        return tuple(notes)

    def _unreadable(self, error: Exception) -> InputError:
        return InputError(
            f"--data {shown(self._path)} is no video that can be read ({_reason(error)}): give another file, or a "
            "folder of numbered frames."
        )


def _start_of(stream: Any) -> float:
    """Seconds at which the first frame is shown."""
    return float((stream.start_time or 0) * stream.time_base)


def _reason(error: Exception) -> str:
    """FFmpeg's own words."""
    return str(getattr(error, "strerror", None) or error or type(error).__name__)


def _to_the_end(pixels: np.ndarray, frame: Any) -> np.ndarray:
    """Pixels of 16 bits that were Y'CbCr, with white and full opacity at 65,535.

    FFmpeg makes numbers of 10 and 12 bits into 16 by shifting, and has 235 of 8 bits become 255: white is 255 x 256, or
    the largest number shifted where the file uses all of them.
    """
    form = frame.format
    bits = max(each.bits for each in form.components)
    if pixels.dtype != np.uint16 or pixels.ndim == 2 or form.is_rgb or form.name.startswith("xyz"):
        return pixels
    shifted = ((1 << bits) - 1) << (16 - bits)
    white = shifted if frame.color_range == _FULL_RANGE else 255 << 8
    most = np.array([white] * 3 + [shifted] * (pixels.shape[-1] - 3))
    stretched: np.ndarray = np.rint(np.minimum(pixels * (65535 / most), 65535)).astype(np.uint16)
    return stretched


def _numpy_format(form: Any) -> str:
    """FFmpeg's name of the pixels to read, for those that a file has."""
    colours = [each for each in form.components if not each.is_alpha]
    has_alpha, is_deep = len(colours) < len(form.components), max(each.bits for each in form.components) > 8
    if has_alpha or form.has_palette:
        return "rgba64le" if is_deep else "rgba"
    if len(colours) == 1:
        return "gray16le" if is_deep else "gray"
    return "rgb48le" if is_deep else "rgb24"
