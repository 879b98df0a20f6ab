"""A video as numbers: the frames of a video file, or pictures in a folder that are numbered."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import UInt

from inr_plugins.data.signals.frame_folder import frame_files
from inr_plugins.data.signals.image_file import SignalImage, pages_of, read_image
from inr_plugins.data.signals.kind import SignalKind, packed_profile
from inr_plugins.data.signals.video_file import VideoFile
from inr_plugins.errors import InputError, is_out_of_room
from inr_plugins.files import nameless_file, shown, why_unreadable

LARGEST_MOST = 10**9
"""Pixels of what is learnt, at the most."""
_PALETTES = ("gif",)
"""Codecs that FFmpeg gives an opacity whether they have one or not."""
_FIRST_FRAMES = "--pipeline.datamanager.dataparser.first-frames"


@dataclass(frozen=True, eq=False)
class SignalVideo(SignalImage):
    """The frames of a video, (frames, height, width, channels), at even distances in time.

    Attributes:
        rate: frames a second; None: not known.
        origin: where the frames come from and how many were announced, in words.
        oddities: see `notes`.
    """

    rate: float | None = None
    origin: str = ""
    oddities: tuple[str, ...] = ()

    @cached_property
    def kind(self) -> SignalKind:
        """All of it but its pixels."""
        frames, height, width, channels = self.pixels.shape
        profile = packed_profile(self.profile)
        return SignalKind(width, height, channels, self.bits, *profile, frames=frames, rate=self.rate)

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on what is odd in the file."""
        return self.oddities


def read_video(path: Path, *, first_frames: int | None = None, most_bytes: float = math.inf) -> SignalVideo:
    """Read the frames of a video file, as PyAV decodes them, or of a folder of numbered pictures.

    What has been read last is kept, and given again while its files are what they were.

    Args:
        path: of the file or the folder.
        first_frames: how many, from the first on; None: all.
        most_bytes: of pixels in memory; more are put into a temporary file, and looked up there.

    Raises:
        InputError: it does not decode, has no frames or a single one, or frames of several sizes or kinds; the sentence
            says what to do.
    """
    problem = why_unreadable(path, folders=True)
    if problem is not None:
        raise InputError(f"--data {shown(path)} {problem}: give a video file, or a folder of numbered frames.")
    files = frame_files(path) if path.is_dir() else [path]
    states = tuple((str(each), (state := each.stat()).st_mtime_ns, state.st_size) for each in files)
    return _read(path, states, first_frames, most_bytes)


@lru_cache(maxsize=1)
def _read(path: Path, states: tuple[tuple[str, int, int], ...], first: int | None, most_bytes: float) -> SignalVideo:
    if path.is_dir():
        return _read_folder(path, [Path(name) for name, *_ in states], first, most_bytes)
    try:
        return _read_file(path, first, most_bytes)
    except InputError as error:
        pages = pages_of(path)
        if pages > 1:
            raise InputError(
                f"--data {shown(path)} has {pages:,} pictures, of which FFmpeg does not make a video: give a folder of "
                "them, numbered, or a video file."
            ) from error
        raise


def _read_file(path: Path, first: int | None, most_bytes: float) -> SignalVideo:
    with VideoFile(path) as file:
        pixels = _gathered(path, file.frames(first), most_bytes)
        if file.codec in _PALETTES and pixels.shape[-1] == 4 and pixels[..., 3].min() == np.iinfo(pixels.dtype).max:
            pixels = np.ascontiguousarray(pixels[..., :3])
        announced = "" if file.announced is None else f", of {file.announced:,} that the file announces"
        return SignalVideo(path, pixels, None, file.rate, f"{file.codec}{announced}", file.notes(len(pixels), first))


def _read_folder(path: Path, files: list[Path], first: int | None, most_bytes: float) -> SignalVideo:
    chosen = files if first is None else files[:first]
    opening = read_image(chosen[0])
    if opening.kind.is_float:
        raise InputError(f"--data {shown(path)} has frames of floating-point numbers: convert them to 8 or 16 bits.")

    def frames() -> Iterator[UInt[np.ndarray, "height width channels"]]:
        for file in chosen:
            found = opening if file is chosen[0] else read_image(file)
            _check_alike(file, found.pixels, opening.pixels, chosen[0])
            yield found.pixels

    pixels = _gathered(path, frames(), most_bytes)
    ends = f"{chosen[0].name} to {chosen[-1].name}"
    return SignalVideo(path, pixels, opening.profile, None, f"{ends}, of {len(files):,} in the folder")


def _check_alike(file: Path, found: np.ndarray, first: np.ndarray, name: Path) -> None:
    """Refuse a frame of another size or kind than the first one."""
    if found.shape == first.shape and found.dtype == first.dtype:
        return

    def words(pixels: np.ndarray) -> str:
        height, width, channels = pixels.shape
        return f"{width} x {height} pixels of {channels} x {8 * pixels.itemsize} bits"

    raise InputError(
        f"--data {shown(file)} has {words(found)}, and {name.name} has {words(first)}: all frames have to be alike."
    )


def _gathered(
    path: Path, frames: Iterable[UInt[np.ndarray, "height width channels"]], most_bytes: float
) -> UInt[np.ndarray, "frames height width channels"]:
    """All frames as one array, in a nameless file where there are many."""
    kept: list[np.ndarray] = []
    file, count, waiting, shape, dtype = None, 0, 0, (0, 0, 0), np.dtype(np.uint8)
    try:
        for frame in frames:
            shape, dtype, count = frame.shape, frame.dtype, count + 1
            if count * shape[0] * shape[1] > LARGEST_MOST:
                raise InputError(
                    f"--data {shown(path)} has more than {LARGEST_MOST:,} pixels in its frames: give {_FIRST_FRAMES}."
                )
            kept.append(np.ascontiguousarray(frame))
            waiting += frame.nbytes
            if waiting > most_bytes or file is not None:
                file = file or nameless_file()
                for each in kept:
                    file.write(each.tobytes())
                kept = []
    except OSError as error:
        if is_out_of_room(error):
            raise InputError(
                f"There is no room among temporary files for the frames of --data {shown(path)}: give {_FIRST_FRAMES}, "
                "or the environment variable TMPDIR a folder with more."
            ) from error
        raise
    if count < 2:
        what = "has no frames" if count == 0 else "has one frame"
        do = "give a video" if count == 0 else "learn it as an image, with ns-train diner-image, or give a video"
        raise InputError(f"--data {shown(path)} {what}: {do}.")
    if file is None:
        return np.stack(kept)
    with file:
        return np.memmap(file, dtype=dtype, mode="r", shape=(count, *shape))
